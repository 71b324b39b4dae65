"""Command line of release/."""
