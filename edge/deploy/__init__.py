"""Deploying: how a bundle gets into an appliance, on this machine or over SSH."""
