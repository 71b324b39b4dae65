"""A batch says which rows were cut, and why a row was refused."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.batch.journal import Journal, begin
from edgekit.edge.batch.run import Done, run_batch
from edgekit.errors import InputError
from tests import null_model

LONG = "pump " * 40
TEXTS = ["leak", LONG, "", "hose", LONG]


def batch(tmp_path: Path, name: str, texts: list[str], **given: Any) -> tuple[Done, Path]:  # noqa: ANN401
    """Run some texts through a model; return what it says it did, and the output."""
    model = null_model.text_model(tmp_path / "model", batch_size=2, **given)
    source, target = tmp_path / f"in{name}", tmp_path / f"out{name}"
    with source.open("w", newline="") as file:
        if name == ".csv":
            csv.writer(file).writerows([("text", "id"), *((text, 7) for text in texts)])
        else:
            file.writelines(json.dumps({"text": text, "id": 7}) + "\n" for text in texts)
    done = run_batch(
        model,
        "slot",
        source,
        target,
        None,
        restart=False,
        checkpoint_seconds=0,
        tell=lambda rows: None,
    )
    return done, target


@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_a_column_says_true_or_false(tmp_path: Path, task: str) -> None:
    done, target = batch(tmp_path, ".csv", TEXTS, task=task)
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["truncated"] for row in rows] == ["false", "true", "false", "false", "true"]
    assert list(rows[0])[-2:] == ["truncated", "error"]
    assert (done.rows, done.errors, done.truncated) == (5, 0, 2)


def test_it_is_a_boolean_in_json_lines(tmp_path: Path) -> None:
    done, target = batch(tmp_path, ".jsonl", TEXTS)
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["truncated"] for row in rows] == [False, True, False, False, True]
    assert done.truncated == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            {"config": {"on_too_long": "refuse"}},
            "the text has 42 tokens, and the model takes at most 12",
        ),
        ({"has_template": False}, "the text has no token that the model could read"),
    ],
)
def test_a_refused_row_has_its_reason_and_the_others_their_answers(
    tmp_path: Path, given: dict[str, Any], reason: str
) -> None:
    done, target = batch(tmp_path, ".csv", TEXTS, **given)
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    refused = [1, 4] if "config" in given else [2]
    assert [number for number, row in enumerate(rows) if row["error"]] == refused
    assert {rows[number]["error"] for number in refused} == {reason}
    assert {rows[number]["truncated"] for number in refused} == {""}
    assert all(row["predicted_label"] for row in rows if not row["error"])
    assert done.errors == len(refused)


def test_a_model_of_tables_has_no_such_column(tmp_path: Path) -> None:
    assert "truncated" not in null_model.model(tmp_path).task.results


def test_a_file_that_has_the_column_already_is_refused(tmp_path: Path) -> None:
    model = null_model.text_model(tmp_path / "model")
    source = tmp_path / "in.csv"
    source.write_text("text,truncated\nleak,1\n")
    with pytest.raises(InputError, match="has a column 'truncated' already"):
        run_batch(
            model, "slot", source, tmp_path / "out.csv", None,
            restart=False, checkpoint_seconds=0, tell=lambda rows: None,
        )  # fmt: skip


def test_a_run_that_an_edgekit_of_before_began_is_not_gone_on_with(tmp_path: Path) -> None:
    """A journal says which columns its output has; one that does not is of another version."""
    bound = {
        "input_digest": "d", "slot": "s", "columns": ["text"], "batch_size": 2, "kind": ".csv",
    }  # fmt: skip
    journal, part = tmp_path / "journal", tmp_path / "part"
    journal.write_text(json.dumps({"bound": bound, "rows": 1, "bytes": 9, "errors": 0}))
    part.write_text("text,error\n")
    now = Journal.__annotations__["bound"](**bound, results=["predicted_label"])
    with pytest.raises(InputError, match="begin anew with --restart"):
        begin(journal, part, now, restart=False)
