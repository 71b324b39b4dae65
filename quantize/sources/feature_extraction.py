"""Sources of feature-extraction: bare encoders whose hidden states are pooled to one vector."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgekit.edge.tasks import Row
from edgekit.edge.tasks.feature_extraction import Config
from edgekit.edge.tasks.text import TextConfig
from edgekit.quantize.config_json import library_config
from edgekit.quantize.pooling import read_pooling
from edgekit.quantize.sources.columns import longest_columns
from edgekit.quantize.sources.text import Texts


class Embedders(Texts):
    """Models that make vectors; their data files hold pairs of texts, and how alike they are."""

    pools = True
    no_split = "pairs may share texts; give calibration pairs of their own with --calibration"
    auto_class = "AutoModel"
    architecture = "Model"  # a bare encoder has nothing behind it

    def labels(self, folder: Path) -> list[str]:
        """Return none: the numbers of a vector have no names."""
        return []

    def describe(self, folder: Path, tokenizer: TextConfig) -> Config:
        """Say how long a vector is, and whether it gets length 1."""
        pooling = read_pooling(folder)
        return Config(
            dimensions=library_config(folder).hidden_size * len(pooling.modes),
            normalize=pooling.normalize,
            **msgspec.structs.asdict(tokenizer),
        )

    def columns(self, model: Path, rows: Sequence[Row], label: str) -> list[str]:
        """Choose the two columns with the longest texts."""
        return longest_columns(rows, label, 2)


SOURCE = Embedders()
