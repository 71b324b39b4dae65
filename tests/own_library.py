"""What a model's user gets from their own library for a raw input, beside which edgekit is held.

That is a transformers pipeline for classifiers and taggers, SentenceTransformer for embedders, ONNX
Runtime behind transformers' image processor for pictures, and scikit-learn's predict_proba for
tables. Each answers one input at a time, as it came.
"""

import io
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Families whose tokenizers take words only so, as run_ner.py has it.
PREFIXED = ("bloom", "deberta", "gpt2", "roberta")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Entity(NamedTuple):
    """A span of a text, from `start` to before `end`, and what it is said to be."""

    group: str
    start: int
    end: int
    score: float


Answer = dict[str, float] | np.ndarray | list[Entity]  # probabilities by label, a vector, spans
Words = Sequence[tuple[int, int]]  # where the words of a text are


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one side says of one input.

    answers: those that are right, as a tagger's library does not always say what a word is; none
        where it raises an error.
    given: what the model was given: token ids or pixels; None where that can't be compared.
    is_cut: a part of the input was left out.
    problem: the kind of the error.
    """

    answers: tuple[Answer, ...] = ()
    given: np.ndarray | None = None
    is_cut: bool = False
    problem: str = ""


class Library:
    """A model in its user's own library."""

    def says(self, value: Any, words: Words = ()) -> Said:  # noqa: ANN401
        """Return what it answers to a raw input, or the kind of the error that it raises.

        words: of a text that is to be tagged, as somebody else sees them.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._says(value, words)
        except Exception as error:  # noqa: BLE001 - libraries raise anything
            return Said(problem=type(error).__name__)

    def _says(self, value: Any, words: Words) -> Said:  # noqa: ANN401
        raise NotImplementedError


class TextClassifier(Library):
    """The pipeline text-classification with every label, cut at the model's length."""

    def __init__(self, folder: Path) -> None:
        from transformers import pipeline

        self._pipeline = pipeline("text-classification", model=str(folder), device="cpu")

    def _says(self, value: str, words: Words) -> Said:
        given, is_cut = _ids(self._pipeline.tokenizer, value)
        found = self._pipeline(value, top_k=None, truncation=True)
        answer = {item["label"]: item["score"] for item in found}
        return Said(answers=(answer,), given=given, is_cut=is_cut)


class Tagger(Library):
    """The pipeline token-classification; a word has the label of its first token, as in training.

    A tokenizer that knows words (WordPiece) gets a text as it is; the words are its own, or the
    caller's. Of any other the pipeline can only guess the words: it gets those of the caller, as
    transformers' example of training (run_ner.py) hands them over.
    """

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, pipeline

        kind = json.loads((folder / "config.json").read_text())["model_type"]
        options = {"add_prefix_space": True} if kind in PREFIXED else {}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model = self._tokenizer.backend_tokenizer.model
        self._knows_words = bool(getattr(model, "continuing_subword_prefix", None))
        self._pipeline = pipeline(
            "token-classification",
            model=str(folder),
            tokenizer=self._tokenizer,
            device="cpu",
            ignore_labels=[],
        )

    def _says(self, value: str | list[str], words: Words) -> Said:
        if isinstance(value, str) and self._knows_words:
            return self._says_of_text(value, words)
        if isinstance(value, str):
            return self._says_of_words([value[start:end] for start, end in words], words)
        ends = list(accumulate((len(word) + 1 for word in value), initial=0))
        spans = [(end, end + len(word)) for end, word in zip(ends, value, strict=False)]
        return self._says_of_words(value, spans)

    def _says_of_words(self, cut: list[str], spans: Words) -> Said:
        given, is_cut = _ids(self._tokenizer, cut)
        ids = self._tokenizer(cut, truncation=True, is_split_into_words=True).word_ids()
        tokens = self._pipeline([cut], is_split_into_words=True)[0] if cut else []
        found: dict[int, dict[str, Any]] = {}
        for token in tokens:
            number = ids[token["index"]]
            start, end = spans[number]
            found.setdefault(number, token | {"start": start, "end": end})
        return Said(answers=(self._grouped(found),), given=given, is_cut=is_cut)

    def _says_of_text(self, text: str, words: Words) -> Said:
        given, is_cut = _ids(self._tokenizer, text)
        ids = self._tokenizer(text, truncation=True).word_ids()
        tokens = self._pipeline(text)
        own: dict[int, dict[str, Any]] = {}
        others: dict[int, dict[str, Any]] = {}
        for token in tokens:
            own.setdefault(ids[token["index"]], dict(token))["end"] = token["end"]
            for number, (start, end) in enumerate(words):
                if start <= token["start"] < end:
                    others.setdefault(number, token | {"start": start, "end": end})
        return Said(answers=(self._grouped(own), self._grouped(others)), given=given, is_cut=is_cut)

    def _grouped(self, words: dict[int, dict[str, Any]]) -> Answer:
        """Join the words' labels as the pipeline does."""
        grouped = self._pipeline.group_entities(list(words.values())) if words else []
        return [
            Entity(item["entity_group"], item["start"], item["end"], float(item["score"]))
            for item in grouped
            if item["entity_group"] != "O"
        ]


class Embedder(Library):
    """SentenceTransformer.encode."""

    def __init__(self, folder: Path) -> None:
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def _says(self, value: str, words: Words) -> Said:
        given = self._model.tokenize([value])["input_ids"][0].numpy()
        whole, _ = _ids(self._model.tokenizer, value, truncation=False)
        answer = self._model.encode(value, show_progress_bar=False)
        return Said(answers=(answer,), given=given, is_cut=len(whole) > len(given))


def _ids(tokenizer: Any, value: object, *, truncation: bool = True) -> tuple[np.ndarray, bool]:  # noqa: ANN401
    """Return a text's token ids, and whether they are not all."""
    options = {"is_split_into_words": isinstance(value, list), "verbose": False}
    ids = np.array(tokenizer(value, truncation=truncation, **options)["input_ids"])
    whole = tokenizer(value, **options)["input_ids"]
    return ids, len(whole) > len(ids)


class PictureClassifier(Library):
    """ONNX Runtime behind transformers' image processor, and its way to open a picture."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        import onnxruntime
        from transformers import AutoImageProcessor

        self._labels = labels
        self._processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
        self._session = onnxruntime.InferenceSession(folder / "model.onnx")

    def _says(self, value: bytes, words: Words) -> Said:
        from PIL import Image
        from transformers.image_utils import load_image

        image = load_image(Image.open(io.BytesIO(value)))
        # It would take the first of three rows for a colour.
        made = self._processor(image, input_data_format="channels_last", return_tensors="np")
        pixels = made["pixel_values"]
        [logits] = self._session.run(["logits"], {"pixel_values": pixels})
        shares = np.exp(logits[0].astype(np.float64) - logits[0].max())
        answer = dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))
        return Said(answers=(answer,), given=pixels[0])


class TableClassifier(Library):
    """scikit-learn's predict_proba of a row in the order of the features.

    A text is a number where a CSV reader takes it for one.
    """

    def __init__(self, pipeline: Any, features: Sequence[str]) -> None:  # noqa: ANN401
        self._pipeline = pipeline
        self._features = features

    def _says(self, value: Any, words: Words) -> Said:  # noqa: ANN401
        row = [value[name] for name in self._features] if isinstance(value, dict) else value
        shares = self._pipeline.predict_proba([[_as_csv(item) for item in row]])[0]
        answer = dict(zip(map(str, self._pipeline.classes_), shares.tolist(), strict=True))
        return Said(answers=(answer,))


def _as_csv(value: object) -> object:
    if isinstance(value, str) and NUMBER.fullmatch(value.strip(" \t")):
        return float(value)
    return value
