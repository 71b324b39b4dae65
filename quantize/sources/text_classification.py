"""Sources of text-classification: encoders with a head that answers once for a text."""

from pathlib import Path

import msgspec

from edgekit.edge.tasks.text import TextConfig
from edgekit.edge.tasks.text_classification import Config
from edgekit.quantize.config_json import is_multi_label
from edgekit.quantize.sources.text import Texts


class Classifiers(Texts):
    """Models that give a text one label, or several."""

    auto_class = "AutoModelForSequenceClassification"
    architecture = "ForSequenceClassification"

    def describe(self, folder: Path, tokenizer: TextConfig) -> Config:
        """Name the labels, and say whether several may apply."""
        return Config(
            labels=self.labels(folder),
            multi_label=is_multi_label(folder),
            **msgspec.structs.asdict(tokenizer),
        )


SOURCE = Classifiers()
