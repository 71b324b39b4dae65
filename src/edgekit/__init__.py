"""edgekit: put a small specialist model to work on a device that never sees the internet."""

__version__ = "0.1.0"
