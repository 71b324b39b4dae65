"""What a model says instead of what is right, in a line: and whether its labels are misnamed.

Labels are no payload, so that they may stand in errors, reports and logs.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from edgekit.confidence import share_lower_bound
from edgekit.profiles.evaluations.metrics import ranks

SHOWN = 3  # pairs of labels in a line
LETTERS = 40  # of a label
RANKS_WELL = 0.8  # a mean area under ROC curves that names in another order must reach to be told


def confusion_of(names: Sequence[str], truth: np.ndarray, said: np.ndarray) -> str:
    """Write which labels are most often said for which others; "" where none is.

    truth, said: int [units], indices of `names`.
    """
    wrong = truth != said
    pairs = Counter(zip(truth[wrong].tolist(), said[wrong].tolist(), strict=True))
    often = np.bincount(truth, minlength=len(names))
    worst = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    return ", ".join(
        f"says {quoted(names[other])} for {quoted(names[label])} {count} of {often[label]} times"
        for (label, other), count in worst
    )


def other_names(
    names: Sequence[str], truth: np.ndarray, said: np.ndarray, confidence: float
) -> str:
    """Say which other names would make the answers clearly right; "" where none would.

    Where each label that occurs is mostly said as one other, and no two as the same, the model
    knows the classes and their names are wrong. That is taken for clear if its accuracy under
    those names, by its lower bound, is above what it has by the upper one, and above the share of
    the most frequent label.
    """
    table = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(table, (truth, said), 1)
    hits, total = int(np.trace(table)), len(truth)
    labels, best = _best_names(table)
    if len(labels) == 0 or np.any(2 * table[labels, best] <= table[labels].sum(axis=1)):
        return ""
    would = int(table[labels, best].sum())
    highest = 1 - share_lower_bound(total - hits, total, confidence)
    most = int(table.sum(axis=1).max()) / total
    if share_lower_bound(would, total, confidence) <= max(highest, most):
        return ""
    return f"accuracy would be {would / total:.4f} {_renamed(names, labels, best)}"


def other_names_by_area(names: Sequence[str], shares: np.ndarray, is_true: np.ndarray) -> str:
    """Say which other names would make the scores rank well; "" where none would.

    shares: float [inputs, labels]. is_true: bool, as large.
    """
    areas = areas_of_all(shares, is_true)
    labels, best = _best_names(areas)
    if len(labels) == 0 or np.mean(areas[labels, best]) < RANKS_WELL:
        return ""
    would = float(np.mean(areas[labels, best]))
    return f"the mean ROC AUC would be {would:.4f} {_renamed(names, labels, best)}"


def areas_of_all(shares: np.ndarray, is_true: np.ndarray) -> np.ndarray:
    """Compute the area under the ROC curve of each label, by each output: [labels, outputs].

    NaN in the rows of labels that none of the inputs has, or all have.
    """
    ranked = np.stack([ranks(column) for column in shares.T], axis=1)
    positives = is_true.sum(axis=0).astype(np.float64)[:, None]
    sums = is_true.T.astype(np.float64) @ ranked - positives * (positives + 1) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums / (positives * (len(shares) - positives)))


def quoted(name: str) -> str:
    """Write a label in quotes, cut where it is long."""
    return repr(name if len(name) <= LETTERS else f"{name[:LETTERS]}...")


def _best_names(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that occur and what each is mostly said as.

    None where that is what they are called already, or the same for two.
    """
    labels = np.flatnonzero(np.nan_to_num(table).sum(axis=1) > 0)
    best = np.nan_to_num(table)[labels].argmax(axis=1)
    if np.array_equal(labels, best) or len(set(best.tolist())) < len(best):
        return labels[:0], best[:0]
    return labels, best


def _renamed(names: Sequence[str], labels: np.ndarray, best: np.ndarray) -> str:
    """Say what must be renamed to what."""
    if np.all(best == labels - 1):
        return (
            "if the labels were counted from 1: do the indices of the data file start at 1? Then"
            ' set data.labels_are = "indices from 1"'
        )
    moved = [(int(a), int(b)) for a, b in zip(best, labels, strict=True) if a != b]
    shown = ", ".join(f"{quoted(names[a])} is {quoted(names[b])}" for a, b in moved[: 2 * SHOWN])
    more = f" and {len(moved) - 2 * SHOWN} more" if len(moved) > 2 * SHOWN else ""
    step = (best - labels) % len(names)
    is_shift = len(labels) > 2 and len(set(step.tolist())) == 1 and step[0] in (1, len(names) - 1)
    how = "with the labels shifted by one" if is_shift else "with other names"
    return f"{how}: what it calls {shown}{more}"
