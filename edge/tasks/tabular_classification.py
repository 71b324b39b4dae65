"""tabular-classification: a row of numbers becomes a label."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgekit import strict_json
from edgekit.edge.tasks import Row, Tensors, as_number
from edgekit.edge.tasks.classification import Classifier, Scores
from edgekit.errors import InputError
from edgekit.nouns import Noun

MOST_NAMED = 20  # features in an error


class Config(Noun, frozen=True, kw_only=True):
    """task.json of this task.

    labels: in the order of the model's outputs.
    features: the numbers' names, in the order of the model's input.
    thresholds: the probability from which a label is said, for the labels that have one.
    input, output: the graph's tensors for the features and for the scores.
    input_type: of the numbers that the graph takes.
    scores: what the scores are (see Classifier).
    """

    task: Literal["tabular-classification"] = "tabular-classification"
    labels: list[str]
    features: list[str]
    thresholds: dict[str, float] = {}
    input: str = "features"
    output: str = "probabilities"
    input_type: Literal["float16", "float32", "float64"] = "float32"
    scores: Scores | None = None


class TabularClassification(Classifier):
    """One label for each row of numbers; scaling and the like are part of the graph."""

    name = "tabular-classification"

    def __init__(self, config: Config) -> None:
        super().__init__(config.labels, config.output, config.thresholds, config.scores)
        self.tensor = ("FP32", [-1, len(config.features)])
        self._config = config
        self._type = np.dtype(config.input_type).type

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
        return [self._number(item, name) for item, name in zip(value, features, strict=True)]

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
        return [self._number(row[name], name) for name in self._config.features]

    def argument(self, text: str) -> list[float]:
        """Read a JSON array of numbers, or an object by feature name."""
        try:
            return self.parse(strict_json.loads(text))
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
        """Make numbers of the graph's type, [batch, features]."""
        return {self._config.input: np.array(inputs, dtype=self._config.input_type)}

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

    def _number(self, value: object, name: str) -> float:
        """Return a feature's number; raises InputError for one that the graph's type can't hold."""
        number = as_number(value)
        if number is None:
            raise InputError(f"the feature {name!r} must be a finite number")
        with np.errstate(over="ignore"):
            is_held = np.isfinite(self._type(number))
        if not is_held:
            raise InputError(
                f"the feature {name!r} must be a number that a {self._config.input_type} holds,"
                " which is what the model takes"
            )
        return number


def load(folder: Path, config: object) -> TabularClassification:
    """Make the task from task.json's content; there is no other file."""
    return TabularClassification(msgspec.convert(config, Config))
