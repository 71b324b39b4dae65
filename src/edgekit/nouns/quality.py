"""What the gate measures of a variant's answers."""

from edgekit.nouns.records import Part


class Paired(Part, frozen=True, kw_only=True, tag="paired"):
    """Variant and reference compared on the same samples, each answer right or wrong.

    samples: how many there were.
    lost: samples that only the reference got right.
    gained: samples that only the variant got right.
    """

    samples: int
    lost: int
    gained: int

    @property
    def drop(self) -> float:
        """Return the accuracy lost against the reference, as a fraction; negative if it is more."""
        return (self.lost - self.gained) / self.samples


class Resampled(Part, frozen=True, kw_only=True, tag="bootstrap"):
    """What a paired bootstrap says of a metric that is no plain share.

    samples: how many there were.
    drop: metric lost against the reference; negative if the variant is better.
    bounds: pairs of a one-sided confidence and the largest drop that is not ruled out at it.
    """

    samples: int
    drop: float
    bounds: tuple[tuple[float, float], ...]


Comparison = Paired | Resampled


class Counts(Part, frozen=True, kw_only=True):
    """How often one class was found, missed, and said where it was not.

    found: samples of the class that were said to be of it.
    missed: samples of the class that were said to be of another.
    false: samples of another class that were said to be of this one.
    """

    found: int
    missed: int
    false: int

    @property
    def recall(self) -> float | None:
        """Return the share found of those that are there; None if there are none."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None

    @property
    def precision(self) -> float | None:
        """Return the share right of those that were said; None if none was."""
        return self.found / (self.found + self.false) if self.found + self.false else None


class Reliability(Part, frozen=True, kw_only=True):
    """How far the probabilities can be trusted.

    roc_auc: area under the ROC curve of each label against all others, where the data has both.
    macro_roc_auc: mean of those; None if there is none.
    ece: expected calibration error, 15 bins.
    coverage_risk: pairs of a share, 0.1 to 1, and the error rate among so many most confident ones.
    """

    roc_auc: dict[str, float]
    macro_roc_auc: float | None
    ece: float
    coverage_risk: tuple[tuple[float, float], ...]


class Quality(Part, frozen=True, kw_only=True):
    """What the gate measured of a variant's answers, on the whole evaluation set.

    The answers are measured one at a time and in batches of the setting's size, since the results
    of integer variants depend on their batch mates; what is said here is of the worse of the two.

    metric: name of the metric.
    metric_value: its value.
    metric_bounds: pairs of a one-sided confidence and the lowest value that is not ruled out at it.
    reference_value: the reference's value of the same metric.
    comparison: variant and reference on the same samples.
    judged_batch_size: batch size that was the worse of the two.
    agreement: share of samples (or words) decided as the reference does, or the mean cosine.
    batch_agreement: the same between the variant's own answers one at a time and in batches.
    answer_error: root mean square difference of the answers, over the reference's deviation.
    max_answer_difference: largest difference of an answer from the reference's.
    classes: counts by class.
    reliability: of the probabilities; None for a task that has none.
    golden_difference: largest difference of an answer from the reference's on the golden samples.
    evaluation_sha256: digest of the evaluation file.
    calibration_sha256: digest of the calibration file.
    cut_rows: rows of which a part was not read, since a text is longer than the model takes.
    refused_rows: rows of the file that the model refuses; all figures are without them.
    """

    metric: str
    metric_value: float
    metric_bounds: tuple[tuple[float, float], ...]
    reference_value: float
    comparison: Comparison
    judged_batch_size: int
    agreement: float
    batch_agreement: float
    answer_error: float
    max_answer_difference: float
    classes: dict[str, Counts]
    reliability: Reliability | None
    golden_difference: float
    evaluation_sha256: str
    calibration_sha256: str
    cut_rows: int = 0
    refused_rows: int = 0
