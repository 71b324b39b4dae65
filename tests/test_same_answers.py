"""Edgekit's answers to raw inputs are those of the user's own library; see benchmarks/README.md."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgekit.errors import EngineFailed, InputError
from edgekit.release.signing import make_key_pair
from tests import raw_pictures, raw_rows, raw_texts
from tests.compare_answers import EXACT, judge, said_by
from tests.conftest import ROOT, script
from tests.own_library import Entity, Said

RIGHT = Said(answer={"sound": 0.9, "worn": 0.1}, given=np.array([101, 7, 102]))
TAGGED = Said(answer=[Entity("PART", 4, 8, 0.7)])
VECTOR = Said(answer=np.array([0.6, 0.8]))
BLACK = np.zeros((3, 2, 2))
PIXELS = Said(answer={"sound": 1.0}, given=BLACK)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return script("same_answers")


@pytest.mark.parametrize(
    ("kind", "right", "found", "expected"),
    [
        ("plain", RIGHT, RIGHT, "right"),
        ("plain", RIGHT, replace(RIGHT, given=None), "right"),  # over HTTP nobody sees tokens
        ("plain", TAGGED, Said(answer=[Entity("PART", 4, 8, 0.70009)]), "right"),
        ("plain", VECTOR, Said(answer=np.array([1.2, 1.6])), "right"),
        ("plain", replace(RIGHT, is_cut=True), replace(RIGHT, is_cut=True), "flagged"),
        ("plain", Said(problem="ValueError"), Said(problem="InputError: a number"), "refused"),
        ("plain", replace(RIGHT, is_cut=True), Said(problem="InputError: long"), "refused"),
        ("beyond float32", RIGHT, Said(problem="InputError: a number"), "refused"),
        ("plain", RIGHT, Said(problem="InputError: a number"), "refused for nothing"),
        ("plain", RIGHT, Said(problem="EngineFailed: the engine failed"), "names nothing"),
        ("plain", Said(problem="ValueError"), Said(problem="KeyError: 'x'"), "names nothing"),
        ("plain", Said(problem="ValueError"), RIGHT, "the library raises ValueError"),
        ("plain", RIGHT, replace(RIGHT, given=np.array([101, 8, 102])), "other tokens"),
        ("plain", RIGHT, replace(RIGHT, given=np.array([101, 102])), "other tokens"),
        ("plain", PIXELS, replace(PIXELS, given=BLACK + 0.03), "other tokens or pixels"),
        ("plain", RIGHT, Said(answer={"sound": 0.8998, "worn": 0.1002}), "another answer"),
        ("plain", RIGHT, Said(answer={"sound": 0.9, "used": 0.1}), "another answer"),
        ("plain", RIGHT, Said(answer={"sound": float("nan"), "worn": 0.1}), "another answer"),
        ("plain", TAGGED, Said(answer=[Entity("PART", 3, 8, 0.7)]), "another answer"),
        ("plain", TAGGED, Said(answer=[]), "another answer"),
        ("plain", VECTOR, Said(answer=np.array([0.61, 0.79])), "another answer"),
        ("plain", VECTOR, Said(answer=np.array([0.6, 0.8, 0.0])), "another answer"),
        ("plain", replace(RIGHT, is_cut=True), RIGHT, "cut in silence"),
        ("plain", RIGHT, replace(RIGHT, is_cut=True), "nothing is cut"),
    ],
)
def test_what_is_wrong(kind: str, right: Said, found: Said, expected: str) -> None:
    verdict, reason = judge(kind, [right], found, EXACT)
    assert expected in (reason or verdict)
    assert (verdict == "WRONG") == bool(reason)


def test_errors_are_told_apart() -> None:
    assert said_by(InputError("a number"), []).problem == "InputError: a number"
    assert said_by(EngineFailed("is not a number"), []).problem.startswith("EngineFailed")


@pytest.mark.parametrize("module", [raw_texts, raw_pictures, raw_rows])
def test_inputs_come_from_their_seed_and_are_of_every_kind(module: Any) -> None:  # noqa: ANN401
    make = {raw_texts: "texts", raw_pictures: "pictures", raw_rows: "rows"}[module]
    count = len(module.KINDS)
    found = getattr(module, make)(count, seed=3)
    assert {kind for kind, _ in found} == set(module.KINDS)
    assert repr(found) == repr(getattr(module, make)(count, seed=3))
    assert repr(found) != repr(getattr(module, make)(count, seed=4))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    make_key_pair(folder / "release.key", None)
    return folder


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore")  # exporters and libraries warn of much
@pytest.mark.parametrize(
    ("name", "task", "inputs", "least"),
    [
        ("bert", "token-classification", 76, 60),
        ("roberta", "feature-extraction", 38, 30),
        ("pictures", "image-classification", 86, 45),
        ("gradient boosting", "tabular-classification", 69, 30),
    ],
)
def test_answers_are_those_of_the_users_library(
    benchmark: ModuleType, name: str, task: str, inputs: int, least: int, tmp_path: Path, keys: Path
) -> None:
    case = benchmark.make_case(name, task, tmp_path / "model", inputs)
    [row] = benchmark.rows_of(case._replace(recipes=["onnx-fp32"]), tmp_path, keys, over_http=False)
    assert not row.failed
    assert not row.wrong, "\n".join(benchmark.as_reasons([row]))
    assert row.counts["right"] >= least


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_all_of_it() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "same_answers.py")], cwd=ROOT, check=False
    )
    assert done.returncode == 0
