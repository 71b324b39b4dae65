"""How answers stand against guessing: one function for each kind of answer.

Each gives a measure with its bounds, what guessing has, what is said instead of what, and what
else is odd: chance.py computes, confusion.py finds the words.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from edgekit.nouns import Standing
from edgekit.profiles.evaluations.chance import (
    Bounded,
    balanced_accuracy,
    entity_f1,
    mean_area,
    rank_correlation,
)
from edgekit.profiles.evaluations.confusion import (
    areas_of_all,
    confusion_of,
    other_names,
    other_names_by_area,
    quoted,
)

MIXED_UP = "label names in another order, indices that start at 1, or the wrong column?"
UNTOLD = "the data can't tell the model from guessing"
ALIKE = 0.5  # F1 of entities in the answers to other rows, from which on the rows are too alike


def by_recall(
    names: Sequence[str],
    truth: np.ndarray,
    said: np.ndarray,
    area: Callable[[], Bounded | None],
    confidence: float,
) -> Standing:
    """Hold labels, one for each row, against guesses.

    truth, said: int [rows], indices of `names`.
    area: of the scores. Where they rank and the decisions do not, a threshold is what is missing,
        unless it is the names.
    """
    found, classes = balanced_accuracy(truth, said, confidence), len(set(truth.tolist()))
    warnings = list(_oddities(names, truth, said))
    renamed = other_names(names, truth, said, confidence)
    warnings += [f"its {renamed}"] if renamed else []
    is_weak = classes > 1 and found.is_no_better(1 / classes)
    scores = area() if is_weak and not renamed else None
    if scores and scores.low > 0.5:
        is_weak = False
        warnings.append(
            "its decisions are no better than guessing, but its scores are (mean ROC AUC"
            f" {scores.value:.4f}): choose a threshold with [model.threshold]"
        )
    return _standing(
        "balanced_accuracy",
        found,
        1 / classes,
        confidence,
        len(truth),
        is_weak=is_weak,
        warnings=warnings,
        confusion=confusion_of(names, truth, said),
    )


def _oddities(names: Sequence[str], truth: np.ndarray, said: np.ndarray) -> Iterator[str]:
    """Say what is odd about labels, one for each row."""
    counts = np.bincount(truth, minlength=len(names))
    accuracy, most = float(np.mean(truth == said)), int(counts.argmax())
    share = float(counts[most] / len(truth))
    if share == 1:
        yield (
            f"every row has the label {quoted(names[most])}: balanced accuracy of one class is its"
            " recall, which can't tell a model from one that always says so"
        )
    elif len(set(said.tolist())) == 1:
        yield f"it says {quoted(names[int(said[0])])} for every row"
    if accuracy < share:
        yield (
            f"its accuracy, {accuracy:.4f}, is below {share:.4f}, the share of the most frequent"
            f" label, {quoted(names[most])}: {MIXED_UP}"
        )


def by_area(
    names: Sequence[str], shares: np.ndarray, is_true: np.ndarray, confidence: float
) -> Standing:
    """Hold the scores of labels, any number of which are right, against guesses.

    shares: float [rows, labels]. is_true: bool, as large.
    """
    found = mean_area(shares, is_true, confidence)
    if found is None:
        why = f"each label applies to every row or to none: {UNTOLD}"
        return _standing("macro_roc_auc", None, 0.5, confidence, len(shares), warnings=[why])
    areas = np.diag(areas_of_all(shares, is_true))
    worst = [int(label) for label in np.argsort(areas)[:3] if np.isfinite(areas[label])]
    shown = ", ".join(f"{quoted(names[label])} {areas[label]:.4f}" for label in worst)
    renamed = other_names_by_area(names, shares, is_true)
    return _standing(
        "macro_roc_auc",
        found,
        0.5,
        confidence,
        len(shares),
        is_weak=found.is_no_better(0.5),
        warnings=[renamed] if renamed else [],
        confusion=f"ranks worst: {shown}",
    )


def by_order(rows: np.ndarray, confidence: float) -> Standing:
    """Hold the order of scores against no order; rows: float [pairs, 2], said and right."""
    if np.ptp(rows[:, 1]) == 0:
        why = f"every row has the same label: {UNTOLD}"
        return _standing("spearman_cosine", None, 0.0, confidence, len(rows), warnings=[why])
    found = rank_correlation(rows, confidence)
    falls = "says the less the more the label says: does the label column hold distances?"
    return _standing(
        "spearman_cosine",
        found,
        0.0,
        confidence,
        len(rows),
        is_weak=found.is_no_better(0.0),
        confusion=falls if found.high < 0 else "",
    )


def by_entities(
    names: Sequence[str],
    right: Sequence[Sequence[int]],
    said: Sequence[Sequence[int]],
    entities: Callable[[Iterable[int]], AbstractSet[Hashable]],
    confidence: float,
) -> Standing:
    """Hold entities against those of the same answers, given to other rows.

    right, said: each word's label, an index of `names`. entities: reads them.
    """
    spans = [entities(row) for row in right]
    if not any(spans):
        why = f"no row holds an entity: {UNTOLD}"
        return _standing("entity_f1", None, 0.0, confidence, len(right), warnings=[why])
    found, chance = entity_f1(spans, [entities(row) for row in said], confidence)
    words = [np.array([tag for row in rows for tag in row], dtype=int) for rows in (right, said)]
    warnings = []
    if chance >= ALIKE:
        warnings.append(f"the answer to one row is right for most others: {UNTOLD}")
    renamed = other_names(names, words[0], words[1], confidence)
    if renamed:
        warnings.append(f"by words its {renamed}")
    return _standing(
        "entity_f1",
        found,
        chance,
        confidence,
        len(right),
        is_weak=chance < ALIKE and found.is_no_better(chance),
        warnings=warnings,
        confusion=confusion_of(names, words[0], words[1]),
    )


def _standing(
    measure: str,
    found: Bounded | None,
    chance: float,
    confidence: float,
    samples: int,
    *,
    is_weak: bool = False,
    warnings: Sequence[str] = (),
    confusion: str = "",
) -> Standing:
    return Standing(
        measure=measure,
        value=found.value if found else None,
        low=found.low if found else None,
        high=found.high if found else None,
        chance=chance,
        confidence=confidence,
        samples=samples,
        is_weak=is_weak,
        confusion=confusion,
        warnings=tuple(warnings),
    )
