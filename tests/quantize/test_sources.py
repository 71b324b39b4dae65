"""Sources by task: what the workstation knows of each task."""

import itertools
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.quantize.sources import SOURCES, architectures, checkpoint_of, source_task


def test_an_architecture_has_one_task() -> None:
    for one, other in itertools.permutations(architectures().values(), 2):
        assert not one.endswith(other)


@pytest.mark.parametrize("task", SOURCES)
def test_a_task_without_checkpoints_says_how_its_models_come(task: str) -> None:
    if source_task(task).checkpoint is None:
        with pytest.raises(InputError, match=r"comes as model\.onnx with task\.json"):
            checkpoint_of(task)
    else:
        assert checkpoint_of(task).auto_class.startswith("AutoModel")


def test_a_picture_is_found_from_elsewhere_and_a_text_stays_as_it_is(tmp_path: Path) -> None:
    row = {"file": "a.png", "label": "x"}
    for task in SOURCES:
        anchored = source_task(task).anchored(row, ["file"], tmp_path)
        moved = source_task(task).kind == "picture"
        assert anchored == ({**row, "file": str(tmp_path / "a.png")} if moved else row)
