"""Offline batches: the same output however often they are killed."""

import csv
import fcntl
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import edgekit

ROWS = 6000


@pytest.fixture
def source(tmp_path: Path, tiny: Path) -> Path:
    texts = [
        line.rsplit(",", 1)[0] for line in (tiny / "evaluation.csv").read_text().splitlines()[1:]
    ]
    rng = random.Random(3)
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("id", "text"), *((number, rng.choice(texts)) for number in range(ROWS))]
        )
    return path


def test_a_batch_killed_again_and_again_gives_the_same_file(
    appliance: Path, source: Path, tmp_path: Path
) -> None:
    """A batch that was killed again and again writes what the uninterrupted run writes.

    It is killed at random moments, always after some progress.
    """
    whole, out = tmp_path / "whole.csv", tmp_path / "out.csv"
    assert edgekit("batch", source, whole, "--appliance", appliance, "--json").json["rows"] == ROWS
    command = ["batch", str(source), str(out), "--appliance", str(appliance), "--checkpoint", "0"]
    journal, rng, seen = tmp_path / "out.csv.journal", random.Random(4), [0]
    for number in [signal.SIGKILL, signal.SIGINT, signal.SIGTERM] * 2:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgekit", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while rows_of(journal) <= seen[-1]:
            assert process.poll() is None, "the batch was done before it was killed"
            time.sleep(0.005)
        time.sleep(0.05 * rng.random())
        process.send_signal(number)
        process.wait()
        seen.append(rows_of(journal))
    assert 0 < seen[1] < seen[-1] < ROWS
    assert (
        "begun with another input"
        in edgekit("batch", tiny_copy(source), out, "--appliance", appliance, code=2).err
    )
    assert edgekit(*command, "--json").json["resumed_at"] == seen[-1]
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("out.csv*")) == ["out.csv"]


def rows_of(journal: Path) -> int:
    """How many rows a journal says are durable; 0 if there is none."""
    try:
        return int(json.loads(journal.read_text())["rows"])
    except FileNotFoundError:
        return 0


def tiny_copy(source: Path) -> Path:
    """Copy a file without its last row."""
    copy = source.with_name("other.csv")
    copy.write_text("".join(source.read_text().splitlines(keepends=True)[:-1]))
    return copy


def test_bad_rows_are_reported_and_the_others_answered(appliance: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [
        {"text": "belt squeal slip"},
        {"text": 5},
        {"text": "coolant puddle"},
        {"other": "x", "text": None},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    edgekit("batch", source, tmp_path / "out.jsonl", "--appliance", appliance, code=1)
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [item["predicted_label"] for item in answers] == ["belt_slip", "", "coolant_leak", ""]
    assert answers[1]["error"] == "an input must be a text"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("in.csv", "", "holds no rows"),
        ("in.csv", "a,b\n1,2\n", "which column is the input"),
        ("in.csv", "text,error\n1,2\n", "has a column 'error' already"),
        ("in.csv", "text,text\n1,2\n", "has two columns named 'text'"),
        ("in.csv", "text\na\n\x00,b,c\n", "row 2"),
        ("in.txt", "text\n", "unknown kind of file"),
    ],
)
def test_what_is_wrong_with_the_file_is_named(
    appliance: Path, tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_text(content)
    assert (
        expected
        in edgekit(
            "batch", tmp_path / name, tmp_path / "out.csv", "--appliance", appliance, code=2
        ).err
    )
    assert not (tmp_path / "out.csv").exists()


def test_an_output_is_never_overwritten(appliance: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nbelt slip\n")
    (tmp_path / "out.csv").write_text("mine")
    assert (
        "exists already"
        in edgekit(
            "batch", tmp_path / "in.csv", tmp_path / "out.csv", "--appliance", appliance, code=2
        ).err
    )
    assert (tmp_path / "out.csv").read_text() == "mine"
    with (tmp_path / "new.csv.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        edgekit(
            "batch", tmp_path / "in.csv", tmp_path / "new.csv", "--appliance", appliance, code=7
        )


def test_values_keep_their_columns(appliance: Path, tmp_path: Path) -> None:
    """JSON objects may have their keys in any order, and lack some."""
    source = tmp_path / "in.jsonl"
    source.write_text(
        '{"text": "belt slip", "id": 1}\n{"id": 2, "text": "coolant leak"}\n{"text": "bearing'
        ' noise"}\n{"id": 4, "x": 1}\n'
    )
    edgekit("batch", source, tmp_path / "out.csv", "--appliance", appliance, code=1)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["id"], row["predicted_label"]) for row in rows] == [
        ("1", "belt_slip"), ("2", "coolant_leak"), ("", "bearing_wear"), ("4", ""),
    ]  # fmt: skip
    assert rows[3]["error"] == "has a key that the first row lacks"


def test_odd_rows_do_not_end_the_night(appliance: Path, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "belt slip"}\n{"text": "\\ud800"}\n{"text": ""}\n')
    edgekit("batch", source, tmp_path / "out.jsonl", "--appliance", appliance, code=1)
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [bool(item["error"]) for item in answers] == [False, True, False]
    source.write_text('{"text": "a", "n": ' + "9" * 5000 + "}\n")
    assert (
        "not a JSON object"
        in edgekit("batch", source, tmp_path / "o.jsonl", "--appliance", appliance, code=2).err
    )
