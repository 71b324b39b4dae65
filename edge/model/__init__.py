"""A slot, opened: its record, the engine and task on it, what was compiled of it here, and its
health.
"""
