"""The parts of the benchmarks that need no measuring.

They are the spec they write, the peers they run, the table they print.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from edgekit.spec import load_spec
from tests.conftest import ROOT, Built, script

recipes, peers = script("recipes"), script("peers")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A model's folder and two data files, as far as a spec looks at them."""
    (tmp_path / "my model").mkdir()
    for name in ("calibration.csv", "evaluation.csv"):
        (tmp_path / name).write_text("text,label\n", "utf-8")
    return {"model": tmp_path / "my model", "data": tmp_path}


def _contender(name: str, p50: list[float], speed: list[float], bound: float, **more: Any) -> Any:  # noqa: ANN401
    figures = {
        "metric": "accuracy",
        "metric_value": 0.9,
        "drop": 0.001,
        "drop_upper_bound": bound,
        "agreement": 0.99,
        "status": "accepted",
    }
    return recipes.Contender(
        name=name,
        size_bytes=23_000_000,
        figures=dict.fromkeys(recipes.OBJECTIVES, figures),
        times={"latency": p50, "throughput": speed},
        **{"is_peer": False, **more},
    )


def _run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_options_become_a_spec(files: dict[str, Path]) -> None:
    data = {name: files["data"] / f"{name}.csv" for name in ("calibration", "evaluation")}
    model = {"source": files["model"], "task": "text-classification", "max_length": 64}
    spec = recipes.read_spec(None, model, {**data, "label": None, "input": ["text"]}, 0.02)
    path = files["data"] / "edgekit.toml"
    path.write_text(recipes.to_toml({**spec, "objective": "throughput"}), "utf-8")
    written = load_spec(path)
    assert written.model.source == str(files["model"])
    assert written.model.max_length == 64
    assert written.data.input == ["text"]
    assert written.data.label == "label"
    assert written.limits.max_accuracy_drop == 0.02
    assert written.objective == "throughput"


def test_a_spec_is_written_as_it_was_read(files: dict[str, Path]) -> None:
    path = files["data"] / "edgekit.toml"
    path.write_text(
        '[model]\nname = "a"\nsource = "my model"\ntask ='
        ' "text-classification"\n[data]\ncalibration = "calibration.csv"\nevaluation ='
        ' "evaluation.csv"\n[limits]\np99_ms = 2.5\n'
    )
    read = recipes.read_spec(path, {}, {}, 0.01)
    again = files["data"] / "again.toml"
    again.write_text(recipes.to_toml(read), "utf-8")
    assert load_spec(again) == load_spec(path)


def test_toml_holds_tables_in_tables_and_quotes() -> None:
    table = {
        "a": 1,
        "none": None,
        "limits": {"min": {'say "B"': 0.5}, "on": True, "none": None, "list": ["x"]},
    }
    assert tomllib.loads(recipes.to_toml(table)) == {
        "a": 1,
        "limits": {"min": {'say "B"': 0.5}, "on": True, "list": ["x"]},
    }


@pytest.mark.processes
def test_missing_options_are_named() -> None:
    done = _run("recipes.py", "--task", "text-classification")
    assert done.returncode == 2
    assert "--model, --calibration, --evaluation" in done.stderr


def test_the_table_shows_every_contender() -> None:
    chosen = {"latency": "onnx-int8", "throughput": None}
    rows = recipes.table_of(
        [
            _contender("onnx-int8", [2.0, 1.0, 3.0], [500.0], 0.004),
            _contender("olive", [], [], 0.0, is_peer=True, problem="exit code 1: no such module"),
        ],
        chosen,
    )
    assert rows[0][:3] == ["variant", "accuracy", "drop"]
    assert rows[1] == [
        "onnx-int8",
        "0.9000",
        "+0.0010",
        "0.0040",
        "0.9900",
        "23.0",
        "2.00 (1.00-3.00)",
        "500 (500-500)",
        "accepted; chosen for latency",
    ]
    assert rows[2] == ["olive", "-", "-", "-", "-", "-", "-", "-", "exit code 1: no such module"]
    lines = recipes.as_text(rows, markdown=True).splitlines()
    assert len(lines) == 4
    assert all(line.count("|") == len(recipes.COLUMNS) + 3 for line in lines)
    assert "|" not in recipes.as_text(rows, markdown=False)


def test_the_verdict_takes_ratios_of_the_same_round() -> None:
    contenders = [
        _contender("onnx-int8", [1.0, 2.0, 1.0], [500.0, 500.0, 500.0], 0.004),
        _contender("fast", [2.0, 4.0, 1.0], [250.0, 1000.0, 500.0], 0.02, is_peer=True),
        _contender("slow", [9.0, 9.0, 9.0], [1.0, 1.0, 1.0], 0.003, is_peer=True),
    ]
    chosen = {"latency": "onnx-int8", "throughput": "onnx-int8"}
    lines = recipes.verdicts(contenders, chosen, 0.01)
    assert (
        lines[0] == "latency: onnx-int8 is 2.00 (1.00-2.00) times as fast as fast; "
        "its drop is at most 0.0040, the peer's 0.0200 (fastest peer)"
    )
    assert "times as fast as slow" in lines[1]
    assert "1.00 (0.50-2.00) times as fast as fast" in lines[2]
    none = recipes.verdicts(contenders, {"latency": None, "throughput": None}, 0.01)
    assert none[0].endswith("the fastest peer: no variant is chosen")
    assert recipes.verdicts(contenders[:2], chosen, 0.01)[3].endswith(
        "keeps the limit: there is none"
    )


@pytest.mark.processes
def test_a_peer_runs_once_and_an_error_is_its_row(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1], 'model_q.onnx').write_text('model')"
    good = {"name": "good", "engine": "onnxruntime", "file": "model_q.onnx"}
    good["command"] = f'{{edgekit}} -c "{code}" {{out}}'
    task = tmp_path / "task"
    task.mkdir()
    (task / "task.json").write_text("{}")
    values = {"edgekit": sys.executable, "out": tmp_path / "good", "converter": None}
    made = peers.make(good, values, task)
    assert (made["problem"], made["size_bytes"]) == ("", 5)
    assert {path.name for path in Path(made["folder"]).iterdir()} == {"task.json", "model.onnx"}
    assert peers.make({**good, "command": "false"}, values, task)["problem"] == "", (
        "taken from the first run"
    )
    failing = {**good, "command": "{edgekit} -c \"raise SystemExit('it went\\nwrong')\""}
    assert (
        peers.make(failing, {**values, "out": tmp_path / "bad"}, task)["problem"]
        == "exit code 1: wrong"
    )
    logged = {**good, "command": "{edgekit} -c \"print('ValueError: no data\\nsaved nothing')\""}
    assert (
        peers.make(logged, {**values, "out": tmp_path / "log"}, task)["problem"]
        == "exit code 0: ValueError: no data"
    )
    silent = {**good, "command": "{edgekit} -c pass"}
    assert "no output" in peers.make(silent, {**values, "out": tmp_path / "none"}, task)["problem"]


def test_every_command_of_the_peers_can_be_filled_in(tmp_path: Path) -> None:
    table = tomllib.loads((ROOT / "benchmarks" / "peers.toml").read_text("utf-8"))["peer"]
    names = ("bin", "python", "edgekit", "here", "converter", "model", "task", "base", "out")
    for place, peer in enumerate(table):
        peer["command"].format(**dict.fromkeys(names, "x"))
        assert ("{base}" in peer["command"]) == ("base" in peer)
        assert peer.get("base", peer["name"]) in [earlier["name"] for earlier in table[: place + 1]]


def test_one_step_measures_a_variant(tiny: Path, built: Built) -> None:
    folder = recipes.artifact_folders(built.folder)["onnx-int8-dynamic"]
    contender = recipes.Contender(name="x", is_peer=True, engine="onnxruntime", folder=str(folder))
    spec = {"data": {"evaluation": str(tiny / "evaluation.csv")}}
    reference = next((built.folder / "cache" / "references").iterdir())
    settings = [{"batch_size": 8}]
    found = recipes.fresh(
        "judge", contender, spec, settings=settings, reference=str(reference), confidence=0.95
    )
    assert contender.problem == ""
    assert found["drop_upper_bound"] >= found["drop"]
    assert recipes.fresh("time", contender, spec, settings=settings, objective="throughput") > 0
    broken = recipes.Contender(name="x", is_peer=True, engine="onnxruntime", folder=str(tiny))
    assert recipes.fresh("time", broken, spec, settings=settings, objective="latency") is None
    assert "task.json" in broken.problem
    assert json.dumps(broken.problem)
