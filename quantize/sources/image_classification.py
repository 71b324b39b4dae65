"""Sources of image-classification: ONNX models, and data files that name pictures by path."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.edge.tasks import Row
from edgekit.quantize.sources.columns import longest_columns
from edgekit.spec import OnTooLong
from edgekit.targets import InputKind


class Pictures:
    """Models that give a picture a label."""

    kind: InputKind = "picture"
    by_word = False
    pools = False
    no_split = ""
    on_too_long: tuple[OnTooLong, ...] = ()
    checkpoint = None

    def columns(self, model: Path, rows: Sequence[Row], label: str) -> list[str]:
        """Choose the column with the longest content: paths are longer than other columns."""
        return longest_columns(rows, label, 1)

    def anchored(self, row: Row, columns: Sequence[str], folder: Path) -> Row:
        """Make the picture's path absolute: it is relative to the file that names it."""
        return {**row, columns[0]: str((folder / str(row[columns[0]])).resolve())}


SOURCE = Pictures()
