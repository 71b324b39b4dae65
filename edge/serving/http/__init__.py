"""HTTP for the front."""
