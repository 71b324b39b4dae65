"""Which columns of a data file are inputs, where the task's description does not say so."""

from collections.abc import Sequence
from typing import NamedTuple

from edgekit.edge.tasks import Row
from edgekit.errors import InputError
from edgekit.toml_file import toml_string

LOOKED_AT = 200  # rows


class Chosen(NamedTuple):
    """Columns that were chosen from a data file.

    columns: their names.
    why: what decided.
    runner_up: what would have been next, in words.
    """

    columns: list[str]
    why: str
    runner_up: str


def longest_columns(rows: Sequence[Row], label: str, count: int) -> Chosen:
    """Choose the columns with the longest content beside the label; raises InputError if none."""
    others = [name for name in rows[0] if name != label]
    if not others:
        raise InputError(f"the data has no column beside {label!r}")
    looked_at = rows[:LOOKED_AT]
    sizes = {
        name: sum(len(str(row.get(name, ""))) for row in looked_at) / len(looked_at)
        for name in others
    }
    order = sorted(others, key=lambda name: -sizes[name])
    mean = ", ".join(f"{sizes[name]:.0f}" for name in order[:count])
    return Chosen(
        order[:count],
        f"the longest content beside the label, in the mean {mean} characters",
        f"{toml_string(order[count])} with {sizes[order[count]]:.0f} characters"
        if len(order) > count
        else "no other column is left",
    )
