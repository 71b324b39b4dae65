"""Schemes of tags: found from all labels of a model together, and read as each of them means it."""

import numpy as np
import pytest

from edgekit.edge.tasks.tags import PLAIN, UNNAMED, Span, TagScheme
from edgekit.edge.tasks.token_classification import Config, TokenClassification
from edgekit.profiles.evaluations import evaluation_of
from tests.families import FAMILIES

SINGLES = [Span("PER", 0, 1), Span("PER", 1, 2)]
TWO = [Span("PER", 0, 2), Span("PER", 2, 3)]


@pytest.mark.parametrize(
    ("labels", "name", "tags", "expected"),
    [
        ("O B-PER I-PER B-ORG I-ORG", "BIO", "B-PER I-PER B-PER", TWO),
        # IOB1 begins with I-, and has B- only between two entities of a kind.
        ("O I-PER B-PER I-ORG I-LOC", "BIO", "I-PER I-PER B-PER", TWO),
        ("O I-PER I-ORG", "BIO", "I-PER I-PER I-ORG", [Span("PER", 0, 2), Span("ORG", 2, 3)]),
        ("O B-PER I-PER E-PER S-PER", "BIOES", "B-PER E-PER S-PER", TWO),
        ("O B-PER I-PER L-PER U-PER", "BILOU", "B-PER L-PER U-PER", TWO),
        ("O B-PER I-PER L-PER U-PER", "BILOU", "U-PER U-PER", SINGLES),
        ("O B-PER M-PER E-PER S-PER", "BMES", "B-PER E-PER S-PER", TWO),
        ("O B-PER M-PER E-PER W-PER", "BMEWO", "B-PER E-PER W-PER", TWO),
        ("O I-PER E-PER", "BIOES", "I-PER E-PER E-PER", TWO),  # IOE2
        ("o b-PER i-PER", "BIO", "b-PER i-PER b-PER o", TWO),
        ("O B_PER I_PER", "BIO", "B_PER I_PER B_PER", TWO),
        ("O PER-B PER-I", "BIO", "PER-B PER-I PER-B", TWO),
        ("O PER/B PER/I", "BIO", "PER/B PER/I PER/B", TWO),
        ("O PER ORG", PLAIN, "PER PER O PER", [Span("PER", 0, 2), Span("PER", 3, 4)]),
        ("B I O", "BIO", "B I B", [Span(UNNAMED, 0, 2), Span(UNNAMED, 2, 3)]),
        ("B M E S", "BMES", "B M E S S", [Span(UNNAMED, *x) for x in ((0, 3), (3, 4), (4, 5))]),
        ("O B-PER I-PER X [CLS]", "BIO", "B-PER X B-PER", [*SINGLES[:1], Span("X", 1, 2), TWO[1]]),
    ],
)  # fmt: skip
def test_a_scheme_is_found_and_honoured(
    labels: str, name: str, tags: str, expected: list[Span]
) -> None:
    scheme = TagScheme(labels.split())
    assert scheme.name == name
    assert scheme.spans(tags.split()) == expected


@pytest.mark.parametrize(
    "labels",
    [
        "O S-BAHN U-BAHN",
        "O B-52 I-95",
        "O E-MAIL PHONE",
        "O B-52 PHONE",
        "O M-1 S-1",
        "O B-PER I-PER U-PER W-PER",  # letters of several schemes
        "O B",
    ],
)
def test_what_only_looks_like_tags_is_a_kind_by_itself(labels: str) -> None:
    scheme = TagScheme(labels.split())
    assert scheme.name == PLAIN
    assert scheme.kinds == tuple(labels.split()[1:])
    first = labels.split()[1]
    assert scheme.spans([first, first]) == [Span(first, 0, 2)]


@pytest.mark.parametrize(
    ("labels", "doubt"),
    [
        ("O S-BAHN U-BAHN", "'S-BAHN' and the others fit no scheme of tags"),
        ("LABEL_0 LABEL_1 LABEL_2", "no label is 'O'"),
        ("O B-PER I-PER X", "'X' is no tag of the scheme BIO"),
        ("O B-PER I-PER", ""),
        ("O B-PER I-PER L-PER U-PER", ""),
        ("O PER ORG", ""),
        ("O X-RAY MRI", ""),
    ],
)
def test_a_doubt_is_said(labels: str, doubt: str) -> None:
    found = TagScheme(labels.split()).doubt
    assert doubt in found
    assert bool(doubt) == bool(found)


def test_the_appliance_and_the_evaluation_read_tags_alike() -> None:
    labels = ["O", "B-PER", "I-PER", "L-PER", "U-PER"]
    task = TokenClassification(
        FAMILIES["bert"][1](), Config(labels=labels, max_length=12, pad_id=0, pad_token="[PAD]")
    )
    evaluation = evaluation_of(task)
    assert evaluation.classes == ("PER",)
    said = [[4, 4], [1, 3]]  # two of one word, one of two words
    answers = [np.eye(5, dtype=np.float32)[row] for row in said]
    found = evaluation.assess(answers, [(4, 4), (1, 3)])
    assert (found.value, found.classes["PER"].found) == (1.0, 3)
    sentence = task.parse(["Ada", "Bell"])
    entities = [task.decode([sentence], [answer])[0].shown([], 1) for answer in answers]
    assert [[item["word"] for item in row] for row in entities] == [["Ada", "Bell"], ["Ada Bell"]]
    assert task.doubts() == []
