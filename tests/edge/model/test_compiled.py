"""The last compile step: done once at deploy, hashed at every load, void with another driver.

It is never in the way.
"""

import json
import random
import shutil
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest

from edgekit.digests import describe_bytes
from edgekit.edge.appliance.policy import GOLDEN_SECONDS
from edgekit.edge.appliance.store import Store
from edgekit.edge.deploy.deploy import deploy
from edgekit.edge.deploy.golden import check_golden
from edgekit.edge.engines import load_compiler, load_engine
from edgekit.edge.model.device_compile import FOLDER, RECORD, Made, compile_slot, read_compiled
from edgekit.edge.model.health import read_golden
from edgekit.edge.model.slot import read_slot
from edgekit.edge.model.tensor_model import Model, open_slot
from edgekit.edge.tasks import load_task
from edgekit.errors import InputError, Misfit, Refused
from edgekit.nouns import Setting, read_json
from edgekit.profiles.build_folder import model_folder, read_build
from tests import small
from tests.conftest import Built, edgekit


def quiet(stage: str, share: float) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def pumps(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for this machine's CPU."""
    return small.bundle(tmp_path_factory.mktemp("compiling") / "pumps.tar", small.signing(keys))


@pytest.fixture
def slot(pumps: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Deploy a slot where the CPU counts as an accelerator, and return its folder.

    A CPU can compile as well.
    """
    monkeypatch.setattr("edgekit.edge.model.device_compile.needs_device_compile", lambda slot: True)
    deploy(pumps, tmp_path / "appliance", keys / "release.pub", quiet)
    return Store(tmp_path / "appliance").serving("pumps").folder


def is_used(folder: Path) -> bool:
    return read_compiled(folder, read_slot(folder)) is not None


@pytest.mark.parametrize(
    "name", ["onnx-fp32", "onnx-int8-dynamic", "openvino-int8", "openvino-int8-buckets"]
)
def test_what_is_compiled_answers_the_same(built: Built, name: str) -> None:
    variant = next(item for item in read_build(built.folder).variants if item.name == name)
    folder, setting = model_folder(built.folder, variant.name), Setting(batch_size=4)
    compiler, task = load_compiler(variant.engine), load_task(folder)
    compiled = compiler.compile_here(folder, setting, quiet)
    assert all(compiled.values())
    golden = read_golden(built.folder)
    inputs = [task.parse(value) for value in golden.inputs]
    sessions = [compiler.load(folder, setting), compiler.load_compiled(folder, setting, compiled)]
    plain, ours = (Model(task, session, setting).answers(inputs) for session in sessions)
    assert np.allclose(plain, ours, atol=1e-6)


def scaling(folder: Path, factor: float, name: str = "values") -> Path:
    """An OpenVINO model that multiplies its one input by a factor."""
    import openvino as ov
    from openvino import opset13 as ops

    values = ops.parameter([-1, -1], np.float32, name=name)
    values.output(0).get_tensor().set_names({name})
    product = ops.multiply(values, ops.constant(np.float32(factor)))
    product.output(0).get_tensor().set_names({"product"})
    folder.mkdir()
    ov.save_model(
        ov.Model([product], [values], "scaling"), folder / "model.xml", compress_to_fp16=False
    )
    return folder


def test_openvino_runs_the_blob(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was compiled of one model, beside the files of another: it is the blob that answers."""
    compiler, setting, feeds = (
        load_compiler("openvino"),
        Setting(),
        {"values": np.ones((1, 2), np.float32)},
    )
    compiled = compiler.compile_here(scaling(tmp_path / "two", 2.0), setting, quiet)
    three = scaling(tmp_path / "three", 3.0)
    assert compiler.load_compiled(three, setting, compiled).run(feeds)["product"].tolist() == [
        [2.0, 2.0]
    ]
    assert not capfd.readouterr().err
    refused = {name: data[: len(data) // 2] for name, data in compiled.items()}
    assert compiler.load_compiled(three, setting, refused).run(feeds)["product"].tolist() == [
        [3.0, 3.0]
    ]
    assert "CPU refuses what was compiled for it" in capfd.readouterr().err


def test_every_bucket_runs_its_own_blob(tmp_path: Path) -> None:
    compiler, setting = load_compiler("openvino"), Setting(batch_size=2, options={"buckets": "2,4"})
    compiled = compiler.compile_here(
        scaling(tmp_path / "two", 2.0, "attention_mask"), setting, quiet
    )
    assert set(compiled) == {"2", "4"}
    session = compiler.load_compiled(
        scaling(tmp_path / "three", 3.0, "attention_mask"), setting, compiled
    )
    for length in (2, 4):
        answered = session.run({"attention_mask": np.ones((1, length), np.float32)})["product"]
        assert answered.tolist() == [[2.0] * length]


def test_onnxruntime_runs_what_was_compiled(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    compiler, setting, feeds = (
        load_compiler("onnxruntime"),
        Setting(),
        {"features": np.eye(3, dtype=np.float32)},
    )
    folders = [tmp_path / "one", tmp_path / "other"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        onnx.save(small.model(small.weights(seed)), folder / "model.onnx")
    one, other = (compiler.load(folder, setting).run(feeds)["probabilities"] for folder in folders)
    compiled = compiler.compile_here(folders[0], setting, quiet)
    said = compiler.load_compiled(folders[1], setting, compiled).run(feeds)["probabilities"]
    assert np.allclose(said, one)
    assert not np.allclose(said, other)
    assert not capfd.readouterr().err
    broken = {name: data[:50] for name, data in compiled.items()}
    said = compiler.load_compiled(folders[1], setting, broken).run(feeds)["probabilities"]
    assert np.allclose(said, other)
    assert "ONNX Runtime refuses what was compiled" in capfd.readouterr().err


def test_deploy_compiles_and_the_model_runs_on_it(slot: Path) -> None:
    assert {path.name for path in (slot / FOLDER).iterdir()} == {"model.onnx", RECORD}
    assert is_used(slot)
    golden = read_golden(slot)
    model = open_slot(slot)
    said = model.answers([model.task.parse(value) for value in golden.inputs])
    assert np.allclose(said, golden.answers, atol=1e-6)
    check_golden(slot, Store(slot.parents[2]).serving("pumps").slot.slot_sha256, GOLDEN_SECONDS)


def test_the_golden_samples_judge_what_was_compiled(slot: Path, tmp_path: Path) -> None:
    """A compiler that gets it wrong: its result fits its record, and answers like another model."""
    record = read_json((slot / FOLDER / RECORD).read_bytes(), Made)
    onnx.save(small.model(small.weights(seed=9)), tmp_path / "wrong.onnx")
    wrong = (tmp_path / "wrong.onnx").read_bytes()
    (slot / FOLDER / "model.onnx").write_bytes(wrong)
    files = (describe_bytes(wrong, "model.onnx"),)
    (slot / FOLDER / RECORD).write_bytes(msgspec.structs.replace(record, files=files).to_json())
    digest = Store(slot.parents[2]).serving("pumps").slot.slot_sha256
    with pytest.raises(Misfit, match="answers the golden samples wrongly here"):
        check_golden(slot, digest, GOLDEN_SECONDS)


def test_nothing_that_was_changed_is_loaded(slot: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chance, loaded = random.Random(5), 0
    flips = 0
    for path in (slot / FOLDER).iterdir():
        sound = path.read_bytes()
        for place in chance.sample(range(8 * len(sound)), min(400, 8 * len(sound))):
            changed = bytearray(sound)
            changed[place // 8] ^= 1 << place % 8
            path.write_bytes(changed)
            loaded += is_used(slot)
            flips += 1
        path.write_bytes(sound)
    assert is_used(slot)
    assert loaded == 0
    print(f"{flips} flips in what was compiled, {loaded} loaded")
    assert "changed since it was made" in capfd.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"engine_version": "0.9"},
        {"place": "another CPU"},
        {"setting": Setting(threads=7)},
        {"slot": ("blake3:00",)},
    ],
)
def test_it_is_void_with_anything_else(
    slot: Path, change: dict[str, object], capfd: pytest.CaptureFixture[str]
) -> None:
    path = slot / FOLDER / RECORD
    made = msgspec.structs.replace(read_json(path.read_bytes(), Made), **change)
    path.write_bytes(made.to_json())
    assert not is_used(slot)
    assert "made with another engine, driver or device" in capfd.readouterr().err
    assert open_slot(slot).answers([np.zeros(3, np.float32)]), "the engine compiles anew"


def test_rot_is_found_served_around_and_mended(slot: Path, pumps: Path) -> None:
    appliance, path = slot.parents[2], slot / FOLDER / "model.onnx"
    before = path.stat()
    deploy(pumps, appliance, None, quiet)
    assert path.stat().st_ino == before.st_ino, "nothing was done twice"
    path.write_bytes(b"rot")
    found = edgekit("fsck", appliance, "--json", code=5).json
    assert [item["path"] for item in found["rotten"]] == [str(slot / FOLDER)]
    assert found["fell_back"] == {}
    deploy(pumps, appliance, None, quiet)
    assert is_used(slot)
    edgekit("fsck", appliance)
    (slot / f".{FOLDER}.left").mkdir()  # by a process that was killed
    edgekit("gc", appliance)
    assert not list(slot.glob(f".{FOLDER}.*"))
    assert is_used(slot)
    edgekit("uninstall", appliance, "pumps")
    assert not slot.exists()


def test_without_it_the_engine_compiles_and_the_worker_says_so(
    slot: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(slot / FOLDER)
    assert open_slot(slot).answers([np.zeros(3, np.float32)])
    assert "not compiled for this device; deploy the bundle again" in capfd.readouterr().err


def test_a_failing_compiler_leaves_the_old_model_serving(
    slot: Path, keys: Path, tmp_path: Path
) -> None:
    setting = Setting(options={"graph_optimization": "some"})
    bad = small.bundle(tmp_path / "bad.tar", small.signing(keys), version="2.0.0", setting=setting)
    with pytest.raises(Misfit, match="can't be compiled here: KeyError: 'some'"):
        deploy(bad, slot.parents[2], None, quiet)
    assert Store(slot.parents[2]).serving("pumps").folder == slot
    assert [path.name for path in slot.parent.iterdir()] == [slot.name]


def test_no_room_for_what_is_compiled(
    slot: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full enough only once it has been compiled."""
    real, asked = shutil.disk_usage, []

    def usage(path: Path) -> object:
        asked.append(path)
        return real(path) if len(asked) < 3 else real(path)._replace(free=1000)

    monkeypatch.setattr("edgekit.edge.deploy.fit.shutil.disk_usage", usage)
    more = small.bundle(tmp_path / "more.tar", small.signing(keys), version="2.0.0", seed=2)
    with pytest.raises(InputError, match="no room for what was compiled"):
        deploy(more, slot.parents[2], None, quiet)
    assert Store(slot.parents[2]).serving("pumps").folder == slot
    assert [path.name for path in slot.parent.iterdir()] == [slot.name]


def test_rot_before_compiling_is_rot(slot: Path) -> None:
    (slot / "task.json").chmod(0o644)
    (slot / "task.json").write_text("{}")
    with pytest.raises(Refused, match=r"task\.json: changed since it was deployed"):
        compile_slot(slot, Store(slot.parents[2]).serving("pumps").slot.slot_sha256, quiet)


def test_an_accelerator_that_is_not_here_is_a_misfit(keys: Path, tmp_path: Path) -> None:
    for device, name in (("NPU", "intel-npu"), ("TensorRT", "jetson-gpu"), ("TPU", "TPU")):
        setting = Setting(options={"device": device})
        made = small.bundle(tmp_path / f"{device}.tar", small.signing(keys), setting=setting)
        ran = edgekit("deploy", made, tmp_path / "new", "--trust", keys / "release.pub", code=6)
        assert f"onnx-fp32: runs on {name}, which this device does not have" in ran.err


def test_tensorrt_gets_the_shapes_that_it_will_see(built: Built, tmp_path: Path) -> None:
    """TensorRT's provider would be asked for the right shapes, and nothing runs without it.

    The provider is not here: what it would be asked for is, and that ONNX Runtime does not go on
    without it.
    """
    from edgekit.edge.engines.onnxruntime import _providers, _shapes

    variant = next(item for item in read_build(built.folder).variants if item.name == "onnx-fp32")
    folder = model_folder(built.folder, variant.name)
    longest = json.loads((folder / "task.json").read_bytes())["max_length"]
    setting = Setting(batch_size=8, options={"device": "TensorRT", "int8": True})
    (name, options), *others = _providers(setting, _shapes(folder, setting))
    assert (name, others) == (
        "TensorrtExecutionProvider",
        ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    assert options["trt_int8_enable"] == "1"
    assert options["trt_fp16_enable"] == "0"
    names = [item.partition(":")[0] for item in options["trt_profile_min_shapes"].split(",")]
    assert set(names) == {"input_ids", "attention_mask", "token_type_ids"}
    assert options["trt_profile_min_shapes"] == ",".join(f"{name}:1x1" for name in names)
    assert options["trt_profile_max_shapes"] == ",".join(f"{name}:8x{longest}" for name in names)
    with pytest.raises(RuntimeError, match="no TensorrtExecutionProvider; install NVIDIA's build"):
        load_engine("onnxruntime").load(folder, setting)
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(folder / "model.onnx", lone)
    with pytest.raises(RuntimeError, match="has no max_length"):
        _shapes(lone, setting)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_provider_that_is_listed_and_does_not_start_is_no_silent_cpu(
    slot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that is listed and does not start is an error.

    NVIDIA's build lists it where libnvinfer is missing, and ONNX Runtime goes on with what is left.
    """
    import onnxruntime as ort

    listed = ["TensorrtExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: listed)
    with pytest.raises(RuntimeError, match="TensorrtExecutionProvider does not start here"):
        load_engine("onnxruntime").load(slot, Setting(options={"device": "TensorRT"}))
