"""What the tasks on texts share: they come as Hugging Face folders, one text in each row."""

from collections.abc import Sequence
from pathlib import Path

from edgekit.edge.tasks import Row
from edgekit.edge.tasks.text import TextConfig
from edgekit.quantize.config_json import config_labels
from edgekit.quantize.sources.columns import longest_columns
from edgekit.spec import OnTooLong
from edgekit.targets import InputKind


class Texts:
    """A task on texts whose answers are a head's logits, one row of a file for each text.

    It is its own checkpoint: `auto_class`, `architecture` and `describe` are the task's.
    """

    kind: InputKind = "text"
    by_word = False
    pools = False
    no_split = ""
    on_too_long: tuple[OnTooLong, ...] = ("flag", "refuse")
    auto_class: str
    architecture: str

    @property
    def checkpoint(self) -> "Texts":
        """Return itself."""
        return self

    def labels(self, folder: Path) -> list[str]:
        """Read config.json's labels; raises InputError."""
        return config_labels(folder)

    def describe(self, folder: Path, tokenizer: TextConfig) -> TextConfig:
        """Make the content of task.json; each task on texts has its own."""
        raise NotImplementedError

    def columns(self, model: Path, rows: Sequence[Row], label: str) -> list[str]:
        """Choose the column with the longest texts."""
        return longest_columns(rows, label, 1)

    def anchored(self, row: Row, columns: Sequence[str], folder: Path) -> Row:
        """Return the row: a text means the same everywhere."""
        return row
