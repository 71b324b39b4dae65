"""Numbers of a table: plain decimals that the model's type holds, and nothing else."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.edge.tasks.tabular_classification import Config, TabularClassification
from edgekit.errors import InputError


def table(kind: str = "float32") -> TabularClassification:
    names = ["a", "flow"]
    return TabularClassification(
        Config(labels=["x", "y"], features=names, input_type=kind)  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "text", ["1", " 1 ", "\t-2.5", "-2.5", "+3", ".5", "5.", "1e-3", "1E+10", "0", "1e-400"]
)
def test_a_plain_decimal_is_a_number(text: str) -> None:
    assert table().read({"a": "0", "flow": text}, ["a", "flow"], Path()) == [0, float(text)]


ODD = ["1_0", "\u0663", "1 0", "1\n", "", "inf", "nan", "Infinity", "1e400", "0x10", "1,5"]
ODD += ["\uff11", "--1", "1e", ".", "true"]  # \uff11 is a 1 of full width


@pytest.mark.parametrize("text", ODD)
def test_what_only_python_calls_a_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="the feature 'flow' must be a finite number"):
        table().read({"a": "0", "flow": text}, ["a", "flow"], Path())


@pytest.mark.parametrize("value", [True, None, [1], {"x": 1}, float("nan"), float("inf"), 10**400])
def test_a_json_value_that_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="the feature 'flow' must be a finite number"):
        table().parse([0, value])


@pytest.mark.parametrize(
    ("kind", "largest", "beyond"),
    [
        ("float16", 65504, 65520),
        ("float32", 3.4028235e38, 1e39),
        ("float32", -3.4028235e38, -1e39),
        ("float32", 10**38, 10**39),
        ("float64", 1e300, 10**400),
    ],
)
def test_a_number_that_the_model_s_type_can_t_hold_is_refused(
    kind: str, largest: float, beyond: float
) -> None:
    task = table(kind)
    feeds = task.encode([task.parse([1, largest])])["features"]
    assert feeds.dtype == kind
    assert np.isfinite(feeds).all()
    with pytest.raises(InputError, match="the feature 'flow' must be a"):
        task.parse({"a": 1, "flow": beyond})


@pytest.mark.parametrize("text", ["[1, NaN]", "[1, Infinity]", "[1, 1e400]", "[1, -1e999]", "{"])
def test_a_word_on_the_command_line_is_json(text: str) -> None:
    with pytest.raises(InputError, match="VALUE must be a JSON array of numbers"):
        table().argument(text)
