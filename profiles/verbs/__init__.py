"""Command line of profiles/."""
