"""The key data.on_too_long: what each task may be told, and where it is written."""

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from edgekit.edge.tasks import load_task
from edgekit.edge.tasks.text import TokenizerTask
from edgekit.errors import InputError
from edgekit.profiles.data import refused_rows
from edgekit.quantize.pipeline import build
from edgekit.quantize.prepare import _say_on_too_long
from edgekit.quantize.recipes.recipe_job import _encoded, _rows
from edgekit.quantize.sources import SOURCES, source_task, what_is_too_long
from edgekit.spec import OnTooLong
from tests import null_model


@pytest.mark.parametrize(
    ("task", "default", "others"),
    [
        ("text-classification", "flag", ["refuse"]),
        ("feature-extraction", "flag", ["refuse"]),
        ("token-classification", "window", ["flag", "refuse"]),
        ("image-classification", None, []),
        ("tabular-classification", None, []),
    ],
)
def test_each_task_has_its_own_default(
    task: str, default: OnTooLong | None, others: list[OnTooLong]
) -> None:
    assert what_is_too_long(task, None, "here") == default
    for way in others:
        assert what_is_too_long(task, way, "here") == way
    for refused in set(get_args(OnTooLong)) - {default, *others}:
        with pytest.raises(InputError, match=f"^here = '{refused}': {task} ") as caught:
            what_is_too_long(task, refused, "here")
        assert "\n" not in str(caught.value)


def test_every_task_says_what_it_may_be_told() -> None:
    assert all(isinstance(source_task(name).on_too_long, tuple) for name in SOURCES)


def test_why_a_classifier_has_no_windows() -> None:
    with pytest.raises(InputError, match=r'answers once for a whole text.*"flag" or "refuse"'):
        what_is_too_long("text-classification", "window", "edgekit.toml: data.on_too_long")
    with pytest.raises(InputError, match="takes no texts; leave it out"):
        what_is_too_long("image-classification", "flag", "edgekit.toml: data.on_too_long")


def test_a_spec_that_asks_for_what_cannot_be_is_refused_before_anything_is_done(
    tmp_path: Path,
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "rows.csv").write_text("text,label\nx,y\n")
    spec = tmp_path / "edgekit.toml"
    spec.write_text(
        '[model]\nname = "m"\nsource = "model"\ntask = "text-classification"\n[data]\n'
        'calibration = "rows.csv"\nevaluation = "rows.csv"\non_too_long = "window"\n'
    )
    listener: Any = None
    with pytest.raises(InputError, match=r"edgekit\.toml: data\.on_too_long = 'window': "):
        build(spec, tmp_path / "out", effort="quick", listener=listener)
    assert not (tmp_path / "out").exists()
    spec.write_text(spec.read_text().replace("window", "cut"))
    with pytest.raises(InputError, match=r"edgekit\.toml: data\.on_too_long: invalid enum value"):
        build(spec, tmp_path / "out", effort="quick", listener=listener)


@pytest.mark.parametrize(
    ("own", "asked", "expected"),
    [
        (None, None, "window"),
        (None, "refuse", "refuse"),
        ("flag", None, "flag"),
        ("flag", "window", "window"),
    ],
)
def test_a_task_json_of_the_users_own_is_completed(
    tmp_path: Path, own: str | None, asked: OnTooLong | None, expected: str
) -> None:
    config = {"on_too_long": own} if own else {}
    null_model.write_text(tmp_path, task="token-classification", config=config)
    _say_on_too_long(tmp_path / "task.json", "token-classification", asked)
    task = load_task(tmp_path)
    assert isinstance(task, TokenizerTask)
    assert task.on_too_long == expected


def test_a_task_json_that_need_not_change_stays_as_it_is(tmp_path: Path) -> None:
    null_model.write_text(tmp_path)
    before = (tmp_path / "task.json").read_bytes()
    _say_on_too_long(tmp_path / "task.json", "text-classification", None)
    assert (tmp_path / "task.json").read_bytes() == before


def test_rows_that_a_model_refuses_are_named(tmp_path: Path) -> None:
    rows = [["leak"], ["pump " * 40], ["", "hose"]]
    flags = load_task(null_model.write_text(tmp_path / "flag"))
    assert refused_rows(flags, rows) == {}
    assert refused_rows(null_model.model(tmp_path / "table").task, [[[1.0, 2.0, 3.0]]]) == {}
    refuses = load_task(
        null_model.write_text(tmp_path / "refuse", config={"on_too_long": "refuse"})
    )
    assert list(refused_rows(refuses, rows)) == [1]
    plain = load_task(null_model.write_text(tmp_path / "plain", has_template=False))
    assert list(refused_rows(plain, rows)) == [2]


def test_a_recipe_gets_each_window_by_itself(tmp_path: Path) -> None:
    config = {"on_too_long": "window"}
    null_model.write_text(tmp_path, task="token-classification", config=config)
    task = load_task(tmp_path)

    class Sample:
        inputs = [task.parse(text) for text in ("leak", "pump " * 40)]

    encoded = _encoded(task, Sample())  # type: ignore[arg-type]
    rows = _rows(encoded)
    assert len(rows) == sum(len(feeds["input_ids"]) for feeds in encoded) > 2
    assert {value.shape[0] for feeds in rows for value in feeds.values()} == {1}
    assert json.loads((tmp_path / "task.json").read_text())["on_too_long"] == "window"
