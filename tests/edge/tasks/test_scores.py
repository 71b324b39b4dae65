"""What a graph's numbers are: logits or probabilities, one for each label or a single one."""

import numpy as np
import pytest

from edgekit.edge.tasks.classification import Classifier, Scores, softmax
from edgekit.edge.tasks.text_classification import Config, MultiLabel
from edgekit.edge.tasks.token_classification import Config as TaggerConfig
from edgekit.edge.tasks.token_classification import TokenClassification
from tests.families import FAMILIES

LOGITS = np.array([[2.0, -1.0], [0.25, 0.5], [-30.0, 30.0]], np.float32)
SHARES = softmax(LOGITS).astype(np.float32)


def said(values: np.ndarray, scores: Scores | None, output: str = "y") -> np.ndarray:
    task = Classifier(["no", "yes"], output, scores=scores)
    return task.probabilities(task.answers({output: values}, {}))


@pytest.mark.parametrize(
    ("values", "scores", "output"),
    [
        (LOGITS, "logits", "probabilities"),
        (LOGITS, None, "y"),
        (SHARES, "probabilities", "y"),
        (SHARES, None, "probabilities"),  # as 0.1.0 wrote it
        (SHARES[:, 1], "probability", "y"),
        (SHARES[:, 1:], "probability", "y"),
        (LOGITS[:, 1] - LOGITS[:, 0], "logit", "y"),
        (LOGITS[:, 1:] - LOGITS[:, :1], "logit", "y"),
        (np.log(np.maximum(SHARES, 1e-30)), "logits", "y"),  # log-probabilities
        (SHARES.astype(np.float16), "probabilities", "y"),
    ],
)
def test_every_form_comes_to_the_same_scores(
    values: np.ndarray, scores: Scores | None, output: str
) -> None:
    np.testing.assert_allclose(said(values, scores, output), softmax(LOGITS), atol=1e-3)


@pytest.mark.parametrize("scores", ["logits", "probabilities", "logit", "probability"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_stays_visible(scores: Scores, odd: float) -> None:
    values = SHARES.copy()
    values[1] = odd
    values = values[:, 1] if scores in ("logit", "probability") else values
    answers = Classifier(["no", "yes"], "y", scores=scores).answers({"y": values}, {})
    assert [bool(np.isfinite(row).all()) for row in answers] == [True, False, True]


def test_probabilities_of_many_labels_are_taken_as_they_are() -> None:
    config = Config(
        labels=["a", "b"], multi_label=True, max_length=8, pad_id=0, pad_token="[PAD]",
        scores="probabilities", output="probabilities",
    )  # fmt: skip
    task = MultiLabel(FAMILIES["bert"][1](), config)
    shares = np.array([[0.75, 0.5], [0.0, 1.0]], np.float32)
    answers = task.answers({"probabilities": shares}, {})
    np.testing.assert_allclose(task.probabilities(answers), shares, atol=1e-6)
    assert task.decide(answers).tolist() == [[True, True], [False, True]]
    odd = task.answers({"probabilities": np.array([[np.nan, 0.5], [np.inf, 0]], np.float32)}, {})
    assert not any(np.isfinite(row).all() for row in odd)


def test_a_tagger_may_answer_probabilities() -> None:
    labels = ["O", "B-P", "I-P"]
    config = TaggerConfig(
        labels=labels, max_length=8, pad_id=0, pad_token="[PAD]", scores="probabilities"
    )
    task = TokenClassification(FAMILIES["bert"][1](), config)
    sentence = task.parse("pump")
    feeds = task.encode([sentence])
    shares = np.full((*feeds["input_ids"].shape, 3), [0.2, 0.7, 0.1], np.float32)
    [found] = task.decode([sentence], task.answers({"logits": shares}, feeds))
    [entity] = found.shown(labels, 1)
    assert entity["score"] == pytest.approx(0.7)
