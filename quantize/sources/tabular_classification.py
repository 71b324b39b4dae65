"""Sources of tabular-classification: ONNX models whose task.json names the columns they take."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.edge.tasks import Row, load_task
from edgekit.errors import InputError
from edgekit.spec import OnTooLong
from edgekit.targets import InputKind


class Tables:
    """Models that give a row of numbers a label."""

    kind: InputKind = "table"
    by_word = False
    pools = False
    no_split = ""
    on_too_long: tuple[OnTooLong, ...] = ()
    checkpoint = None

    def columns(self, model: Path, rows: Sequence[Row], label: str) -> list[str]:
        """Choose the columns of the features that task.json names."""
        others = [name for name in rows[0] if name != label]
        features: list[str] = load_task(model).columns(others, label)
        if not features:
            raise InputError(f"the data lacks a feature that {model / 'task.json'} names")
        return features

    def anchored(self, row: Row, columns: Sequence[str], folder: Path) -> Row:
        """Return the row: numbers mean the same everywhere."""
        return row


SOURCE = Tables()
