"""Workstation only: read a source, run recipes, and drive the build."""
