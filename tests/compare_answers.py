"""Compare what edgekit says of an input with what the user's own library says of it."""

import unicodedata
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from edgekit.edge.model.tensor_model import Model
from edgekit.edge.tasks.classification import softmax
from edgekit.edge.tasks.predictions import Embedding, Entities, Prediction
from tests.own_library import Answer, Entity, Said, Words

Verdict = Literal["right", "refused", "flagged", "WRONG"]
VERDICTS: tuple[Verdict, ...] = ("right", "refused", "flagged", "WRONG")
NAMED = ("InputError", "not a number")  # in what is said of an input that is not answered
# Kinds of inputs that edgekit may refuse, though the library makes something of them: numbers
# beyond what a float32 graph can reckon with, texts that only some readers take for numbers,
# pictures of which the library drops a part (bits, transparency, frames) or of kinds that no model
# is asked about, and sizes beyond edgekit's bounds.
MAY_REFUSE = {
    "200,000 characters",
    "PNG, 16 bit",
    "TIFF, 16 bit",
    "TIFF, float",
    "PNG, alpha",
    "PNG, grey and alpha",
    "PNG, palette, transparent",
    "WebP, lossless, alpha",
    "PNG, moving",
    "WebP, moving",
    "TIFF, pages",
    "GIF",
    "GIF, transparent",
    "GIF, moving",
    "huge",
    "beyond float32",
    "NaN",
    "missing",
    "text that is no number",
    "text that Python reads",
    "true and false",
}
FAIR = "spells the padding token"  # which llama.cpp's RoBERTa can't read as it was trained


class Tolerance(NamedTuple):
    """How far two answers that are the same may be apart.

    score: of probabilities.
    cosine: below 1, of vectors.
    pixel: of what the model is given, as it is given it.
    """

    score: float = 1e-4
    cosine: float = 1e-5
    pixel: float = 1 / 255 / 0.22


EXACT = Tolerance()
HALF = Tolerance(score=5e-3, cosine=1e-4)  # for matrices and arithmetic in 16 bits


def said_by(prediction: Prediction | Exception, labels: Sequence[str]) -> Said:
    """Put edgekit's prediction, or its error, as the library's is put."""
    if isinstance(prediction, Exception):
        return Said(problem=f"{type(prediction).__name__}: {prediction}")
    answer: Answer
    if isinstance(prediction, Entities):
        answer = [
            Entity(item.entity_group, item.start, item.end, item.score)
            for item in prediction.entities
        ]
    elif isinstance(prediction, Embedding):
        answer = np.array(prediction.embedding)
    else:
        answer = dict(zip(labels, prediction.probabilities, strict=True))
    return Said(answer=answer, is_cut=bool(getattr(prediction, "truncated", False)))


def labels_of_words(model: Model, value: object) -> list[list[np.ndarray]]:
    """Return the probabilities of the labels of each word of a document."""
    [answer] = model.answers([model.task.parse(value)])
    return [[softmax(word)] for word in answer]


def given_to(model: Model, value: object) -> np.ndarray | None:
    """Return the token ids or the pixels that edgekit makes of one input, without padding."""
    feeds: dict[str, Any] = model.task.encode([model.task.parse(value)])
    name = next((name for name in ("input_ids", "pixel_values") if name in feeds), None)
    return np.asarray(feeds[name][0]) if name else None


def judge(
    kind: str, right: Sequence[Said], found: Said, tolerance: Tolerance
) -> tuple[Verdict, str]:
    """Judge what edgekit says; return also, where it is wrong, what is wrong with it.

    kind: of the input.
    right: what the library says; any of it will do.
    """
    wrong = [_what_is_wrong(kind, said, found, tolerance) for said in right]
    if all(wrong):
        return "WRONG", wrong[-1]
    is_long = found.is_cut or (right[wrong.index("")].is_cut and not found.problem)
    return ("refused" if found.problem else "flagged" if is_long else "right"), ""


def _what_is_wrong(kind: str, right: Said, found: Said, tolerance: Tolerance) -> str:
    if not found.problem:
        return _wrong_answer(right, found, tolerance)
    if not any(word in found.problem for word in NAMED):
        return f"an error that names nothing: {found.problem}"
    is_fair = (
        right.problem
        or right.is_cut
        or kind.removesuffix(", as words") in MAY_REFUSE
        or FAIR in found.problem
    )
    return "" if is_fair else f"refused for nothing: {found.problem}"


def _wrong_answer(right: Said, found: Said, tolerance: Tolerance) -> str:
    is_windowed = right.is_cut and _is_of_windows(right.words, found.words, tolerance)
    checks = (
        (bool(right.problem), f"answered, where the library raises {right.problem}"),
        (
            not _is_given_the_same(right.given, found.given, tolerance),
            "the model is given other tokens or pixels",
        ),
        (
            not (is_windowed or is_same(right.answer, found.answer, tolerance)),
            "another answer to what the model is given",
        ),
        (right.is_cut and not found.is_cut and not is_windowed, "cut in silence"),
        (found.is_cut and not right.is_cut, "flagged, and nothing is cut"),
        (bool(found.flaw), found.flaw),
    )
    return next((text for is_wrong, text in checks if is_wrong), "")


def _is_of_windows(
    right: Sequence[Sequence[np.ndarray]],
    found: Sequence[Sequence[np.ndarray]],
    tolerance: Tolerance,
) -> bool:
    """Tell whether each word of a long document has the labels that one of its windows says."""
    return (
        bool(right)
        and len(right) == len(found)
        and all(
            any(np.abs(said - window).max() <= tolerance.score for window in windows)
            for windows, [said] in zip(right, found, strict=True)
            if windows
        )
    )


def _is_given_the_same(
    right: np.ndarray | None, found: np.ndarray | None, tolerance: Tolerance
) -> bool:
    if right is None or found is None:
        return True
    slack = tolerance.pixel if right.dtype.kind == "f" else 0
    return right.shape == found.shape and bool(np.all(np.abs(right - found) <= slack))


def is_same(right: Answer | None, found: Answer | None, tolerance: Tolerance) -> bool:
    """Tell whether two answers are the same within a tolerance."""
    if isinstance(right, dict) and isinstance(found, dict):
        return right.keys() == found.keys() and all(
            abs(right[label] - found[label]) <= tolerance.score for label in right
        )
    if isinstance(right, np.ndarray) and isinstance(found, np.ndarray):
        lengths = float(np.linalg.norm(right)) * float(np.linalg.norm(found))
        return right.shape == found.shape and float(right @ found) >= lengths * (
            1 - tolerance.cosine
        )
    if isinstance(right, list) and isinstance(found, list):
        return [item[:3] for item in right] == [item[:3] for item in found] and all(
            abs(a.score - b.score) <= tolerance.score for a, b in zip(right, found, strict=True)
        )
    return False


def flaw_of_words(text: str, words: Words) -> str:
    """Say what is wrong with the words that a text is cut into, by any reading of it."""
    inside = {place for start, end in words for place in range(start, end)}
    if any(letter.isalnum() and place not in inside for place, letter in enumerate(text)):
        return "a letter is in no word"
    # A mark belongs to the letter before it: accents, vowel signs.
    starts = {start for start, _ in words if start > 0}
    if any(
        unicodedata.category(text[start]) in ("Mn", "Mc") and text[start - 1].isalnum()
        for start in starts
    ):
        return "a word is cut within a letter"
    return ""
