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
    texts = [line.rsplit(",", 1)[0] for line in (tiny / "evaluation.csv").read_text().splitlines()[1:]]
    rng = random.Random(3)
    path = tmp_path / "in.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *((number, rng.choice(texts)) for number in range(ROWS))])
    return path


def test_a_batch_killed_again_and_again_gives_the_same_file(
    appliance: Path, source: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.csv"
    assert edgekit("batch", source, whole, "--appliance", appliance, "--json").json["rows"] == ROWS
    out, rng, kills = tmp_path / "out.csv", random.Random(4), 0
    command = [sys.executable, "-m", "edgekit", "batch", str(source), str(out), "--appliance", str(appliance)]
    while kills < 8:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(1.5 + 2 * rng.random())
        except subprocess.TimeoutExpired:
            process.send_signal(rng.choice([signal.SIGKILL, signal.SIGINT]))
            process.wait()
            kills += 1
            continue
        break
    if not out.exists():
        edgekit("batch", source, out, "--appliance", appliance)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("out.csv*")) == ["out.csv"]


def test_a_resumed_run_skips_what_is_done(appliance: Path, source: Path, tmp_path: Path) -> None:
    """A run is stopped after its first checkpoint; the next one says where it went on."""
    out = tmp_path / "out.csv"
    big = tmp_path / "big.csv"
    big.write_text(source.read_text() + "".join(source.read_text().splitlines(keepends=True)[1:] * 6))
    command = [sys.executable, "-m", "edgekit", "batch", str(big), str(out), "--appliance", str(appliance)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "out.csv.journal"
    while not journal.exists():
        assert process.poll() is None, "the batch was done before its first checkpoint"
        time.sleep(0.02)
    process.kill()
    process.wait()
    done = json.loads(journal.read_text())["rows"]
    assert 0 < done < 7 * ROWS
    assert "begun with another input" in edgekit("batch", source, out, "--appliance", appliance, code=2).err
    ran = edgekit("batch", big, out, "--appliance", appliance, "--json")
    assert ran.json["resumed_at"] == done
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(number) for number in range(ROWS)] * 7


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
        in edgekit("batch", tmp_path / name, tmp_path / "out.csv", "--appliance", appliance, code=2).err
    )
    assert not (tmp_path / "out.csv").exists()


def test_an_output_is_never_overwritten(appliance: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\nbelt slip\n")
    (tmp_path / "out.csv").write_text("mine")
    assert (
        "exists already"
        in edgekit("batch", tmp_path / "in.csv", tmp_path / "out.csv", "--appliance", appliance, code=2).err
    )
    assert (tmp_path / "out.csv").read_text() == "mine"
    with (tmp_path / "new.csv.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        edgekit("batch", tmp_path / "in.csv", tmp_path / "new.csv", "--appliance", appliance, code=7)


def test_a_row_does_not_depend_on_what_failed_beside_it(appliance: Path, tmp_path: Path) -> None:
    """The other column stays; the answer is the same as alone in the same batch."""
    (tmp_path / "a.csv").write_text("id,text\n1,belt slip\n2,coolant leak\n")
    edgekit("batch", tmp_path / "a.csv", tmp_path / "b.csv", "--appliance", appliance, "--input", "text")
    lines = (tmp_path / "b.csv").read_text().splitlines()
    assert lines[0] == "id,text,predicted_label,predicted_score,error"
    assert lines[1].startswith("1,belt slip,belt_slip,0.9")
