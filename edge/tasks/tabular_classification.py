"""tabular-classification: a row of numbers becomes a label."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgekit.edge.tasks import Row, Tensors
from edgekit.edge.tasks.classification import Classifier
from edgekit.errors import InputError
from edgekit.nouns import Noun

MOST_NAMED = 20  # features in an error


class Config(Noun, frozen=True, kw_only=True):
    """task.json of this task.

    labels: in the order of the model's outputs.
    features: the numbers' names, in the order of the model's input.
    thresholds: the probability from which a label is said, for the labels that have one.
    input, output: the graph's tensors for the features and for probabilities or logits.
    """

    task: Literal["tabular-classification"] = "tabular-classification"
    labels: list[str]
    features: list[str]
    thresholds: dict[str, float] = {}
    input: str = "features"
    output: str = "probabilities"


class TabularClassification(Classifier):
    """One label for each row of numbers; scaling and the like are part of the graph."""

    name = "tabular-classification"

    def __init__(self, config: Config) -> None:
        super().__init__(config.labels, config.output, config.thresholds)
        self.tensor = ("FP32", [-1, len(config.features)])
        self._config = config

    def parse(self, value: object) -> list[float]:
        """Take a JSON array in the features' order, or an object by feature name."""
        features = self._config.features
        if isinstance(value, Mapping):
            missing = [name for name in features if name not in value]
            if missing:
                raise InputError(f"an input lacks the feature {missing[0]!r}")
            if not set(features).issuperset(value):
                raise InputError(
                    "an input has a feature that the model does not know; it knows:"
                    f" {', '.join(features[:MOST_NAMED])}"
                    + (", ..." if len(features) > MOST_NAMED else "")
                )
            value = [value[name] for name in features]
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(features):
            raise InputError(
                f"an input must be an array of {len(features)} numbers, or an object by feature"
                " name"
            )
        return [_number(item, name) for item, name in zip(value, features, strict=True)]

    def wire(self, value: list[float]) -> object:
        """Return the numbers as they are."""
        return value

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> list[float]:
        """Read the model's features, in its own order whatever the order of the columns."""
        if not self.takes(columns):
            raise InputError(
                "the input columns must be the model's features:"
                f" {', '.join(self._config.features)}"
            )
        return [_number(row[name], name) for name in self._config.features]

    def argument(self, text: str) -> list[float]:
        """Read a JSON array of numbers, or an object by feature name."""
        try:
            return self.parse(json.loads(text))
        except (ValueError, RecursionError):
            raise InputError(
                "VALUE must be a JSON array of numbers, or an object by feature name"
            ) from None

    def length(self, value: list[float]) -> int:
        """Return 1: every row has as many numbers."""
        return 1

    def takes(self, columns: Sequence[str]) -> bool:
        """Tell whether these are the model's features, in any order."""
        return set(columns) == set(self._config.features)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose the features by their names."""
        return list(self._config.features) if set(self._config.features) <= set(names) else []

    def encode(self, inputs: Sequence[list[float]]) -> Tensors:
        """Make float32 [batch, features]."""
        return {self._config.input: np.array(inputs, dtype=np.float32)}

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make normal numbers, spread over orders of magnitude, by the features' names.

        By name, because the order of the features counts.
        """
        random = np.random.default_rng(seed)
        shape = (count, len(self._config.features))
        values = random.standard_normal(shape) * 10.0 ** random.integers(-2, 3, shape)
        names = self._config.features
        return [
            {name: round(float(x), 4) for name, x in zip(names, row, strict=True)} for row in values
        ]


def _number(value: object, name: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise InputError(f"the feature {name!r} must be a finite number")
    return number


def load(folder: Path, config: object) -> TabularClassification:
    """Make the task from task.json's content; there is no other file."""
    return TabularClassification(msgspec.convert(config, Config))
