"""Sources of token-classification: encoders with a head that answers for each token."""

from pathlib import Path

import msgspec

from edgekit.edge.tasks.text import TextConfig
from edgekit.edge.tasks.token_classification import Config
from edgekit.quantize.sources.text import Texts
from edgekit.spec import OnTooLong


class Taggers(Texts):
    """Models that give each word of a text a label."""

    by_word = True
    on_too_long: tuple[OnTooLong, ...] = ("window", "flag", "refuse")
    auto_class = "AutoModelForTokenClassification"
    architecture = "ForTokenClassification"

    def describe(self, folder: Path, tokenizer: TextConfig) -> Config:
        """Name the labels."""
        return Config(labels=self.labels(folder), **msgspec.structs.asdict(tokenizer))


SOURCE = Taggers()
