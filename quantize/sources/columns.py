"""Which columns of a data file are inputs, where the task's description does not say so."""

from collections.abc import Sequence

from edgekit.edge.tasks import Row
from edgekit.errors import InputError

LOOKED_AT = 200  # rows


def longest_columns(rows: Sequence[Row], label: str, count: int) -> list[str]:
    """Return the columns with the longest content beside the label; raises InputError if none."""
    others = [name for name in rows[0] if name != label]
    if not others:
        raise InputError(f"the data has no column beside {label!r}")
    longest = sorted(others, key=lambda name: -sum(len(str(row[name])) for row in rows[:LOOKED_AT]))
    return longest[:count]
