"""An opened slot: its record, its engine and task, what was compiled of it here, and its health."""
