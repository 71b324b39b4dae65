"""How answers stand against guessing: what stops a build, what warns, what passes."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from edgekit.edge.tasks.tags import TagScheme
from edgekit.nouns import Standing
from edgekit.profiles.evaluations.chance import (
    balanced_accuracy,
    entity_f1,
    mean_area,
    rank_correlation,
)
from edgekit.profiles.evaluations.entities import EntityEvaluation
from edgekit.profiles.evaluations.labels import ManyLabels, OneLabel
from edgekit.profiles.evaluations.vectors import VectorEvaluation

NAMES = ("sound", "worn", "leaking")
CONFIDENCE = 0.95


class Task:
    """A classifier that answers with probabilities themselves."""

    def __init__(self, names: Sequence[str], *, is_exclusive: bool = True) -> None:
        self.labels = tuple(names)
        self.is_exclusive = is_exclusive

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        return list(names)

    def probabilities(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack(answers)

    def decide(self, answers: Sequence[np.ndarray]) -> np.ndarray:
        shares = np.stack(answers)
        return shares.argmax(axis=1) if self.is_exclusive else shares >= 0.5


def rows_of(count: int, classes: int = 3, seed: int = 0) -> np.ndarray:
    """Make true labels, each class in its turn, in a random order."""
    return np.random.default_rng(seed).permutation(np.arange(count) % classes)


def scores(said: np.ndarray, classes: int) -> list[np.ndarray]:
    """Make probabilities whose largest is that of the label that is said."""
    random = np.random.default_rng(0)
    values = np.eye(classes)[said] + 0.2 * random.random((len(said), classes))
    return list(values / values.sum(axis=1, keepdims=True))


def standing(truth: np.ndarray, said: np.ndarray, names: Sequence[str] = NAMES) -> Standing:
    evaluation = OneLabel(Task(names))
    return evaluation.standing(scores(said, len(names)), truth.tolist(), CONFIDENCE)


def test_a_good_model_passes_without_a_word() -> None:
    truth = rows_of(200)
    said = np.where(np.random.default_rng(1).random(200) < 0.1, (truth + 1) % 3, truth)
    found = standing(truth, said)
    assert (found.measure, found.is_weak, found.warnings) == ("balanced_accuracy", False, ())
    assert found.value == pytest.approx(balanced_accuracy_score(truth, said))
    assert found.chance == pytest.approx(1 / 3)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.chance < found.low < found.value < found.high


@pytest.mark.parametrize(
    "order",
    [[1, 2, 0], [2, 0, 1], [1, 0, 2], [2, 1, 0]],
    ids=["shifted", "shifted back", "two exchanged", "ends exchanged"],
)
def test_label_names_in_another_order_stop(order: list[int]) -> None:
    truth = rows_of(200)
    found = standing(truth, np.array(order)[truth])
    assert found.is_weak
    assert "says '" in found.confusion
    assert any("accuracy would be 1.0000" in text for text in found.warnings), found.warnings
    first = next(label for label in range(3) if order[label] != label)
    assert f"{NAMES[order[first]]!r} is {NAMES[first]!r}" in " ".join(found.warnings)


def test_the_confusion_counts() -> None:
    truth = np.array([0] * 50 + [1] * 50 + [2] * 50)
    said = np.array([1] * 41 + [2] * 9 + [0] * 30 + [2] * 20 + [0] * 50)
    found = standing(truth, said)
    assert found.is_weak
    assert found.confusion == (
        "says 'sound' for 'leaking' 50 of 50 times, says 'worn' for 'sound' 41 of 50 times,"
        " says 'sound' for 'worn' 30 of 50 times"
    )


def test_indices_that_start_at_1_stop_with_the_way_out() -> None:
    truth = 1 + rows_of(200, classes=4)  # of five labels: the first never occurs
    names = ("sound", "worn", "leaking", "hot", "cold")
    found = standing(truth, truth - 1, names)
    assert found.is_weak
    assert 'set data.labels_are = "indices from 1"' in " ".join(found.warnings)


def test_two_of_eight_names_exchanged_warn() -> None:
    """Three in four are right, which is far above chance: the names are wrong all the same."""
    truth = rows_of(240, classes=8)
    said = np.where(truth == 0, 1, np.where(truth == 1, 0, truth))
    found = standing(truth, said, [f"kind {index}" for index in range(8)])
    assert not found.is_weak
    assert "'kind 1' is 'kind 0', 'kind 0' is 'kind 1'" in found.warnings[0]
    assert "accuracy would be 1.0000" in found.warnings[0]


def test_hundreds_of_classes_shifted_by_one_stop() -> None:
    truth = 1 + rows_of(800, classes=399)  # two rows of each
    assert standing(truth, truth - 1, [f"n{index}" for index in range(400)]).is_weak


def test_names_of_classes_that_are_alike_stop_also_if_some_scores_rank() -> None:
    """A model that takes sound for worn by its names still ranks both above leaking."""
    truth = rows_of(300)
    likeness = np.array([[1, 3, 0], [3, 1, 0], [0, 0, 3]])[truth]
    answers = list(likeness + 0.5 * np.random.default_rng(0).random((300, 3)))
    found = OneLabel(Task(NAMES)).standing(answers, truth.tolist(), CONFIDENCE)
    assert found.is_weak
    assert "'worn' is 'sound', 'sound' is 'worn'" in found.warnings[-1]


def test_weak_but_above_chance_passes() -> None:
    truth = rows_of(600)
    random = np.random.default_rng(2)
    said = np.where(random.random(600) < 0.12, truth, random.integers(0, 3, 600))
    found = standing(truth, said)
    assert found.value is not None
    assert 0.36 < found.value < 0.46
    assert not found.is_weak


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_rows_never_stop(count: int) -> None:
    truth = np.arange(count) % 2
    assert not standing(truth, 1 - truth, ("a", "b")).is_weak


def test_the_same_answer_for_every_row_stops_once_there_are_enough() -> None:
    """Make answers as a model does that was fed pixels in another range."""
    for count, is_weak in ((20, False), (300, True)):
        truth = rows_of(count, classes=2)
        found = standing(truth, np.zeros(count, dtype=int), ("sound", "worn"))
        assert found.is_weak == is_weak
        assert "it says 'sound' for every row" in found.warnings


def test_scores_that_rank_pass_where_decisions_do_not() -> None:
    """A rare fault is never the likeliest label, and its probability finds it all the same."""
    truth = (np.arange(3000) % 50 == 0).astype(int)
    fault = np.where(truth == 1, 0.3, 0.05) + 0.1 * np.random.default_rng(0).random(3000)
    answers = list(np.stack([1 - fault, fault], axis=1))
    found = OneLabel(Task(("sound", "fault"))).standing(answers, truth.tolist(), CONFIDENCE)
    assert found.value == 0.5
    assert not found.is_weak
    assert "choose a threshold with [model.threshold]" in found.warnings[-1]


def test_below_the_most_frequent_label_warns_only() -> None:
    truth = np.array([0] * 180 + [1] * 20)
    said = np.array([0] * 100 + [1] * 80 + [1] * 20)
    found = standing(truth, said, ("sound", "worn"))
    assert not found.is_weak
    assert "0.6000, is below 0.9000, the share of the most frequent label, 'sound'" in str(
        found.warnings
    )
    assert "label names in another order, indices that start at 1, or the wrong" in str(
        found.warnings
    )


def test_one_class_alone_can_not_tell() -> None:
    found = standing(np.zeros(100, dtype=int), np.ones(100, dtype=int))
    assert not found.is_weak
    assert "every row has the label 'sound'" in found.warnings[0]


def test_chance_is_that_of_the_classes_that_occur() -> None:
    truth = rows_of(100, classes=2)
    assert standing(truth, truth, [f"n{index}" for index in range(9)]).chance == 0.5


@pytest.mark.parametrize(("count", "classes"), [(5, 2), (12, 3), (40, 2), (200, 8)])
def test_the_bounds_hold(count: int, classes: int) -> None:
    """About one in twenty sets from one model, or fewer, leave the truth outside."""
    random, right = np.random.default_rng(5), 0.7
    outside = 0
    for _ in range(400):
        truth = random.permutation(np.arange(count) % classes)
        said = np.where(random.random(count) < right, truth, (truth + 1) % classes)
        outside += balanced_accuracy(truth, said, CONFIDENCE).high < right
    assert outside <= 30


def test_areas_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(1)
    is_true = random.random((200, 3)) < 0.3
    shares = np.round(0.3 * is_true + random.random((200, 3)), 1)  # with ties
    found = mean_area(shares, is_true, CONFIDENCE)
    assert found
    assert found.value == pytest.approx(roc_auc_score(is_true, shares, average="macro"))
    # the error is what the bounds are for: resampled values lie as far apart
    values = []
    for _ in range(300):
        rows = random.integers(0, 200, 200)
        values.append(roc_auc_score(is_true[rows], shares[rows], average="macro"))
    assert found.high - found.value == pytest.approx(1.645 * np.std(values), rel=0.25)


def several(is_true: np.ndarray, shares: np.ndarray) -> Standing:
    names = [f"kind {index}" for index in range(is_true.shape[1])]
    truths = [tuple(np.flatnonzero(row).tolist()) for row in is_true]
    evaluation = ManyLabels(Task(names, is_exclusive=False))
    return evaluation.standing(list(shares), truths, CONFIDENCE)


def test_several_labels() -> None:
    random = np.random.default_rng(2)
    is_true = random.random((200, 3)) < 0.3
    shares = 0.6 * is_true + 0.4 * random.random((200, 3))
    good = several(is_true, shares)
    assert (good.measure, good.is_weak, good.warnings) == ("macro_roc_auc", False, ())
    reversed_ = several(is_true, 1 - shares)
    assert reversed_.is_weak
    assert "ranks worst: 'kind " in reversed_.confusion
    shifted = several(is_true, shares[:, [1, 2, 0]])
    assert "the mean ROC AUC would be 1.0000" in shifted.warnings[0]
    assert not several(is_true[:4], 1 - shares[:4]).is_weak
    none = several(np.zeros((50, 3), dtype=bool), shares[:50])
    assert (none.value, none.is_weak) == (None, False)
    assert "can't tell the model from guessing" in none.warnings[0]


def pairs(cosines: np.ndarray, truths: np.ndarray) -> Standing:
    """Embed pairs of texts, as far apart as their cosines say."""
    vectors = np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    answers = [vector for row in vectors for vector in (np.array([1.0, 0.0]), row)]
    return VectorEvaluation().standing(answers, truths.tolist(), CONFIDENCE)


def test_an_embedder_with_its_order_reversed_stops() -> None:
    random = np.random.default_rng(3)
    truths = random.random(100)
    cosines = np.clip(truths + 0.2 * random.standard_normal(100), 0, 1)
    assert not pairs(cosines, truths).is_weak
    found = pairs(1 - cosines, truths)
    assert (found.measure, found.chance, found.is_weak) == ("spearman_cosine", 0, True)
    assert "does the label column hold distances" in found.confusion
    assert not pairs(1 - cosines[:4], truths[:4]).is_weak
    assert not pairs(random.random(100), truths).is_weak  # too few to show that it is nothing
    same = pairs(cosines, np.ones(100))
    assert (same.value, same.is_weak) == (None, False)


def test_rank_correlation_agrees_with_scipy() -> None:
    random = np.random.default_rng(3)
    rows = random.random((60, 2))
    rows[:, 0] += rows[:, 1]
    found = rank_correlation(rows, 0.975)
    assert found.value == pytest.approx(stats.spearmanr(rows[:, 0], rows[:, 1]).statistic)
    assert -1 < found.low < found.value < found.high < 1
    for count in range(1, 6):
        line = np.stack([np.arange(count), -np.arange(count)], axis=1).astype(float)
        assert rank_correlation(line, CONFIDENCE).high > 0


class Tagger:
    """What is asked of a tagger here."""

    labels = ("O", "B-PART", "B-SITE")
    tags = TagScheme(labels)


def tagged(truths: Sequence[Sequence[int]], said: Sequence[Sequence[int]]) -> Standing:
    answers = [np.eye(3)[list(row)] for row in said]
    evaluation = EntityEvaluation(Tagger())  # type: ignore[arg-type]  # it is asked for labels only
    return evaluation.standing(answers, [tuple(row) for row in truths], CONFIDENCE)


def sentences(count: int) -> list[list[int]]:
    random = np.random.default_rng(4)
    rows = [random.choice(3, size=random.integers(3, 12), p=[0.7, 0.2, 0.1]) for _ in range(count)]
    return [row.tolist() for row in rows]


def test_a_tagger_with_its_tags_in_another_order_stops() -> None:
    truths = sentences(150)
    assert not tagged(truths, truths).is_weak
    for order in ([0, 2, 1], [1, 2, 0]):
        found = tagged(truths, [[order[tag] for tag in row] for row in truths])
        assert found.is_weak, order
        assert 0 < found.chance < 0.3
        assert "says '" in found.confusion
        assert "by words its accuracy would be 1.0000" in found.warnings[-1]
    nothing = tagged(truths, [[0] * len(row) for row in truths])
    assert (nothing.value, nothing.chance, nothing.is_weak) == (0, 0, True)
    few = tagged(truths[:3], [[0] * len(row) for row in truths[:3]])
    assert not few.is_weak


def test_a_weak_tagger_passes() -> None:
    truths = sentences(150)
    random = np.random.default_rng(5)
    said = [[tag if random.random() < 0.5 else 0 for tag in row] for row in truths]
    assert not tagged(truths, said).is_weak


def test_sentences_that_are_all_alike_do_not_stop_a_right_tagger() -> None:
    rows = [[0, 1, 0]] * 200
    found = tagged(rows, rows)
    assert (found.value, found.chance, found.is_weak) == (1, 1, False)
    assert "the answer to one row is right for most others" in found.warnings[0]


def test_no_entity_at_all_can_not_tell() -> None:
    found = tagged([[0, 0]] * 50, [[0, 1]] * 50)
    assert (found.value, found.is_weak) == (None, False)
    assert "no row holds an entity" in found.warnings[0]


def test_the_chance_of_entities_is_what_shuffles_have() -> None:
    random = np.random.default_rng(6)
    rows = [{(kind, place) for kind in "ab" for place in range(3) if random.random() < 0.3}
            for _ in range(60)]  # fmt: skip
    said = rows[30:] + rows[:30]
    _, chance = entity_f1(rows, said, CONFIDENCE)
    shuffled = []
    for _ in range(300):
        order = random.permutation(60)
        found = sum(len(rows[index] & said[other]) for index, other in enumerate(order))
        shuffled.append(2 * found / sum(len(a) + len(b) for a, b in zip(rows, said, strict=True)))
    assert chance == pytest.approx(np.mean(shuffled), abs=0.01)
