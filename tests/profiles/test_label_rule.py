"""Labels in a data file: names or indices by one rule for the whole column, or a refusal."""

from collections.abc import Sequence
from typing import Any

import pytest

from edgekit.edge.tasks.tags import TagScheme
from edgekit.errors import InputError
from edgekit.profiles.evaluations.entities import EntityEvaluation
from edgekit.profiles.evaluations.label_fit import fit_one, fit_several
from edgekit.profiles.evaluations.label_rule import LabelRule, Labels, labels_of
from edgekit.spec import LabelsAre

NAMES = ("sound", "worn", "leaking")
SIGNS = ("-1", "0", "1")


def one(cells: Sequence[object], names: Sequence[str], wanted: LabelsAre | None = None) -> object:
    """Read a column of one label each: its rule, and what it says."""
    labels = Labels(names)
    rule = fit_one(cells, labels, wanted).rule
    return str(rule), [labels.find(cell, rule) for cell in cells]


def many(cells: Sequence[object], names: Sequence[str] = NAMES) -> object:
    """Read a column of any number of labels: its rule, and what it says."""
    labels = Labels(names)
    rule = fit_several(cells, labels).rule
    return str(rule), [labels_of(cell, rule, labels) for cell in cells]


@pytest.mark.parametrize(
    ("names", "cells", "rule", "expected"),
    [
        (NAMES, ["worn", "sound"], "names", [1, 0]),
        (NAMES, ["0", "2"], "indices from 0", [0, 2]),
        (NAMES, [0, 2, 1], "indices from 0", [0, 2, 1]),
        # pandas writes whole numbers so in a column that has an empty cell
        (NAMES, ["0.0", "2.0"], "indices from 0", [0, 2]),
        (NAMES, [0.0, 2.0], "indices from 0", [0, 2]),
        (NAMES, [" 1 ", "+2", "00"], "indices from 0", [1, 2, 0]),
        # the "0" of "-1", "0", "1" is a name beside "-1", and an index beside "2"
        (SIGNS, ["-1", "0", "1"], "names", [0, 1, 2]),
        (SIGNS, [-1.0, 0.0, 1.0], "names", [0, 1, 2]),
        (SIGNS, ["-1.0", "1.0"], "names", [0, 2]),
        (SIGNS, ["0", "1", "2"], "indices from 0", [0, 1, 2]),
        # both readings say the same
        (("0", "1"), ["1", "0"], "names", [1, 0]),
        (("0", "1"), [1, 0], "names", [1, 0]),
        # stars count from 1, and are names
        (("1", "2", "3"), ["3", "1", "2"], "names", [2, 0, 1]),
        (("1", "2", "3"), ["0", "1", "2"], "indices from 0", [0, 1, 2]),
        (("LABEL_0", "LABEL_1"), ["LABEL_1", "LABEL_0"], "names", [1, 0]),
        (("LABEL_0", "LABEL_1"), ["1", "0"], "indices from 0", [1, 0]),
        # blanks around a name, on either side
        (("worn ", "sound"), ["worn ", "sound"], "names", [0, 1]),
        (("worn ", "sound"), ["worn", " sound"], "names", [0, 1]),
        (("worn ", "worn"), ["worn ", "worn"], "names", [0, 1]),
        (("False", "True"), [True, False], "names", [1, 0]),
        (("false", "true"), [True, "False"], "names", [1, 0]),
        (("", "leak"), ["", "leak"], "names", [0, 1]),
        (("泵", "漏"), ["漏", "泵"], "names", [1, 0]),
    ],
)
def test_one_rule_reads_a_column(
    names: Sequence[str], cells: Sequence[object], rule: str, expected: list[int]
) -> None:
    assert one(cells, names) == (rule, expected)


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        (SIGNS, ["0", "1"]),
        (SIGNS, [1, 0, 1]),
        (("1", "0"), ["0", "1"]),
        (("1", "2", "3"), ["1", "2"]),
        (("2", "1", "0"), ["2", "0"]),
    ],
)
def test_a_column_with_two_readings_is_refused_with_both(
    names: Sequence[str], cells: Sequence[object]
) -> None:
    with pytest.raises(InputError, match=r"is '.+' as names and '.+' as indices from 0; set"):
        one(cells, names)
    assert one(cells, names, "names") != one(cells, names, "indices from 0")


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["worn", "Sound"], "no label 'Sound'; .* did you mean 'sound'"),
        (["worn", "leaking_"], "did you mean 'leaking'"),
        (["worn", "2"], "no label '2'; .*one rule holds for the whole column"),
        ([0, 1, "worn"], "no label 'worn' where labels are read as indices from 0"),
        ([1, 2, 3], 'no label number 3; .* data.labels_are = "indices from 1"'),
        ([0, 1, -1], "no label number -1"),
        (["worn", ""], "its label is empty"),
        (["worn", None], "its label is empty"),
        (["worn", ["worn"]], "one label is wanted, not an array"),
        (["worn", "LABEL_1"], "what a label without a name is called"),
        (["worn", "worn,sound"], "no label 'worn,sound'"),
        ([0, 1, 1.5], "no label '1.5'"),
        ([0, 1, float("nan")], "no label 'nan'"),
        ([0, 1, "1e0"], "no label '1e0'"),
        ([0, 1, "9" * 5000], "no label '9999"),
        ([0, 1, 10**4000], "no label"),
        ([0, 1, "٢"], "no label"),
    ],
)
def test_what_is_no_label_is_said(cells: Sequence[object], expected: str) -> None:
    with pytest.raises(InputError, match=expected) as raised:
        one(cells, NAMES)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 300


def test_a_model_without_names_asks_for_them() -> None:
    with pytest.raises(InputError, match="give the labels their names"):
        one(["worn"], ("LABEL_0", "LABEL_1"))


def test_indices_from_1_are_read_where_the_user_says_so() -> None:
    assert one([1, 2, 3], NAMES, "indices from 1") == ("indices from 1", [0, 1, 2])
    with pytest.raises(InputError, match="no label number 0"):
        one([0, 1], NAMES, "indices from 1")


@pytest.mark.parametrize(
    ("cells", "rule", "expected"),
    [
        # an empty cell: no label applies
        (["", "worn", "  "], "names", [(), (1,), ()]),
        (["worn,sound", ""], "names, with commas between them", [(0, 1), ()]),
        (["worn; sound", "leaking"], "names, with semicolons between them", [(0, 1), (2,)]),
        (["worn|sound"], "names, with vertical bars between them", [(0, 1)]),
        (["worn sound", "leaking"], "names, with blanks between them", [(0, 1), (2,)]),
        (['["worn", "sound"]', "[]"], "names", [(0, 1), ()]),
        ([["worn"], [], ["sound", "leaking"]], "names", [(1,), (), (0, 2)]),
        (["0,2", "1"], "indices from 0, with commas between them", [(0, 2), (1,)]),
        (["[0, 2]", "[1]"], "indices from 0", [(0, 2), (1,)]),
        ([[0.0, 2.0], [1]], "indices from 0", [(0, 2), (1,)]),
        (["1.0", "", "2.0"], "indices from 0", [(1,), (), (2,)]),
        ([2, 1], "indices from 0", [(2,), (1,)]),
    ],
)
def test_any_number_of_labels_in_a_cell(
    cells: Sequence[object], rule: str, expected: list[tuple[int, ...]]
) -> None:
    assert many(cells) == (rule, expected)


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        # one number for each label is no list of indices
        (NAMES, ["[0, 1, 1]", "[1, 0, 0]"], "one for each label"),
        (NAMES, ["0,1,1"], "one for each label"),
        (("sound", "worn"), [[0, 1], [1, 0]], "one for each label"),
        (NAMES, ["['worn']"], "not a JSON array"),
        (NAMES, [{"worn": 1}], "must be a JSON array"),
        (NAMES, [None], "must be a JSON array"),
        (NAMES, ["worn,rust"], "no label 'rust'"),
        (("a", "b", "a,b"), ["a,b"], "two ways: .*; write JSON arrays"),
        (("a", "b", "a b"), ["a b", "a"], "two ways: .*; write JSON arrays"),
        (("1", "0", "2"), ["1,2"], "two ways: .*; set data.labels_are"),
    ],
)
def test_cells_of_many_labels_that_are_refused(
    names: Sequence[str], cells: Sequence[object], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        many(cells, names)


def test_a_name_with_a_separator_in_it_is_found() -> None:
    names = ("hot, dry", "leak")
    assert many(["hot, dry", "leak"], names) == ("names", [(0,), (1,)])
    assert many(["hot, dry|leak"], names) == ("names, with vertical bars between them", [(0, 1)])


class Tagger:
    """What is asked of a tagger here."""

    labels = ("O", "B-1", "1")
    tags = TagScheme(labels)


def test_tags_are_read_by_the_rule_of_all_of_them() -> None:
    evaluation = EntityEvaluation(Tagger())  # type: ignore[arg-type]  # it is asked for labels only
    given: Any = type("Given", (), {"spans": ((0, 1), (2, 3))})
    cells: list[object] = ["[0, 1]", [2, 0]]
    rule = evaluation.fit(cells).rule
    assert rule == LabelRule(are="indices from 0")
    assert [evaluation.truth(cell, given, rule) for cell in cells] == [(0, 1), (2, 0)]
    assert evaluation.fit(['["O", "1"]']).rule == LabelRule(are="names")
    assert evaluation.fit(["O 1", ["O"]]).fitting == 0.5
