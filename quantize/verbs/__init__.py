"""Command line of quantize/."""
