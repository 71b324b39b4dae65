"""Command line of edge/."""
