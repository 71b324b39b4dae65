"""Reliability: how far probabilities can be trusted, and a threshold to decide by.

ROC AUC, calibration error, and the curve of coverage and risk.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.nouns import Reliability
from edgekit.profiles.evaluations.metrics import ranks

# of equal width, as in C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017
BINS = 15
COVERAGES = tuple(round(0.1 * step, 1) for step in range(1, 11))


def reliability_of(
    labels: Sequence[str], shares: np.ndarray, is_true: np.ndarray, *, is_exclusive: bool
) -> Reliability:
    """Hold probabilities against what is true.

    shares: float64 [inputs, labels]. is_true: bool, as large. is_exclusive: one label is right for
    each input; otherwise every label is a question of its own.
    """
    areas = {
        label: roc_auc(shares[:, index], is_true[:, index])
        for index, label in enumerate(labels)
        if 0 < is_true[:, index].sum() < len(is_true)
    }
    if is_exclusive:
        best = shares.argmax(axis=1)
        confidence, right = shares.max(axis=1), is_true[np.arange(len(best)), best]
    else:
        confidence = np.maximum(shares, 1 - shares).ravel()
        right = ((shares >= 0.5) == is_true).ravel()
    return Reliability(
        roc_auc=areas,
        macro_roc_auc=float(np.mean(list(areas.values()))) if areas else None,
        ece=expected_calibration_error(confidence, right),
        coverage_risk=coverage_risk(confidence, right),
    )


def roc_auc(scores: np.ndarray, positives: np.ndarray) -> float:
    """Compute the probability that a positive has the larger score (Mann-Whitney).

    Ties count half.
    """
    count = int(positives.sum())
    total = ranks(scores)[positives].sum() - count * (count + 1) / 2
    return float(total / (count * (len(scores) - count)))


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Average the gap of confidence and accuracy over BINS bins, weighted by their size."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(np.sum(confidence[bins == index] - right[bins == index])))
        for index in range(BINS)
    ]
    return sum(gaps) / len(confidence)


def coverage_risk(confidence: np.ndarray, right: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Compute the error rate of the most confident samples, for each share of COVERAGES."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    counts = [max(1, round(share * len(wrong))) for share in COVERAGES]
    return tuple(
        (share, float(np.mean(wrong[:count])))
        for share, count in zip(COVERAGES, counts, strict=True)
    )


def threshold_for(
    scores: np.ndarray,
    positives: np.ndarray,
    *,
    specificity: float | None,
    sensitivity: float | None,
) -> float:
    """Choose the probability from which a label is said.

    One of the two shares is kept, and the other is as large as it can be.

    scores: float [samples], the label's probability.
    positives: bool [samples], where the label is right.
    """
    if specificity is not None:
        negatives = np.sort(scores[~positives])
        allowed = int((1 - specificity) * len(negatives) + 1e-9)  # so many may be said wrongly
        return (
            float(np.nextafter(negatives[len(negatives) - allowed - 1], np.inf))
            if allowed < len(negatives)
            else 0.0
        )
    found = np.sort(scores[positives])
    return float(found[int((1 - (sensitivity or 0.0)) * len(found) + 1e-9)])
