"""Predictions: what tasks answer, and how each is shown: to people, as JSON, as a row, as tensors.

The JSON shapes are those that users of Hugging Face's pipelines know. To add one: a subclass of
BasePrediction, and its name in Prediction.
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import msgspec

Tensor = dict[str, Any]  # of KServe v2: name, datatype, shape, data
# The key of an answer, the column of a batch and the parameter of KServe that say what was cut; and
# among a task's tensors what is so marked.
TRUNCATED = "truncated"


class BasePrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What a task says of one input.

    word: the key under which JSON shows it.
    ranks: it ranks labels, of which as many can be shown as are asked for.
    truncated: a part of the input was not read: it is longer than the model takes.
    """

    word: ClassVar[str]
    ranks: ClassVar[bool] = False
    truncated: bool = False

    def as_json(self, labels: Sequence[str], top_k: int) -> dict[str, Any]:
        """Write it as a JSON object: what `shown` writes under its word, and the mark."""
        return {self.word: self.shown(labels, top_k), TRUNCATED: self.truncated}

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """Write it as JSON; labels: the task's; top_k: how many of them, where all are ranked."""
        raise NotImplementedError

    def lines(self, labels: Sequence[str], top_k: int) -> list[str]:
        """Write it for people, one line for each item of `shown`."""
        return [str(item) for item in self.shown(labels, top_k)]

    def row(self) -> list[object]:
        """Write the values of the columns in the task's `results`."""
        raise NotImplementedError

    @classmethod
    def tensors(cls, predictions: Sequence[Self]) -> list[Tensor]:
        """Write many as output tensors of KServe v2.

        What has no fixed width is JSON in a BYTES tensor.
        """
        raise NotImplementedError


class Label(BasePrediction, frozen=True, kw_only=True, tag="label"):
    """One label out of several.

    score: its probability, from 0 to 1.
    probabilities: of all labels, in the order of the task's.
    """

    word = "labels"
    ranks = True
    label: str
    score: float
    probabilities: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """Write `top_k` labels: the one that is said, and then the others, likeliest first.

        The one that is said is not the likeliest where a threshold of its own decides.
        """
        first = labels.index(self.label)
        return _ranked(self.probabilities, labels, top_k, [first])

    def lines(self, labels: Sequence[str], top_k: int) -> list[str]:
        """Write each label behind its probability."""
        return [f"{item['score']:.4f}  {item['label']}" for item in self.shown(labels, top_k)]

    def row(self) -> list[object]:
        """Write the values of the columns `predicted_label` and `predicted_score`."""
        return [self.label, round(self.score, 6)]

    @classmethod
    def tensors(cls, predictions: Sequence[Self]) -> list[Tensor]:
        """Write the tensors `label`, `score` and `probabilities`."""
        return [
            _column("label", "BYTES", [item.label for item in predictions]),
            _column("score", "FP32", [item.score for item in predictions]),
            _matrix("probabilities", [item.probabilities for item in predictions]),
        ]


class Labels(BasePrediction, frozen=True, kw_only=True, tag="labels"):
    """Any number of labels.

    labels: those that apply, in the order of the task's.
    probabilities: of all labels, in the order of the task's.
    """

    word = "labels"
    labels: list[str]
    probabilities: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """Write the labels that apply, likeliest first."""
        ranked = _ranked(self.probabilities, labels, len(labels))
        return [item for item in ranked if item["label"] in self.labels]

    def lines(self, labels: Sequence[str], top_k: int) -> list[str]:
        """Write each label behind its probability."""
        return [f"{item['score']:.4f}  {item['label']}" for item in self.shown(labels, top_k)]

    def row(self) -> list[object]:
        """Write the value of the column `predicted_labels`: a JSON array."""
        return [json.dumps(self.labels, ensure_ascii=False, allow_nan=False)]

    @classmethod
    def tensors(cls, predictions: Sequence[Self]) -> list[Tensor]:
        """Write the tensors `labels` and `probabilities`."""
        return [
            _column("labels", "BYTES", [item.row()[0] for item in predictions]),
            _matrix("probabilities", [item.probabilities for item in predictions]),
        ]


class Entity(msgspec.Struct, frozen=True, kw_only=True):
    """A span of a text that means something.

    entity_group: what kind of thing it is.
    score: the mean probability of its words' labels, from 0 to 1.
    word: the span itself.
    start, end: its first character, and the one behind its last.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


class Entities(BasePrediction, frozen=True, kw_only=True, tag="entities"):
    """The spans that were found, in their order."""

    word = "entities"
    entities: list[Entity]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """Write all spans."""
        return [msgspec.to_builtins(entity) for entity in self.entities]

    def lines(self, labels: Sequence[str], top_k: int) -> list[str]:
        """Write each span with its score, its kind and its place."""
        return [
            f"{item.score:.4f}  {item.entity_group}  {item.word}  ({item.start}-{item.end})"
            for item in self.entities
        ]

    def row(self) -> list[object]:
        """Write the value of the column `predicted_entities`: a JSON array."""
        found = msgspec.to_builtins(self.entities)
        return [json.dumps(found, ensure_ascii=False, allow_nan=False)]

    @classmethod
    def tensors(cls, predictions: Sequence[Self]) -> list[Tensor]:
        """Write the tensor `entities`."""
        return [_column("entities", "BYTES", [item.row()[0] for item in predictions])]


class Embedding(BasePrediction, frozen=True, kw_only=True, tag="embedding"):
    """A vector that stands for the input."""

    word = "embedding"
    embedding: list[float]

    def shown(self, labels: Sequence[str], top_k: int) -> list[Any]:
        """Write the vector."""
        return self.embedding

    def row(self) -> list[object]:
        """Write the value of the column `embedding`: a JSON array."""
        return [json.dumps([round(value, 7) for value in self.embedding], allow_nan=False)]

    @classmethod
    def tensors(cls, predictions: Sequence[Self]) -> list[Tensor]:
        """Write the tensor `embedding`."""
        return [_matrix("embedding", [item.embedding for item in predictions])]


# All that there are: what the frames between front and worker can hold.
Prediction = Label | Labels | Entities | Embedding


def as_tensors(predictions: Sequence[Prediction]) -> list[Tensor]:
    """Write the predictions of one task, which are all of one kind, as output tensors of KServe."""
    kind: Any = type(predictions[0])
    tensors: list[Tensor] = kind.tensors(predictions)
    return tensors


def output_shapes(predictions: Sequence[Prediction]) -> list[Tensor]:
    """Write name, datatype and shape of the output tensors, -1 for the number of inputs."""
    return [
        {"name": item["name"], "datatype": item["datatype"], "shape": [-1, *item["shape"][1:]]}
        for item in as_tensors(predictions)
    ]


def _ranked(
    probabilities: Sequence[float], labels: Sequence[str], count: int, first: Sequence[int] = ()
) -> list[dict[str, Any]]:
    """Return `count` labels with their scores: those of `first`, and then the likeliest."""
    order = list(first)
    if count > len(order):  # the rest is not sorted for nothing
        rest = (index for index in range(len(labels)) if index not in first)
        order += sorted(rest, key=lambda index: -probabilities[index])
    return [{"label": labels[index], "score": probabilities[index]} for index in order[:count]]


def _column(name: str, datatype: str, values: Sequence[object]) -> Tensor:
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": list(values)}


def _matrix(name: str, rows: Sequence[Sequence[float]]) -> Tensor:
    return {
        "name": name,
        "datatype": "FP32",
        "shape": [len(rows), len(rows[0])],
        "data": [value for row in rows for value in row],
    }
