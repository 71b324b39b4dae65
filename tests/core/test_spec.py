"""edgekit.toml: what is wrong is said in one line that names the file and the key."""

from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.spec import load_spec
from tests.conftest import edgekit

SOUND = """
objective = "latency"
[model]
name = "tickets"
source = "model"
task = "text-classification"
[data]
calibration = "c.csv"
evaluation = "e.csv"
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    for name in ("c.csv", "e.csv"):
        (tmp_path / name).write_text("text,label\nx,y\n")
    path = tmp_path / "edgekit.toml"
    path.write_text(SOUND)
    return path


def test_a_sound_spec_has_absolute_paths_and_defaults(spec: Path) -> None:
    loaded = load_spec(spec)
    assert Path(loaded.data.evaluation) == spec.parent / "e.csv"
    assert loaded.objective == "latency"
    assert loaded.limits.confidence == 0.95


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'objective = "latency"',
            'objectiv = "latency"',
            "unknown key 'objectiv'; did you mean 'objective'?",
        ),
        ("[data]", "[data]\nlabels = 3", "unknown key 'data.labels'; did you mean 'label'?"),
        ("[data]", "[limits]\np99 = 3\n[data]", "unknown key 'limits.p99'; did you mean 'p99_ms'?"),
        (
            "[data]",
            '[limits]\np99_ms = "5"\n[data]',
            "limits.p99_ms: expected `float | null`, got `str`",
        ),
        ("[data]", "[limits]\np99_ms = -5\n[data]", "limits.p99_ms: expected `float` > 0.0"),
        (
            "[data]",
            "[limits]\nmax_accuracy_drop = 3\n[data]",
            "limits.max_accuracy_drop: expected `float` <= 1.0",
        ),
        ('objective = "latency"', 'objective = "speed"', "objective: invalid enum value 'speed'"),
        ('name = "tickets"', "", "missing key 'model.name'"),
        ('name = "tickets"', 'name = "Tickets/1"', "model.name: expected `str` matching regex"),
        ('source = "model"', 'source = "nowhere"', "model.source = 'nowhere': no such folder"),
        ('"e.csv"', '"f.csv"', "data.evaluation = 'f.csv': no such file"),
        ("[data]", "[data", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(spec: Path, old: str, new: str, expected: str) -> None:
    spec.write_text(SOUND.replace(old, new))
    with pytest.raises(InputError) as caught:
        load_spec(spec)
    message = str(caught.value)
    assert message.startswith(str(spec))
    assert expected in message
    assert "\n" not in message


@pytest.mark.processes
def test_a_missing_spec_says_how_to_write_one(tmp_path: Path) -> None:
    ran = edgekit("build", tmp_path / "edgekit.toml", code=2)
    assert ran.err.count("\n") == 1
    assert "edgekit init" in ran.err


@pytest.mark.processes
def test_an_unknown_task_and_recipe_and_device_are_named(spec: Path) -> None:
    spec.write_text(SOUND.replace("text-classification", "text-clasification"))
    assert "unknown task; known: text-classification" in edgekit("build", spec, code=2).err
    spec.write_text(SOUND + '[target]\nrecipes = ["onnx-int9"]\n')
    assert "unknown recipe 'onnx-int9'" in edgekit("build", spec, code=2).err
    spec.write_text(SOUND + '[target]\ndevice = "toaster"\n')
    assert "unknown device class" in edgekit("build", spec, code=2).err
    assert not (spec.parent / "build").exists()
