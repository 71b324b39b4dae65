"""token-classification: each word of a sentence gets logits, and those become labelled spans.

A document that is longer than the model takes at once is read in windows (see windows.py).
"""

import json
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks import Row, Tensors, largest_difference, one_column
from edgekit.edge.tasks.classification import softmax
from edgekit.edge.tasks.predictions import TRUNCATED, Entities, Entity, Prediction
from edgekit.edge.tasks.text import (
    MAX_CHARACTERS,
    TextConfig,
    TokenizerTask,
    checked_text,
    fitting,
    load_tokenizer,
)
from edgekit.edge.tasks.windows import answered_words
from edgekit.errors import InputError

WORD = re.compile(r"\w+|[^\w\s]")
OUTSIDE = "O"
MAX_WORDS = 1 << 15  # of one document; as many tokens, which a document in windows may have
MAX_REQUEST = 1 << 18  # words of the documents of one request: each has a span, and logits


class Sentence(NamedTuple):
    """A text and where its words are.

    text: with all its words.
    spans: for each word the characters from and to.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def words(self) -> list[str]:
        """Cut the words out of the text."""
        return [self.text[start:end] for start, end in self.spans]


class Span(NamedTuple):
    """An entity: neighbouring words that belong together.

    kind: what it is, as the labels name it behind their prefix.
    start, end: its first word, and the one behind its last.
    """

    kind: str
    start: int
    end: int


class Config(TextConfig, frozen=True, kw_only=True):
    """task.json of this task.

    labels: "O" and B-, I- (and E-, S-) with the kind of entity behind.
    output: the graph's tensor that holds the logits.
    """

    task: Literal["token-classification"] = "token-classification"
    labels: list[str]
    output: str = "logits"


class TokenClassification(TokenizerTask):
    """A word's logits are those of its first token, as models of this kind are trained."""

    name = "token-classification"
    results: tuple[str, ...] = ("predicted_entities", TRUNCATED)
    most_length = MAX_REQUEST

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        super().__init__(tokenizer, config)
        self.labels = tuple(config.labels)
        self._indices = {label: index for index, label in enumerate(self.labels)}
        self._output = config.output
        # What a word is taken to be that the model has not read, or that has no token.
        self._cut = np.zeros(len(self.labels), dtype=np.float32)
        self._cut[self._indices.get(OUTSIDE, 0)] = 1

    def parse(self, value: object) -> Sentence:
        """Take a JSON string, cut at white space and punctuation, or a JSON array of words."""
        if isinstance(value, list):
            return _of_words(value)
        text = checked_text(value)
        return _bounded(Sentence(text, tuple(match.span() for match in WORD.finditer(text))))

    def wire(self, value: Sentence) -> object:
        """Return the words."""
        return value.words

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> Sentence:
        """Read the words, or the text, in the named column.

        A CSV holds words as a JSON array.
        """
        return self.parse(json_list(row[one_column(columns)]))

    def argument(self, text: str) -> Sentence:
        """Take the text itself."""
        return self.parse(text)

    def length(self, value: Sentence) -> int:
        """Count the words."""
        return len(value.spans)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose `tokens`, `words` or `text`, or the only column that is not the label."""
        others = [name for name in names if name != label]
        named: list[str] = [name for name in ("tokens", "words", "text") if name in others]
        return named[:1] or (others if len(others) == 1 else [])

    def encode(self, inputs: Sequence[Sentence]) -> Tensors:
        """Make the tokens' tensors, a row for each window, and some that say what they are of.

        words: int64 [rows, tokens], a word's index at the token that answers for it, else -1.
        owners: int64 [rows], the index of the input that a row is of.
        counts: int64 [rows], how many words that input has.
        """
        documents = [
            [found, *found.overflowing] if self.on_too_long == "window" else [found]
            for found in self._tokenizer.encode_batch(
                [item.words for item in inputs], is_pretokenized=True
            )
        ]
        if (most := max(map(self.tokens, documents), default=0)) > MAX_WORDS:
            raise InputError(
                f"the text has {most} tokens, and a document may have at most {MAX_WORDS}"
            )
        feeds = self.tensors([window for windows in documents for window in windows])
        words = [row for windows in documents for row in answered_words(windows, self.step)]
        owners = np.repeat(np.arange(len(inputs)), list(map(len, documents)))
        counts = np.array([len(item.spans) for item in inputs], dtype=np.int64)[owners]
        return {**feeds, "words": np.stack(words), "owners": owners, "counts": counts}

    def answers(self, outputs: Tensors, feeds: Tensors) -> list[np.ndarray]:
        """Take logits [words, labels] each, every word's from the row that answers for it."""
        values = np.asarray(outputs[self._output], dtype=np.float32)
        found: list[np.ndarray] = []
        rows = zip(values, feeds["words"], feeds["owners"], feeds["counts"], strict=True)
        for logits, words, owner, count in rows:
            if owner == len(found):
                found.append(np.tile(self._cut, (int(count), 1)))
            places = np.flatnonzero(words >= 0)
            found[owner][words[places]] = logits[places]
        return found

    def difference(self, said: np.ndarray, right: np.ndarray) -> float:
        """Measure the largest difference of two logits."""
        return largest_difference(said, right)

    def decode(self, inputs: Sequence[Sentence], answers: Sequence[np.ndarray]) -> list[Prediction]:
        """Say the entities of each sentence."""
        return [
            self._entities(sentence, answer)
            for sentence, answer in zip(inputs, answers, strict=True)
        ]

    def _entities(self, sentence: Sentence, answer: np.ndarray) -> Entities:
        if not len(answer):
            return Entities(entities=[])
        shares = softmax(answer)
        found = []
        for span in spans_of([self.labels[index] for index in shares.argmax(axis=1)]):
            start, end = sentence.spans[span.start][0], sentence.spans[span.end - 1][1]
            score = float(shares[span.start : span.end].max(axis=1).mean())
            found.append(
                Entity(
                    entity_group=span.kind,
                    score=score,
                    word=sentence.text[start:end],
                    start=start,
                    end=end,
                )
            )
        return Entities(entities=found)

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make sentences of random words."""
        return [
            fitting(words, list, lambda value: self.encode([self.parse(value)]))
            for words in self.made_words(count, seed)
        ]


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Read the entities that a sequence of labels spells, as conlleval does.

    A new entity begins at B- and S-, and at any other label whose kind differs from the one before;
    it ends after E-.
    """
    pieces: list[tuple[str, int]] = []  # the kind of each word and the number of its entity
    number, before, closed = 0, "", True
    for tag in tags:
        prefix, kind = _parts(tag)
        if kind != before or closed or prefix in ("B", "S"):
            number += 1
        pieces.append((kind, number))
        before, closed = kind, prefix in ("E", "S")
    spans, place = [], 0
    for (kind, _), group in groupby(pieces):
        size = len(list(group))
        if kind:
            spans.append(Span(kind, place, place + size))
        place += size
    return spans


def _parts(tag: str) -> tuple[str, str]:
    """Cut a label into prefix and kind; one without a prefix is its own kind."""
    if tag == OUTSIDE:
        return "", ""
    prefix, dash, kind = tag.partition("-")
    return (prefix, kind) if dash else ("", tag)


def _of_words(words: Sequence[object]) -> Sentence:
    """Make a sentence of words that are cut already; raises InputError."""
    spans, place = [], 0
    text = " ".join(map(checked_text, words[: MAX_WORDS + 1]))
    for word in map(str, words[: MAX_WORDS + 1]):
        spans.append((place, place + len(word)))
        place += len(word) + 1
    if len(text) > MAX_CHARACTERS:
        raise InputError(f"an input must be a text of at most {MAX_CHARACTERS} characters")
    return _bounded(Sentence(text, tuple(spans)))


def _bounded(sentence: Sentence) -> Sentence:
    if len(sentence.spans) > MAX_WORDS:
        raise InputError(f"an input may have at most {MAX_WORDS} words")
    return sentence


def json_list(value: object) -> object:
    """Read the JSON array that a cell of a CSV holds; any other value stays as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def load(folder: Path, config: object) -> TokenClassification:
    """Make the task from task.json's content and tokenizer.json; raises InputError."""
    described = msgspec.convert(config, Config)
    return TokenClassification(load_tokenizer(folder), described)
