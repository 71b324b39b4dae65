"""Compare how edgekit reads a source with how the source's own library does.

Token ids must be the same, pixels within one grey level, vectors and scores within what fp32 leaves
open. The first row where the two part ends the build: whatever is built behind a wrong reading
would answer wrongly, and agree with itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgekit.edge.tasks import Task
from edgekit.errors import InputError
from edgekit.job import Progress
from edgekit.profiles.data import Dataset
from edgekit.quantize.reference import Reference
from edgekit.quantize.reference.given import GivenAnswers
from edgekit.quantize.reference.own import REFERENCE_BATCH, Answer
from edgekit.quantize.reference.parted import (
    Parted,
    kept_ids,
    same_answers,
    same_ids,
    same_padding,
    same_pixels,
    same_tokens,
)
from edgekit.quantize.reference.raw import completed, raw

MOST_ROWS = 256  # of the calibration file, spread over it
MADE = 16  # inputs, whose lengths go up to what the model takes
MADE_SEED = 21
MOST_WORDS = 1 << 14  # of a text that is too long: the longest that a spec may ask for is 8,192
# What tokenizers are known to read in ways of their own: case, accents, signs, scripts, blanks.
ODD = (
    "",
    " ",
    "  Two  BLANKS\tand\na line ",
    "caf\u00e9 cafe\u0301 \u0130stanbul \u00df\ufb01",
    "a-b_c d.e,f;g!h?(i)[j]",
    "e-mail to x@y.org, 1,234.56 \u20ac at 12:30; http://a.b/c?d=e",
    "\u6c34\u6cf5\u6f0f\u6c34\u4e86 \u30dd\u30f3\u30d7 pump\u6c34",
    "\u0627\u0644\u0645\u0636\u062e\u0629 \u0645\u064f\u0639\u0637\u0651\u0644\u0629",
    "\u043d\u0430\u0441\u043e\u0441 \u0433\u0440\u0435\u0435\u0442\u0441\u044f",
    "\U0001f527\U0001f468\u200d\U0001f52c ok\ufe0f",
    "tab\u00a0\u3000\u200b\u0007end",
    "[SEP] </s> <s> [MASK] <mask> <pad>",
    "don't it's \u201cquoted\u201d \u2026",
    "UPPER Lower mIxEd",
    "x" * 300,
)


def compare_preprocessing(
    reference: Reference,
    own: Answer,
    task: Task[Any],
    calibration: Dataset,
    progress: Progress,
) -> None:
    """Raise InputError where edgekit reads an input otherwise than the reference's library does.

    own: the answers behind edgekit's own preprocessing.
    task: what edgekit reads inputs with.
    """
    if reference.labels is not None and reference.labels != tuple(task.labels):
        raise _stops(reference, "its list of labels", "they have other names or another order")
    chosen = calibration.take(
        np.unique(np.linspace(0, len(calibration) - 1, MOST_ROWS).astype(int)).tolist()
    )
    given = [
        (f"{calibration.path}: row {chosen.row_of(place)}", value)
        for place, value in enumerate(chosen.inputs)
    ]
    made = [
        (f"made input {number}", task.parse(value))
        for number, value in enumerate(task.made_inputs(MADE, MADE_SEED), 1)
    ]
    is_of_text = "attention_mask" in (reference.tensors([made[0][1]]) or ())
    for part in (given, made):
        if is_of_text:
            part = [(name, value) for name, value in part if _is_read(task, value)]  # noqa: PLW2901
        for start in range(0, len(part), REFERENCE_BATCH):
            progress("comparing with the library", start / len(part))
            names, values = zip(*part[start : start + REFERENCE_BATCH], strict=True)
            try:
                compare_tensors(reference, task, values)
                same_answers(own(values), reference.answers(values), bool(task.labels))
            except Parted as parted:
                raise _stops(reference, names[parted.place], str(parted)) from None
    for number, value in _odd(reference, task) if is_of_text else ():
        try:
            compare_tensors(reference, task, [value])
        except Parted as parted:
            raise _stops(reference, f"made text {number}", str(parted)) from None


def compare_with_given(
    given: GivenAnswers,
    own: Answer,
    task: Task[Any],
    file: tuple[Dataset, Sequence[int]],
    progress: Progress,
) -> list[np.ndarray]:
    """Return the given answers to a data file, once edgekit's reading has been compared with them.

    file: with the indices of the rows that the model refuses, which are left out.

    Where the library cut words off, edgekit's own answer stands: it may have seen more of them. An
    input that this reading refuses keeps what was given. Raises InputError where the two part.
    """
    data, refused = file
    rows, left_out = given.rows(data), set(refused)
    right = list(rows.answers)
    kept = [n for n in range(len(data.inputs)) if n // data.width not in left_out]
    for start in range(0, len(kept), REFERENCE_BATCH):
        progress("comparing with the given answers", start / len(kept))
        part = kept[start : start + REFERENCE_BATCH]
        read = [place for place in part if _is_read(task, data.inputs[place])]
        if not read:
            continue
        said = dict(zip(read, own([data.inputs[place] for place in read]), strict=True))
        whole = [n for n in read if not _may_be_longer(data.inputs[n], rows.is_cut[n])]
        tensors = task.encode([data.inputs[place] for place in whole]) if whole else {}
        for place in read:
            right[place] = completed(right[place], said[place]) if place in whole else said[place]
        place = part[0]
        try:
            for at, place in enumerate(whole):
                same_ids(0, kept_ids(task.encode([data.inputs[place]]))[0], rows.ids[place])
                same_answers([said[place]], [right[place]], bool(task.labels))
                same_padding(0, tensors["attention_mask"][at], given.about.padding_side)
        except Parted as parted:
            row = data.row_of(place)
            raise _stops(given, f"{data.path}: row {row}", str(parted)) from None
    return [right[place] for place in kept]


def _stops(reference: Reference | GivenAnswers, where: str, what: str) -> InputError:
    return InputError(
        f"{where} is read otherwise than by {reference.words}: {what}; every variant would answer"
        " wrongly. See docs/your-own-model.md: What the reference is"
    )


def _odd(reference: Reference, task: Task[Any]) -> Iterator[tuple[int, Any]]:
    """Yield texts that tokenizers read in many ways, and one that the library cuts.

    Each has its number; those that the task refuses are left out.
    """
    words = 32
    while words < MOST_WORDS and not reference.is_cut([long := task.parse(_counting(words))])[0]:
        words *= 2
    for number, value in enumerate((*map(task.parse, ODD), long), 1):
        if _is_read(task, value):
            yield number, value


def _counting(words: int) -> str:
    return " ".join(map(str, range(words)))


def _is_read(task: Task[Any], value: Any) -> bool:  # noqa: ANN401
    """Tell whether a task makes tensors of an input; else it refuses it, and says so."""
    try:
        task.encode([value])
    except InputError:
        return False
    return True


def _may_be_longer(value: Any, is_cut: bool) -> bool:  # noqa: ANN401
    """Tell whether edgekit may answer for more of an input than the library.

    A text is cut as the library cuts it; words that the library leaves out may be tagged.
    """
    return is_cut and raw(value) is not value


def compare_tensors(reference: Reference, task: Task[Any], inputs: Sequence[Any]) -> None:
    """Compare what goes into the model; raises Parted."""
    cut = reference.is_cut(inputs)
    longer = [place for place, value in enumerate(inputs) if _may_be_longer(value, cut[place])]
    whole = [place for place in range(len(inputs)) if place not in longer]
    try:
        if whole:
            _compare_whole([inputs[place] for place in whole], reference, task)
    except Parted as parted:
        raise Parted(whole[parted.place], str(parted)) from None
    for place in longer:
        _compare_kept(place, inputs[place], reference, task)


def _compare_whole(inputs: Sequence[Any], reference: Reference, task: Task[Any]) -> None:
    theirs = reference.tensors(inputs)
    if theirs is None:
        return
    ours = task.encode(inputs)
    if "attention_mask" not in theirs:
        same_pixels(ours, theirs, reference.grey_level)
        return
    if len(ours["input_ids"]) != len(inputs):  # a window is a row of its own
        for place, value in enumerate(inputs):
            if (count := len(task.encode([value])["input_ids"])) > 1:
                raise Parted(place, f"edgekit reads it in {count} windows and the library at once")
    same_tokens(ours, theirs)


def _compare_kept(place: int, value: Any, reference: Reference, task: Task[Any]) -> None:  # noqa: ANN401
    """Compare the tokens that both keep of an input that the library cuts and edgekit may not.

    The last of them, next to the cut, may be the one that ends a text.
    """
    theirs = reference.tensors([value])
    if theirs is None:
        return
    is_right = reference.truncation_side == "right"
    own, right = kept_ids(task.encode([value]))[0 if is_right else -1], kept_ids(theirs)[0]
    both = max(0, min(len(own), len(right)) - 1)
    if is_right:
        same_ids(place, own[:both], right[:both])
    else:
        same_ids(place, own[::-1][:both], right[::-1][:both], "token {} from the end")
