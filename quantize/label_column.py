"""Which column of a data file holds the labels, why, and which other would have done."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from edgekit.edge.tasks import Row, Task
from edgekit.edge.tasks.tags import TagScheme
from edgekit.errors import InputError
from edgekit.profiles.evaluations import Evaluation, evaluation_of
from edgekit.profiles.evaluations.label_rule import whole_number
from edgekit.quantize.sources.columns import Chosen
from edgekit.toml_file import toml_string

NAMED = ("label", "labels", "score")
NEARLY = 0.5  # the share of rows that hold a label, from which on a column is told of


@dataclass(frozen=True)
class Described:
    """What a model's folder says of its answers, which is all that reading labels needs of a task.

    name: of the task.
    labels: in the order of the outputs.
    is_exclusive: one label is right for each input.
    """

    name: str
    labels: tuple[str, ...]
    is_exclusive: bool = True

    @property
    def tags(self) -> TagScheme:
        """How the labels are read where they are tags of words."""
        return TagScheme(self.labels)

    @property
    def evaluation(self) -> Evaluation:
        """How such answers are judged; only their labels are read with it."""
        return evaluation_of(cast(Task[Any], self))


class _Column(NamedTuple):
    """A column, and how its cells can be read as labels.

    how: the rule in words; "" where it can be read in two ways.
    fitting: the share of its rows that hold labels.
    """

    name: str
    how: str
    fitting: float
    rank: tuple[int, ...]

    def __str__(self) -> str:
        """Say it for the user."""
        return f"{toml_string(self.name)} ({self.how or 'which can be read in two ways'})"


def choose_label(
    data: Path, rows: Sequence[Row], model: Described, features: Sequence[str]
) -> Chosen:
    """Choose the column all of whose rows hold labels of the model; raises InputError for none.

    A name in NAMED goes first, then labels by their names before indices, then the order of the
    file. features: columns that are known to be inputs.
    """
    names = [name for name in rows[0] if name not in features]
    columns = [_look_at(name, rows, model) for name in names]
    fitting = sorted((item for item in columns if item.fitting == 1), key=lambda item: item.rank)
    if not fitting:
        labels = model.labels
        wanted = (
            f"only labels of the model, such as {labels[0]!r}"
            if labels
            else "a number for how alike two texts are"
        )
        nearly = _nearly(columns, len(rows))
        raise InputError(
            f"{data}: no column holds {wanted}; columns: {', '.join(rows[0])}"
            + (f"; {nearly}" if nearly else "")
        )
    best, others = fitting[0], fitting[1:]
    what = "labels of the model" if model.labels else "numbers"
    why = f"all {len(rows)} rows hold {what}"
    why += f", {best.how}" if best.how and model.labels else ""
    why += "" if best.how else ", which can be read in two ways: set labels_are"
    why = f"it is called so, and {why}" if best.name in NAMED else why
    nearly = _nearly([item for item in columns if item.fitting < 1], len(rows))
    runner_up = str(others[0]) if others else "no other column has labels in all rows"
    return Chosen([best.name], why, f"{runner_up}; {nearly}" if nearly else runner_up)


def _look_at(name: str, rows: Sequence[Row], model: Described) -> _Column:
    """Read a column as labels, as far as that goes."""
    cells = [row.get(name) for row in rows]
    try:
        fit = model.evaluation.fit(cells)
        how, fitting = str(fit.rule), fit.fitting
    except InputError:
        how, fitting = "", 1.0
    if all(str(cell).strip() in ("", "[]", "None") for cell in cells):
        fitting = 0.0  # no label at all says nothing
    numbers = [whole_number(cell) for cell in cells]
    is_row_number = None not in numbers and len(set(numbers)) == len(numbers) > 2
    rank = (
        NAMED.index(name) if name in NAMED else len(NAMED),
        int(not model.labels and is_row_number),
        int(not how.startswith("names")),
    )
    return _Column(name, how, fitting, rank)


def _nearly(columns: Sequence[_Column], count: int) -> str:
    """Tell of columns that were passed over and may have been meant."""
    close = [item for item in columns if item.name in NAMED or item.fitting >= NEARLY]
    return "; ".join(
        f"{toml_string(item.name)} was passed over: {round(count * (1 - item.fitting))} of {count}"
        " rows hold no label of the model"
        for item in close
    )
