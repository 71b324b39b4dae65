"""JSON lines in and out: what is not strict JSON is refused or the row's error, never written."""

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.batch.run import Done, run_batch
from edgekit.errors import InputError
from tests import null_model

GOOD = '{"vibration": 1, "temperature": 2, "pressure": 3, "note": "fine"}\n'


def run(tmp_path: Path, text: str, kind: str = "jsonl") -> tuple[Done, bytes]:
    source, target = tmp_path / "in.jsonl", tmp_path / f"out.{kind}"
    source.write_text(text)
    model = null_model.model(tmp_path / "m", batch_size=2, faults={"88": "nan"})
    done = run_batch(
        model, "slot", source, target, None, restart=False, checkpoint_seconds=60,
        tell=lambda rows: None,
    )  # fmt: skip
    return done, target.read_bytes()


def strictly(data: bytes) -> list[dict[str, Any]]:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in data.decode().splitlines()]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e400", "[1, -1e999]", '{"a": NaN}'])
@pytest.mark.parametrize("column", ["note", "pressure"])
def test_a_source_that_is_not_strict_json_is_refused(
    tmp_path: Path, value: str, column: str
) -> None:
    odd = GOOD.replace('"fine"', value) if column == "note" else GOOD.replace("3", value)
    with pytest.raises(InputError, match=r"in\.jsonl: row 2 is not a JSON object \(NaN"):
        run(tmp_path, GOOD + odd)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize("value", ['"\\ud800"', '["a", "\\udfff"]', '{"\\ud83d": 1}'])
def test_a_lone_surrogate_in_any_column_is_the_row_s_error(
    tmp_path: Path, value: str, kind: str
) -> None:
    done, data = run(tmp_path, GOOD + GOOD.replace('"fine"', value) + GOOD, kind)
    assert (done.rows, done.errors) == (3, 1)
    assert b"its 'note' holds a lone surrogate" in data
    assert b"?" not in data
    if kind == "jsonl":
        assert [bool(row["error"]) for row in strictly(data)] == [False, True, False]


def test_a_column_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the name of a column holds a lone surrogate"):
        run(tmp_path, GOOD.replace("note", "\\ud800"))


def test_numbers_without_an_answer_are_the_row_s_error(tmp_path: Path) -> None:
    rows = [GOOD, GOOD.replace("3", "1e39"), GOOD.replace("3", '"1_0"'), GOOD.replace("1", "88")]
    done, data = run(tmp_path, "".join(rows))
    assert done.errors == 3
    errors = [row["error"] for row in strictly(data)]
    assert errors[0] == ""
    assert "'pressure' must be a number that a float32 holds" in errors[1]
    assert "'pressure' must be a finite number" in errors[2]
    assert "not a number" in errors[3]


def test_an_emoji_is_written_as_it_is(tmp_path: Path) -> None:
    _, data = run(tmp_path, GOOD.replace("fine", "\\ud83d\\ude00 \\u00e9"))
    assert "😀 é" in data.decode()
