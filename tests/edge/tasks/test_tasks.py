"""The tasks on texts: what is read, what is said, and what the metrics make of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score
from tokenizers import Tokenizer

from edgekit.edge.tasks import TASKS
from edgekit.edge.tasks.classification import sigmoid, softmax
from edgekit.edge.tasks.feature_extraction import Config as EmbedderConfig
from edgekit.edge.tasks.feature_extraction import FeatureExtraction
from edgekit.edge.tasks.predictions import (
    Embedding,
    Entities,
    Entity,
    Label,
    Labels,
    as_tensors,
    output_shapes,
)
from edgekit.edge.tasks.text_classification import Config, MultiLabel, TextClassification
from edgekit.edge.tasks.token_classification import Config as TaggerConfig
from edgekit.edge.tasks.token_classification import TokenClassification, spans_of
from edgekit.errors import InputError
from edgekit.profiles.answers import read_answers, write_answers
from edgekit.profiles.evaluations import EVALUATIONS, evaluation_of
from edgekit.profiles.evaluations.reliability import coverage_risk, roc_auc, threshold_for
from tests.families import FAMILIES

COMMON: dict[str, Any] = {"max_length": 12, "pad_id": 0, "pad_token": "[PAD]"}
TAGS = ["O", "B-Part", "I-Part", "B-Site", "I-Site"]


def classifier(**more: Any) -> TextClassification:  # noqa: ANN401
    return TextClassification(
        FAMILIES["bert"][1](), Config(labels=["ok", "leak", "noise"], **COMMON, **more)
    )


def multi() -> MultiLabel:
    return MultiLabel(
        FAMILIES["bert"][1](), Config(labels=["leak", "noise", "heat"], multi_label=True, **COMMON)
    )


def tagger(family: str = "bert") -> TokenClassification:
    return TokenClassification(FAMILIES[family][1](), TaggerConfig(labels=TAGS, **COMMON))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-P I-P O", [("P", 1, 3)]),
        ("B-P B-P I-P", [("P", 0, 1), ("P", 1, 3)]),
        # conlleval takes an I- after O as a beginning
        ("I-P I-P O I-S", [("P", 0, 2), ("S", 3, 4)]),
        ("B-P I-S I-S", [("P", 0, 1), ("S", 1, 3)]),
        ("S-P S-P B-S E-S E-S", [("P", 0, 1), ("P", 1, 2), ("S", 2, 4), ("S", 4, 5)]),
        ("P P O S", [("P", 0, 2), ("S", 3, 4)]),  # labels without a prefix
        ("B-new-kind I-new-kind", [("new-kind", 0, 2)]),
        ("O O", []),
    ],
)
def test_spans_are_read_as_conlleval_does(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert [tuple(span) for span in spans_of(tags.split())] == expected


def test_a_words_logits_are_those_of_its_first_token() -> None:
    task = tagger()
    sentence = task.parse(["leaking", "pump", "xqzw"])
    feeds = task.encode([sentence, task.parse("on")])
    places = [np.flatnonzero(feeds["words"][0] == word) for word in range(3)]
    assert [len(found) for found in places] == [1, 1, 1]
    logits = (
        np.random.default_rng(0)
        .standard_normal((*feeds["input_ids"].shape, len(TAGS)))
        .astype(np.float32)
    )
    answers = task.answers({"logits": logits}, feeds)
    assert [answer.shape for answer in answers] == [(3, 5), (1, 5)]
    np.testing.assert_array_equal(answers[0], logits[0][np.concatenate(places)])


def test_words_beyond_the_maximum_length_are_outside() -> None:
    task = tagger()
    feeds = task.encode([task.parse(["pump"] * 40)])
    assert feeds["input_ids"].shape == (1, 12)
    answer = task.answers({"logits": np.full((1, 12, 5), 3.0)}, feeds)[0]
    assert answer.shape == (40, 5)
    assert answer[:10].min() == 3
    assert answer[10:].argmax(axis=1).tolist() == [0] * 30


def test_entities_say_where_they_are_in_the_text() -> None:
    task = tagger()
    text = "the coolant pump, line two"
    sentence = task.parse(text)
    assert sentence.words == ["the", "coolant", "pump", ",", "line", "two"]
    answer = np.full((6, 5), -4, dtype=np.float32)
    for word, tag in enumerate([0, 1, 2, 0, 3, 4]):
        answer[word, tag] = 4
    said = task.decode([sentence], [answer])[0]
    assert isinstance(said, Entities)
    assert [(e.entity_group, e.word, text[e.start : e.end]) for e in said.entities] == [
        ("Part", "coolant pump", "coolant pump"),
        ("Site", "line two", "line two"),
    ]
    assert task.decode([task.parse("")], [np.empty((0, 5), np.float32)]) == [Entities(entities=[])]


def test_what_a_file_says_of_words() -> None:
    task = tagger()
    sentence = task.read({"tokens": '["coolant", "pump"]'}, ["tokens"], Path())
    assert sentence.words == ["coolant", "pump"]
    evaluation = evaluation_of(task)
    assert evaluation.truth('["B-Part", "I-Part"]', sentence) == (1, 2)
    assert evaluation.truth([1, 2], sentence) == (1, 2)
    with pytest.raises(InputError, match="an array of 2, one for each word"):
        evaluation.truth(["O"], sentence)
    with pytest.raises(InputError, match="the model has no label 'B-Leg'"):
        evaluation.truth(["O", "B-Leg"], sentence)


def test_entity_f1_agrees_with_counting_by_hand() -> None:
    task = tagger()
    truths = [(1, 2, 0, 3), (0, 0)]
    said = [(1, 2, 0, 1), (0, 3)]  # one entity right, one of the wrong kind, one too many
    answers = [np.eye(5, dtype=np.float32)[list(tags)] for tags in said]
    evaluation = evaluation_of(task)
    assert evaluation.metric.name == "entity_f1"
    found = evaluation.assess(answers, truths)
    assert found.value == pytest.approx(2 * 1 / (2 * 1 + 2 + 1))
    assert {name: (c.found, c.missed, c.false) for name, c in found.classes.items()} == {
        "Part": (1, 0, 1),
        "Site": (0, 1, 1),
    }
    right = evaluation.assess([np.eye(5)[list(tags)] for tags in truths], truths)
    assert right.value == 1
    assert evaluation.metric.agreement(right, found) == pytest.approx(4 / 6)


def test_multi_label_truths_and_predictions() -> None:
    task = multi()
    evaluation = evaluation_of(task)
    for written in ('["heat", "leak"]', "leak, heat", ["leak", "heat"], "2,0"):
        assert evaluation.truth(written, "") == (0, 2)
    assert evaluation.truth("", "") == evaluation.truth([], "") == ()
    said = task.decode([""], [np.array([2.0, -1.0, 0.1], np.float32)])[0]
    assert isinstance(said, Labels)
    assert said.labels == ["leak", "heat"]
    assert said.shown(task.labels, 1)[0]["label"] == "leak"


def test_micro_f1_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(3)
    task, truth = multi(), random.integers(0, 2, (200, 3)).astype(bool)
    answers = list((truth * 2.0 - 1 + random.standard_normal((200, 3))).astype(np.float32))
    assert evaluation_of(task).metric.name == "micro_f1"
    found = evaluation_of(task).assess(
        answers, [tuple(np.flatnonzero(row).tolist()) for row in truth]
    )
    assert found.value == pytest.approx(f1_score(truth, np.stack(answers) >= 0, average="micro"))


def test_spearman_agrees_with_scipy() -> None:
    from scipy import stats

    random = np.random.default_rng(4)
    answers = list(random.standard_normal((80, 8)).astype(np.float32))
    truths = random.integers(0, 5, 40).astype(float).tolist()
    task = FeatureExtraction(FAMILIES["bert"][1](), EmbedderConfig(dimensions=8, **COMMON))
    assert evaluation_of(task).metric.name == "spearman_cosine"
    found = evaluation_of(task).assess(answers, truths)
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        for a, b in zip(answers[::2], answers[1::2], strict=True)
    ]
    assert found.value == pytest.approx(stats.spearmanr(cosines, truths).statistic)


def test_reliability_agrees_with_scikit_learn() -> None:
    random = np.random.default_rng(5)
    truths = random.integers(0, 3, 300)
    answers = list((np.eye(3)[truths] * 2 + random.standard_normal((300, 3))).astype(np.float32))
    found = evaluation_of(classifier()).reliability(answers, truths.tolist())
    assert found is not None
    shares = softmax(np.stack(answers))
    assert found.macro_roc_auc == pytest.approx(roc_auc_score(truths, shares, multi_class="ovr"))
    wrong = shares.argmax(axis=1) != truths
    assert found.coverage_risk[-1][1] == pytest.approx(wrong.mean())
    assert found.coverage_risk[0][1] <= found.coverage_risk[-1][1]
    assert 0 < found.ece < 0.2
    assert roc_auc(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    sure = coverage_risk(np.array([0.9, 0.8, 0.7]), np.array([True, True, False]))
    assert sure[0][1] == 0
    assert sure[-1][1] == pytest.approx(1 / 3)


def test_a_threshold_keeps_the_specificity_it_was_chosen_for() -> None:
    random = np.random.default_rng(6)
    positives = np.arange(400) < 100
    scores = np.where(positives, random.normal(0.7, 0.2, 400), random.normal(0.4, 0.2, 400))
    threshold = threshold_for(scores, positives, specificity=0.95, sensitivity=None)
    said = scores >= threshold
    assert np.mean(~said[~positives]) == pytest.approx(0.95)
    lower = threshold_for(scores, positives, specificity=None, sensitivity=0.9)
    assert np.mean((scores >= lower)[positives]) == pytest.approx(0.9)
    assert np.mean((scores >= np.nextafter(lower, np.inf))[positives]) < 0.9


def test_a_threshold_decides_at_run_time() -> None:
    plain, careful = classifier(), classifier(thresholds={"leak": 0.2})
    answer = [np.log(np.array([0.6, 0.3, 0.1], np.float32))]
    labels = [task.decode([""], answer)[0] for task in (plain, careful)]
    assert [item.label for item in labels if isinstance(item, Label)] == ["ok", "leak"]
    for top_k, shown in ((1, ["leak"]), (2, ["leak", "ok"]), (9, ["leak", "ok", "noise"])):
        # what a client reads first is what is said, also where another label is likelier
        found = labels[1].shown(careful.labels, top_k)
        assert [item["label"] for item in found] == shown
    assert [item["label"] for item in labels[0].shown(plain.labels, 2)] == ["ok", "leak"]
    strict = classifier(thresholds={"ok": 0.9})
    assert isinstance(said := strict.decode([""], answer)[0], Label)
    assert said.label == "leak"
    with pytest.raises(InputError, match="thresholds: the model has no label 'rust'"):
        classifier(thresholds={"rust": 0.5})


def test_what_every_prediction_is_as_kserve_tensors() -> None:
    assert output_shapes([Label(label="a", score=1, probabilities=[1, 0])])[2] == {
        "name": "probabilities", "datatype": "FP32", "shape": [-1, 2],
    }  # fmt: skip
    assert as_tensors([Embedding(embedding=[1.0, 2.0])])[0]["data"] == [1.0, 2.0]
    assert as_tensors([Labels(labels=["é"], probabilities=[0.7])])[0]["data"] == ['["é"]']
    assert [item["name"] for item in output_shapes([Entities(entities=[])])] == ["entities"]


def test_answers_come_back_from_their_file(tmp_path: Path) -> None:
    for answers in (
        [np.ones(3), np.zeros(3)],
        [np.ones((2, 3)), np.zeros((0, 3)), np.ones((1, 3))],
    ):
        write_answers(tmp_path / "a.npz", answers)
        found = read_answers(tmp_path / "a.npz")
        assert [item.shape for item in found] == [item.shape for item in answers]
        assert all(np.array_equal(a, b) for a, b in zip(found, answers, strict=True))


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]


def test_a_task_owns_the_difference_of_two_answers() -> None:
    """Health asks every task alike, so another shape or a NaN anywhere must never pass."""
    vectors = FeatureExtraction(FAMILIES["bert"][1](), EmbedderConfig(dimensions=3, **COMMON))
    right = np.array([1.0, 2.0, 3.0], np.float32)
    for task in (classifier(), multi(), tagger(), vectors):
        assert task.difference(right + np.array([0, -0.5, 0.25], np.float32), right) == 0.5
        assert task.difference(right[:2], right) == float("inf")
        for place in range(3):
            broken = right.copy()
            broken[place] = np.nan
            assert not task.difference(broken, right) <= 1e308
        assert task.difference(np.empty((0, 5)), np.empty((0, 5))) == 0


def test_how_long_an_input_is() -> None:
    assert classifier().length(classifier().parse("a pump leaks")) == 12
    assert tagger().length(tagger().parse("a pump leaks")) == 3
    assert tagger().length(tagger().parse([])) == 0


def test_predictions_are_shown_to_people_line_by_line() -> None:
    label = Label(label="a", score=0.75, probabilities=[0.75, 0.25])
    assert label.lines(["a", "b"], 1) == ["0.7500  a"]
    assert Labels(labels=["b"], probabilities=[0.1, 0.9]).lines(["a", "b"], 1) == ["0.9000  b"]
    entity = Entity(entity_group="Part", score=0.5, word="pump", start=2, end=6)
    assert Entities(entities=[entity]).lines([], 1) == ["0.5000  Part  pump  (2-6)"]
    assert Embedding(embedding=[0.5, 1.0]).lines([], 1) == ["0.5", "1.0"]


def test_every_task_reads_rows_and_is_judged() -> None:
    assert set(EVALUATIONS) == set(TASKS)
    with pytest.raises(InputError, match="one input column, not 2"):
        classifier().read({"a": "x", "b": "y"}, ["a", "b"], Path())
    assert not classifier().takes(["a", "b"])
    embedder = FeatureExtraction(FAMILIES["bert"][1](), EmbedderConfig(dimensions=3, **COMMON))
    names = ["first", "second", "score"]
    # A batch reads one column; an evaluation file of an embedder has pairs.
    assert embedder.columns(names, "score") == []
    assert evaluation_of(embedder).columns(names, "score") == ["first", "second"]


def same_pieces(count: int) -> list[Tokenizer]:
    """Tokenizers that cut alike: two that are trained alike may differ."""
    text = FAMILIES["bert"][1]().to_str()
    return [Tokenizer.from_str(text) for _ in range(count)]


def test_a_text_is_cut_where_the_task_says() -> None:
    text = "the coolant pump on line two leaks near the hose since the last shift"
    pieces, *others = same_pieces(3)
    whole = pieces.encode(text).ids
    for side, own in zip(("left", "right"), others, strict=True):
        config: dict[str, Any] = {**COMMON, "truncation_side": side}
        task = TextClassification(own, Config(labels=["a", "b"], **config))
        ids = task.encode([text])["input_ids"][0].tolist()
        kept = whole[-11:-1] if side == "left" else whole[1:11]
        assert ids == [whole[0], *kept, whole[-1]]


def test_a_prompt_stands_before_each_text() -> None:
    one, other = same_pieces(2)
    prompted = TextClassification(one, Config(labels=["a", "b"], prompt="the pump: ", **COMMON))
    plain = TextClassification(other, Config(labels=["a", "b"], **COMMON))
    said = prompted.encode(["leaks", "", "hose"])
    right = plain.encode(["the pump: leaks", "the pump: ", "the pump: hose"])
    for name, values in right.items():
        np.testing.assert_array_equal(said[name], values)


def test_special_tokens_in_a_text_are_words_where_the_task_says() -> None:
    text = "pump [SEP] leaks"
    end = FAMILIES["bert"][1]().token_to_id("[SEP]")
    counts = [
        classifier(split_special_tokens=split).encode([text])["input_ids"][0].tolist().count(end)
        for split in (False, True)
    ]
    assert counts == [2, 1]
