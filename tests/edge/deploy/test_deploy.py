"""Deploying: what is not right never serves, and what served goes on serving."""

import fcntl
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgekit.digests import describe_folder
from edgekit.edge.appliance.store import Store
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.release.pack import Signing
from edgekit.release.pack import pack as pack_variants
from edgekit.release.signing import load_signer
from edgekit.targets.detect import detect_machine
from tests.conftest import Built, edgekit, pack


@pytest.fixture
def second(built: Built, keys: Path, tmp_path: Path) -> Path:
    """A bundle of another variant."""
    pack(built, keys, tmp_path / "second.tar", "onnx-fp32")
    return tmp_path / "second.tar"


def signers(keys: Path) -> Signing:
    """Return the signing keys: the evidence is signed with the key of the release."""
    signer = load_signer(keys / "release.key", None)
    return Signing([signer], signer)


def serving(appliance: Path) -> str:
    """The variant that status shows."""
    shown = edgekit("status", appliance, "--json").json
    return str(shown["models"][0]["current"]["variant"])


def test_deploy_status_rollback(appliance: Path, second: Path) -> None:
    assert serving(appliance) == "onnx-int8-dynamic"
    assert "no previous version" in edgekit("rollback", appliance, code=2).err
    assert "before: 1.0.0" in edgekit("deploy", second, appliance).out
    assert serving(appliance) == "onnx-fp32"
    edgekit("rollback", appliance)
    assert serving(appliance) == "onnx-int8-dynamic"
    edgekit("rollback", appliance)
    assert serving(appliance) == "onnx-fp32"


def test_a_slot_is_hard_links_into_the_store(appliance: Path) -> None:
    store = Store(appliance)
    folder = store.serving("tiny").folder
    assert {path.name for path in folder.iterdir()} == {
        "model.onnx",
        "tokenizer.json",
        "task.json",
        "golden.json",
        "slot.json",
        "README.md",
        "sbom.cdx.json",
        "provenance.json",
    }
    inodes = {path.stat().st_ino for path in (appliance / "blobs" / "sha256").iterdir()}
    assert {path.stat().st_ino for path in folder.iterdir()} == inodes


def test_deploying_the_same_again_changes_nothing(appliance: Path, bundle: Path) -> None:
    before = (appliance / "models" / "tiny.json").read_bytes()
    edgekit("deploy", bundle, appliance)
    assert (appliance / "models" / "tiny.json").read_bytes() == before


def test_what_no_pointer_names_is_collected(
    built: Built, appliance: Path, second: Path, keys: Path, tmp_path: Path
) -> None:
    edgekit("deploy", second, appliance)
    pack(built, keys, tmp_path / "third", "onnx-int8-static")
    edgekit("deploy", tmp_path / "third", appliance)
    assert len(list((appliance / "slots" / "tiny").iterdir())) == 2
    links = [path.stat().st_nlink for path in (appliance / "blobs" / "sha256").iterdir()]
    assert min(links) >= 2
    edgekit("rollback", appliance)
    assert serving(appliance) == "onnx-fp32"


def test_a_stranger_is_refused(built: Built, appliance: Path, keys: Path, tmp_path: Path) -> None:
    out = tmp_path / "strange"
    arguments = ("--key", keys / "other.key", "--variant", "onnx-fp32", "--out", out)
    edgekit("bundle", "pack", built.folder, *arguments)
    assert "not signed by a trusted key" in edgekit("deploy", out, appliance, code=5).err
    assert (
        "trusts other keys already"
        in edgekit("deploy", out, appliance, "--trust", keys / "other.pub", code=2).err
    )
    assert serving(appliance) == "onnx-int8-dynamic"


def test_the_first_deploy_needs_a_key(bundle: Path, tmp_path: Path) -> None:
    assert "--trust KEY.pub" in edgekit("deploy", bundle, tmp_path / "new", code=2).err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    assert "not an appliance folder" in edgekit("deploy", bundle, tmp_path / "full", code=2).err
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_a_tampered_bundle_leaves_the_store_as_it_was(
    appliance: Path, second: Path, tmp_path: Path
) -> None:
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(data)
    before = snapshot(appliance)
    edgekit("deploy", second, appliance, code=5)
    assert snapshot(appliance) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file of a folder but those named lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
    return {str(path): path.read_bytes() for path in files}


def sabotage(
    built: Built, keys: Path, tmp_path: Path, name: str, spoil: Callable[[Path], object]
) -> Path:
    """Pack a properly signed bundle whose model is bad.

    `spoil` gets the folder of the variant's files.
    """
    folder = Path(shutil.copytree(built.folder, tmp_path / "spoiled"))
    build = read_build(folder)
    variant = next(item for item in build.measured if item.name == name)
    files = model_folder(folder, variant.name)
    spoil(files)
    artifact = msgspec.structs.replace(variant.artifact, files=describe_folder(files))
    bad = msgspec.structs.replace(variant, artifact=artifact)
    pack_variants(build, [bad], folder, signers(keys), tmp_path / "bad")
    return tmp_path / "bad"


def permute_labels(files: Path) -> None:
    """Roll the rows of the classifier by one: the weights answer for other labels."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(files / "model.onnx")
    for item in model.graph.initializer:
        array = numpy_helper.to_array(item)
        if 4 in array.shape and array.ndim in (1, 2) and "embeddings" not in item.name:
            axis = array.shape.index(4)
            item.CopyFrom(numpy_helper.from_array(np.roll(array, 1, axis=axis).copy(), item.name))
    onnx.save(model, files / "model.onnx")


def fill_with_nan(files: Path) -> None:
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(files / "model.onnx")
    for item in model.graph.initializer:
        if item.name == "classifier.bias":
            item.CopyFrom(numpy_helper.from_array(np.full(4, np.nan, dtype=np.float32), item.name))
    onnx.save(model, files / "model.onnx")


def other_tokenizer(files: Path) -> None:
    tokenizer = json.loads((files / "tokenizer.json").read_text())
    vocab = tokenizer["model"]["vocab"]
    words = [word for word in vocab if not word.startswith("[")]
    tokenizer["model"]["vocab"] |= dict(
        zip(words, [vocab[word] for word in words[1:] + words[:1]], strict=True)
    )
    (files / "tokenizer.json").write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda files: (files / "model.onnx").write_bytes(b"not a model"), "does not run here"),
        (permute_labels, "answers the golden samples wrongly"),
        (fill_with_nan, "answers the golden samples wrongly"),
        (other_tokenizer, "answers the golden samples wrongly"),
        (lambda files: (files / "task.json").unlink(), "task.json"),
    ],
)
def test_a_bad_model_is_caught_before_it_serves(
    built: Built,
    keys: Path,
    appliance: Path,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    expected: str,
) -> None:
    bad = sabotage(built, keys, tmp_path, "onnx-fp32", spoil)
    before = snapshot(appliance)
    ran = edgekit("deploy", bad, appliance, code=6)
    assert expected in ran.err
    assert snapshot(appliance) == before


def test_a_bundle_for_another_architecture_does_not_fit(
    built: Built, keys: Path, appliance: Path, tmp_path: Path
) -> None:
    build = msgspec.structs.replace(read_build(built.folder), architecture="arm64")
    variant = next(item for item in build.measured if item.name == "onnx-fp32")
    pack_variants(build, [variant], built.folder, signers(keys), tmp_path / "arm")
    assert (
        "is for arm64, and this is amd64"
        in edgekit("deploy", tmp_path / "arm", appliance, code=6).err
    )


def test_a_deploy_keeps_others_out_and_no_rollback(appliance: Path, second: Path) -> None:
    edgekit("deploy", second, appliance)
    with (appliance / "lock").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for words in (
            ("deploy", second, appliance),
            ("fsck", appliance),
            ("gc", appliance),
            ("uninstall", appliance, "tiny"),
        ):
            assert "is at work here" in edgekit(*words, code=7).err
        edgekit("rollback", appliance)
    edgekit("deploy", second, appliance)


def test_three_deploys_at_once_have_one_result(
    built: Built, keys: Path, appliance: Path, second: Path, tmp_path: Path
) -> None:
    pack(built, keys, tmp_path / "third", "onnx-int8-static")
    bundles = [second, tmp_path / "third", second]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "edgekit", "deploy", str(item), str(appliance)],
            stderr=subprocess.DEVNULL,
        )
        for item in bundles
    ]
    codes = [process.wait() for process in running]
    assert set(codes) <= {0, 7}
    assert codes.count(0) >= 1
    assert serving(appliance) in {"onnx-fp32", "onnx-int8-static"}


def test_a_rotten_slot_is_noticed_when_it_is_loaded(appliance: Path) -> None:
    slot = next((appliance / "slots" / "tiny").iterdir())
    model = slot / "model.onnx"
    model.chmod(0o644)
    data = bytearray(model.read_bytes())
    data[1000] ^= 1
    model.write_bytes(data)
    assert (
        "changed since it was deployed"
        in edgekit("predict", appliance, "bearing noise", code=5).err
    )
    slot_json = slot / "slot.json"
    slot_json.chmod(0o644)
    slot_json.write_text(slot_json.read_text().replace('"batch_size":', '"batch_size": '))
    assert "slot.json: changed" in edgekit("predict", appliance, "bearing noise", code=5).err


def rot(path: Path) -> None:
    """Flip a bit of a file in the store."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_rotten_store_is_mended_by_deploying_again(
    appliance: Path, bundle: Path, second: Path
) -> None:
    slot = next((appliance / "slots" / "tiny").iterdir())
    rot(slot / "tokenizer.json")  # a blob that the second bundle shares
    rot(slot / "model.onnx")
    edgekit("predict", appliance, "bearing noise", code=5)
    edgekit("deploy", second, appliance)
    edgekit("predict", appliance, "bearing noise")
    edgekit("deploy", bundle, appliance)
    assert serving(appliance) == "onnx-int8-dynamic"
    edgekit("predict", appliance, "bearing noise")


def test_a_first_deploy_that_was_cut_off_needs_no_repair(
    bundle: Path, keys: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "appliance"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "blobs" / "sha256" / ".copying.x").write_bytes(b"half")
    edgekit("deploy", bundle, folder, "--trust", keys / "release.pub")
    assert not list((folder / "blobs" / "sha256").glob(".*"))


def test_a_key_may_have_any_name(bundle: Path, second: Path, keys: Path, tmp_path: Path) -> None:
    shutil.copy(keys / "release.pub", tmp_path / "site.pem")
    edgekit("deploy", bundle, tmp_path / "appliance", "--trust", tmp_path / "site.pem")
    edgekit("deploy", second, tmp_path / "appliance")


def test_a_device_without_the_needed_cpu_features(
    built: Built, keys: Path, appliance: Path, tmp_path: Path
) -> None:
    build = msgspec.structs.replace(read_build(built.folder), isa=("avx_vnni", "avx512_vnni"))
    variant = next(item for item in build.measured if item.name == "onnx-int8-dynamic")
    pack_variants(build, [variant], built.folder, signers(keys), tmp_path / "vnni")
    if "avx_vnni" in detect_machine().isa:
        pytest.skip("this CPU has it")
    assert (
        "needs a CPU with avx_vnni" in edgekit("deploy", tmp_path / "vnni", appliance, code=6).err
    )


def test_predict(appliance: Path) -> None:
    ran = edgekit("predict", appliance, "bearing noise grinding", "--json")
    assert ran.json["labels"][0]["label"] == "bearing_wear"
    assert (
        edgekit("predict", appliance, "-", "--top-k", "1", stdin="coolant puddle\n").out.split()[1]
        == "coolant_leak"
    )
    assert (
        "holds no model 'other'"
        in edgekit("predict", appliance, "x", "--model", "other", code=2).err
    )


@pytest.mark.parametrize("name", ["openvino-int8", "gguf-q4_k_m"])
def test_every_engine_is_deployed_and_answers(
    built: Built, keys: Path, tmp_path: Path, name: str
) -> None:
    pack(built, keys, tmp_path / "bundle", name)
    edgekit("deploy", tmp_path / "bundle", tmp_path / "appliance", "--trust", keys / "release.pub")
    ran = edgekit("predict", tmp_path / "appliance", "belt slip squeal", "--json")
    assert ran.json["labels"][0]["label"] == "belt_slip"
