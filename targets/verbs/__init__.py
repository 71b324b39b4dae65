"""Command line of targets/."""
