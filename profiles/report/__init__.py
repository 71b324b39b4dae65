"""A finished build as a page, as text and as JSON, with its cost sheet."""
