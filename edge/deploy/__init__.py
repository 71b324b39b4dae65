"""How a bundle gets into an appliance."""
