"""Measuring variants on the user's own data, choosing among them, and reporting what was found."""
