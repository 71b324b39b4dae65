"""What a model's user gets from their own library for a raw input, beside which edgekit is held.

That is a transformers pipeline for classifiers and taggers, SentenceTransformer for embedders, ONNX
Runtime behind transformers' image processor for pictures, and scikit-learn's predict_proba for
tables. Each answers one input at a time, as it came.
"""

import io
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SHARED = 4  # two windows of a long document share one token in so many
# Families whose tokenizers take words only so, as run_ner.py has it.
PREFIXED = ("bloom", "deberta", "gpt2", "roberta")


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

    answer: None where it raises an error.
    given: what the model was given: token ids or pixels; None where that can't be compared.
    is_cut: a part of the input was left out.
    words: of a document that is tagged and cut, the probabilities of each word's labels, as each
        window has them that the word is in.
    problem: the kind of the error.
    flaw: what is wrong with the answer by itself.
    """

    answer: Answer | None = None
    given: np.ndarray | None = None
    is_cut: bool = False
    words: Sequence[Sequence[np.ndarray]] = ()
    problem: str = ""
    flaw: str = ""


class Library:
    """A model in its user's own library, on one thread: they are small."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)

    def says(self, value: Any, words: Words = ()) -> list[Said]:  # noqa: ANN401
        """Return what it answers to a raw input, or the kind of the error that it raises.

        Several answers are right where a text is tagged: the library does not say what a word is.

        words: of a text that is to be tagged, as somebody else sees them.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(self._says(value, words))
        except Exception as error:  # noqa: BLE001 - libraries raise anything
            return [Said(problem=type(error).__name__)]

    def _says(self, value: Any, words: Words) -> Iterable[Said]:  # noqa: ANN401
        raise NotImplementedError


class TextClassifier(Library):
    """The pipeline text-classification with every label, cut at the model's length."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from transformers import pipeline

        self._pipeline = pipeline("text-classification", model=str(folder), device="cpu")

    def _says(self, value: str, words: Words) -> Iterable[Said]:
        given, is_cut = _ids(self._pipeline.tokenizer, value)
        found = self._pipeline(value, top_k=None, truncation=True)
        answer = {item["label"]: item["score"] for item in found}
        yield Said(answer=answer, given=given, is_cut=is_cut)


class Tagger(Library):
    """The pipeline token-classification; a word has the label of its first token, as in training.

    What the words of a text are is the caller's choice: the model is given these, as transformers'
    example of training hands them over (run_ner.py), or the text as it is.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        from transformers import AutoTokenizer, pipeline

        kind = json.loads((folder / "config.json").read_text())["model_type"]
        options = {"add_prefix_space": True} if kind in PREFIXED else {}
        self._tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        self._pipeline = pipeline(
            "token-classification",
            model=str(folder),
            tokenizer=self._tokenizer,
            device="cpu",
            ignore_labels=[],
        )

    def _says(self, value: str | list[str], words: Words) -> Iterable[Said]:
        if isinstance(value, list):
            ends = list(accumulate((len(word) + 1 for word in value), initial=0))
            spans = [(end, end + len(word)) for end, word in zip(ends, value, strict=False)]
            return self._says_of_words(value, spans)
        text = self._says_of_text(value, words)
        return [text, *self._says_of_words([value[start:end] for start, end in words], words)]

    def _says_of_words(self, cut: list[str], spans: Words) -> Iterator[Said]:
        given, is_cut = _ids(self._tokenizer, cut)
        ids = self._tokenizer(cut, truncation=True, is_split_into_words=True).word_ids()
        tokens = self._pipeline([cut], is_split_into_words=True)[0] if cut else []
        found: dict[int, dict[str, Any]] = {}
        for token in tokens:
            number = ids[token["index"]]
            start, end = spans[number]
            found.setdefault(number, token | {"start": start, "end": end})
        # A word without a token, such as an empty one, is passed over, or is outside of all.
        outside = {"entity": "O", "score": 1.0, "word": "", "start": 0, "end": 0}
        every = {number: found.get(number, outside) for number in range(len(cut))}
        windows = self._in_windows(cut) if is_cut else ()
        for words in (found, every):
            yield Said(answer=self._grouped(words), given=given, is_cut=is_cut, words=windows)

    def _says_of_text(self, text: str, spans: Words) -> Said:
        given, is_cut = _ids(self._tokenizer, text)
        found: dict[int, dict[str, Any]] = {}
        for token in self._pipeline(text):
            for number, (start, end) in enumerate(spans):
                if start <= token["start"] < end:
                    found.setdefault(number, token | {"start": start, "end": end})
        return Said(answer=self._grouped(found), given=given, is_cut=is_cut)

    def _in_windows(self, cut: list[str]) -> list[list[np.ndarray]]:
        """Return what each window of a long document says of each of its words."""
        import torch

        room = self._tokenizer.model_max_length - self._tokenizer.num_special_tokens_to_add()
        made = self._tokenizer(
            cut,
            is_split_into_words=True,
            truncation=True,
            padding=True,
            stride=room // SHARED,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        feeds = {name: made[name] for name in self._tokenizer.model_input_names}
        with torch.inference_mode():
            shares = self._pipeline.model(**feeds).logits.softmax(-1).numpy()
        found: list[list[np.ndarray]] = [[] for _ in cut]
        for window, offsets in enumerate(made["offset_mapping"].tolist()):
            for place, word in enumerate(made.word_ids(window)):
                if word is not None and offsets[place][0] == 0:
                    found[word].append(shares[window, place])
        return found

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
        super().__init__()
        from sentence_transformers import SentenceTransformer

        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    def _says(self, value: str, words: Words) -> Iterable[Said]:
        given = self._model.tokenize([value])["input_ids"][0].numpy()
        whole, _ = _ids(self._model.tokenizer, value, truncation=False)
        answer = self._model.encode(value, show_progress_bar=False)
        yield Said(answer=answer, given=given, is_cut=len(whole) > len(given))


def _ids(tokenizer: Any, value: object, *, truncation: bool = True) -> tuple[np.ndarray, bool]:  # noqa: ANN401
    """Return a text's token ids, and whether they are not all."""
    options = {"is_split_into_words": isinstance(value, list), "verbose": False}
    ids = np.array(tokenizer(value, truncation=truncation, **options)["input_ids"])
    whole = tokenizer(value, **options)["input_ids"]
    return ids, len(whole) > len(ids)


class PictureClassifier(Library):
    """ONNX Runtime behind transformers' image processor, and its way to open a picture."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        super().__init__()
        import onnxruntime
        from transformers import AutoImageProcessor

        self._labels = labels
        self._processor = AutoImageProcessor.from_pretrained(folder, use_fast=False)
        self._session = onnxruntime.InferenceSession(folder / "model.onnx")

    def _says(self, value: bytes, words: Words) -> Iterable[Said]:
        from PIL import Image
        from transformers.image_utils import load_image

        image = load_image(Image.open(io.BytesIO(value)))
        # It would take the first of three rows for a colour.
        made = self._processor(image, input_data_format="channels_last", return_tensors="np")
        pixels = made["pixel_values"]
        [logits] = self._session.run(["logits"], {"pixel_values": pixels})
        shares = np.exp(logits[0].astype(np.float64) - logits[0].max())
        answer = dict(zip(self._labels, (shares / shares.sum()).tolist(), strict=True))
        yield Said(answer=answer, given=pixels[0])


class TableClassifier(Library):
    """scikit-learn's predict_proba of a row in the order of the features."""

    def __init__(self, pipeline: Any, features: Sequence[str]) -> None:  # noqa: ANN401
        super().__init__()
        self._pipeline = pipeline
        self._features = features

    def _says(self, value: Any, words: Words) -> Iterable[Said]:  # noqa: ANN401
        row = [value[name] for name in self._features] if isinstance(value, dict) else value
        shares = self._pipeline.predict_proba([row])[0]
        answer = dict(zip(map(str, self._pipeline.classes_), shares.tolist(), strict=True))
        yield Said(answer=answer)
