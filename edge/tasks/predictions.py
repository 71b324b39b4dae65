"""What tasks answer, and how each answer is shown: to people, as a row of a batch, as tensors of
KServe v2.

The JSON shapes are those that users of Hugging Face pipelines know.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

Tensor = dict[str, Any]  # of KServe v2: name, datatype, shape, data


class Label(msgspec.Struct, frozen=True, kw_only=True, tag="label"):
    """One label out of several, its probability, and the probabilities of all in the order of
    `Task.labels`.
    """

    label: str
    score: float
    probabilities: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """The `top_k` likeliest labels, likeliest first."""
        return _ranked(self.probabilities, labels)[:top_k]

    def row(self) -> list[object]:
        """The values of the columns `predicted_label` and `predicted_score`."""
        return [self.label, round(self.score, 6)]


class Labels(msgspec.Struct, frozen=True, kw_only=True, tag="labels"):
    """Any number of labels, and the probability of each one that there is."""

    labels: list[str]
    probabilities: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """The labels that apply, likeliest first."""
        return [
            item for item in _ranked(self.probabilities, labels) if item["label"] in self.labels
        ]

    def row(self) -> list[object]:
        """The value of the column `predicted_labels`: a JSON array."""
        return [json.dumps(self.labels, ensure_ascii=False)]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a text: characters `start` to `end`, and the mean probability of its words'
    labels.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class Entities(msgspec.Struct, frozen=True, kw_only=True, tag="entities"):
    """The spans that were found, in their order."""

    entities: list[Entity]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """All spans."""
        return [msgspec.to_builtins(entity) for entity in self.entities]

    def row(self) -> list[object]:
        """The value of the column `predicted_entities`: a JSON array."""
        return [json.dumps(msgspec.to_builtins(self.entities), ensure_ascii=False)]


class Embedding(msgspec.Struct, frozen=True, kw_only=True, tag="embedding"):
    """A vector."""

    embedding: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """The vector."""
        return self.embedding

    def row(self) -> list[object]:
        """The value of the column `embedding`: a JSON array."""
        return [json.dumps([round(value, 7) for value in self.embedding])]


Prediction = Label | Labels | Entities | Embedding


def _ranked(probabilities: Sequence[float], labels: Sequence[str]) -> list[dict[str, Any]]:
    order = sorted(range(len(labels)), key=lambda index: -probabilities[index])
    return [{"label": labels[index], "score": probabilities[index]} for index in order]


def as_tensors(predictions: Sequence[Prediction]) -> list[Tensor]:
    """Output tensors of KServe v2; what has no fixed width is JSON in a BYTES tensor."""
    first, count = predictions[0], len(predictions)
    if isinstance(first, Embedding):
        return [
            _matrix(
                "embedding", [item.embedding for item in predictions if isinstance(item, Embedding)]
            )
        ]
    if isinstance(first, Label):
        found = [item for item in predictions if isinstance(item, Label)]
        return [
            {
                "name": "label",
                "datatype": "BYTES",
                "shape": [count],
                "data": [item.label for item in found],
            },
            {
                "name": "score",
                "datatype": "FP32",
                "shape": [count],
                "data": [item.score for item in found],
            },
            _matrix("probabilities", [item.probabilities for item in found]),
        ]
    name = "labels" if isinstance(first, Labels) else "entities"
    said = [str(item.row()[0]) for item in predictions]
    tensors: list[Tensor] = [{"name": name, "datatype": "BYTES", "shape": [count], "data": said}]
    if isinstance(first, Labels):
        rows = [item.probabilities for item in predictions if isinstance(item, Labels)]
        tensors.append(_matrix("probabilities", rows))
    return tensors


def _matrix(name: str, rows: Sequence[Sequence[float]]) -> Tensor:
    return {
        "name": name,
        "datatype": "FP32",
        "shape": [len(rows), len(rows[0])],
        "data": [value for row in rows for value in row],
    }


def output_shapes(predictions: Sequence[Prediction]) -> list[Tensor]:
    """Name, datatype and shape of the output tensors, -1 for the number of inputs."""
    return [
        {"name": item["name"], "datatype": item["datatype"], "shape": [-1, *item["shape"][1:]]}
        for item in as_tensors(predictions)
    ]
