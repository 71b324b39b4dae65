"""Two files that say the same thing differently are an error that names both keys."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import InputError
from edgekit.quantize.folder.beside_task import compare_preprocessor, compare_sections
from edgekit.quantize.prepare import InspectRequest, inspect_job
from edgekit.quantize.source import Source

VIT = {
    "do_resize": True,
    "size": {"height": 32, "width": 24},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 0.00392156862745098,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.2, 0.2],
    "image_processor_type": "ViTImageProcessor",
}
TASK = {
    "height": 32,
    "width": 24,
    "channels": 3,
    "mean": [0.5, 0.4, 0.3],
    "std": [0.2],
    "resample": "bicubic",
}


def compare(folder: Path, said: dict[str, Any], task: dict[str, Any]) -> list[str]:
    (folder / "preprocessor_config.json").write_text(json.dumps(said))
    return compare_preprocessor(folder, task)


def test_a_processor_that_does_the_same_passes(tmp_path: Path) -> None:
    assert compare_preprocessor(tmp_path, TASK) == []
    assert compare(tmp_path, VIT, TASK) == []
    (line,) = compare(tmp_path, {**VIT, "sharpen": 1}, TASK)
    assert line.startswith(f"{tmp_path / 'preprocessor_config.json'}: sharpen: ")


@pytest.mark.parametrize(
    ("said", "name", "value"),
    [
        # 8 bits as they are, 0 to 2, and -1 to 1: what task.json must say for each
        ({"do_rescale": False, "do_normalize": False}, "mean", [0.0]),
        ({"do_normalize": False}, "mean", [0.0]),
        ({"rescale_factor": 2 / 255, "do_normalize": False}, "std", [0.5]),
        ({"image_mean": 0.5, "image_std": 0.5}, "mean", [0.5]),
        ({"size": {"height": 32, "width": 32}}, "width", 32),
        ({"size": 32}, "width", 32),
        ({"resample": 2}, "resample", "bilinear"),
        ({"resample": 1}, "resample", "lanczos"),
    ],
)
def test_a_contradiction_names_both_keys_and_what_is_right(
    tmp_path: Path, said: dict[str, Any], name: str, value: object
) -> None:
    with pytest.raises(InputError) as caught:
        # each of them alone differs
        compare(tmp_path, VIT | said, TASK | ({} if name != "std" else {"mean": [0.0]}))
    line = str(caught.value)
    assert f"{tmp_path / 'preprocessor_config.json'}: " in line
    assert f"{tmp_path / 'task.json'}: {name} contradict" in line
    assert line.endswith(f"{name} = {value!r}")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"do_center_crop": True, "crop_size": 32}, "do_center_crop: the processor crops"),
        ({"size": {"shortest_edge": 32}}, "size: shortest_edge: the processor keeps"),
        ({"do_flip_channel_order": True}, "swaps the channels"),
        ({"auto_map": {"x": "y"}}, "auto_map: asks for code"),
        ({"rescale_factor": "x"}, "must be numbers"),
    ],
)
def test_what_task_json_has_no_key_for_is_refused(
    tmp_path: Path, said: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        compare(tmp_path, VIT | said, TASK)


def test_pixels_are_those_of_the_processor(tmp_path: Path) -> None:
    import io

    import numpy as np
    from PIL import Image
    from transformers import ViTImageProcessor

    from edgekit.edge.tasks import load_task

    processor = ViTImageProcessor(**{key: VIT[key] for key in VIT if key != "image_processor_type"})
    task = {"task": "image-classification", "labels": ["a", "b"], **TASK}
    (tmp_path / "task.json").write_text(json.dumps(task | {"orientation": "exif"}))
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    from transformers.image_utils import load_image

    path = tmp_path / "a.png"
    path.write_bytes(file.getvalue())
    right = processor(load_image(str(path)), return_tensors="np")["pixel_values"]
    said = load_task(tmp_path).encode([file.getvalue()])["pixel_values"]
    assert np.max(np.abs(said - right)) * 0.2 * 255 < 1  # one grey level
    (tmp_path / "task.json").write_text(json.dumps(task))
    stored = load_task(tmp_path).encode([file.getvalue()])["pixel_values"]
    assert np.max(np.abs(stored - right)) * 0.2 * 255 > 50


def write_tokenizer(folder: Path, **sections: Any) -> Path:  # noqa: ANN401
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({"model": {"dropout": None}, **sections}))
    return path


LEFT = {"direction": "Left", "max_length": 8, "strategy": "LongestFirst", "stride": 0}
TEXT = {"truncation_side": "right", "padding_side": "right", "pad_id": 0, "max_length": 16}


def test_stored_sections_neither_win_nor_lose_in_silence(tmp_path: Path) -> None:
    where = tmp_path / "task.json"
    path = write_tokenizer(tmp_path, truncation=LEFT, padding=None)
    with pytest.raises(InputError, match=r"direction = 'left' and .*truncation_side = 'right' con"):
        compare_sections(path, TEXT, where, own=True)
    side, length = compare_sections(path, TEXT, where, own=False)
    assert "truncation_side = 'right': the latter is what counts" in side
    assert "max_length = 8" in length
    assert compare_sections(path, TEXT | {"truncation_side": "left"}, where, own=True) == [length]
    padding = {"direction": "Right", "pad_id": 1, "pad_token": "<pad>"}
    path = write_tokenizer(tmp_path, truncation=None, padding=padding)
    with pytest.raises(InputError, match=r"padding\.pad_id = 1 and .*pad_id = 0 contradict"):
        compare_sections(path, TEXT, where, own=True)


def test_words_that_are_cut_at_random_are_refused(tmp_path: Path) -> None:
    path = write_tokenizer(tmp_path)
    path.write_text(json.dumps({"model": {"dropout": 0.1}}))
    with pytest.raises(InputError, match=r"model\.dropout cuts words at random"):
        compare_sections(path, TEXT, tmp_path, own=False)


def write_picture_model(folder: Path, task: dict[str, Any]) -> None:
    """Write an ONNX model that answers with the mean of each of three channels."""
    shape = ["batch", 3, task["height"], task["width"]]
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["pixel_values"], ["means"]),
            helper.make_node("Flatten", ["means"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    described = {"task": "image-classification", "labels": ["a", "b", "c"], **task}
    (folder / "task.json").write_text(json.dumps(described))


def inspect(folder: Path, out: Path) -> dict[str, Any]:
    """Let the build look at a folder, and return task.json as it would pack it."""
    out.mkdir()
    source = Source(
        kind="onnx",
        path=str(folder),
        task="image-classification",
        architecture="onnx",
        sha256="",
        files=(),
    )
    inspect_job(InspectRequest(source=source, max_length=None, out=str(out)), lambda *_: None)
    described: dict[str, Any] = json.loads((out / "task.json").read_text())
    return described


def test_a_build_writes_down_how_pictures_are_turned(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_picture_model(folder, TASK)
    assert inspect(folder, tmp_path / "one")["orientation"] == "exif"
    write_picture_model(folder, TASK | {"orientation": "stored"})
    assert inspect(folder, tmp_path / "two")["orientation"] == "stored"
    (folder / "preprocessor_config.json").write_text(json.dumps(VIT | {"resample": 2}))
    with pytest.raises(InputError, match=r"resample and .*task\.json: resample contradict"):
        inspect(folder, tmp_path / "three")
    write_picture_model(folder, TASK | {"std": [0.2, 0.2]})
    with pytest.raises(InputError, match=r"task\.json: std has 2 numbers and channels = 3"):
        inspect(folder, tmp_path / "four")
