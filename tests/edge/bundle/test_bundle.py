"""Bundles: what is signed is what is packed, and nothing else is accepted."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.bundle.layout import open_layout
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.bundle.verify import check_blobs, verify
from edgekit.errors import EdgekitError, InputError, Refused
from tests.conftest import ROOT, Built, edgekit, pack


def accept(bundle: Path, key: Path) -> None:
    """The whole verdict; raises Refused."""
    layout = open_layout(bundle)
    check_blobs(layout, verify(layout, open_trust(key)))


@pytest.fixture(scope="session")
def tar(built: Built, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tar") / "bundle.tar"
    pack(built, keys, out, "onnx-int8-dynamic")
    return out


def test_folder_and_tar_hold_the_same(bundle: Path, tar: Path, keys: Path, tmp_path: Path) -> None:
    accept(bundle, keys / "release.pub")
    accept(tar, keys / "release.pub")
    with tarfile.open(tar) as archive:
        archive.extractall(tmp_path, filter="data")
    assert not subprocess.run(
        ["diff", "-r", str(bundle), str(tmp_path)], check=False, capture_output=True
    ).stdout


def test_packing_again_gives_the_same_bytes(
    built: Built, tar: Path, keys: Path, tmp_path: Path
) -> None:
    pack(built, keys, tmp_path / "again.tar", "onnx-int8-dynamic")
    assert (tmp_path / "again.tar").read_bytes() == tar.read_bytes()


def test_it_is_a_modelpack_in_an_oci_layout(bundle: Path) -> None:
    assert json.loads((bundle / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}

    def blob(descriptor: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
        return json.loads((bundle / "blobs" / descriptor["digest"].replace(":", "/")).read_text())

    top = json.loads((bundle / "index.json").read_text())
    release = blob(top["manifests"][0])
    assert release["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    manifest = blob(release["manifests"][0])
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    layers = {item["annotations"]["org.cncf.model.filepath"]: item for item in manifest["layers"]}
    papers = {"README.md", "sbom.cdx.json", "provenance.json"}
    files = {"model.onnx", "tokenizer.json", "task.json", "golden.json", "slot.json"}
    assert set(layers) == files | papers
    for name in papers:
        assert layers[name]["mediaType"] == "application/vnd.cncf.model.doc.v1.raw"
    assert layers["model.onnx"]["mediaType"] == "application/vnd.cncf.model.weight.v1.raw"
    assert layers["golden.json"]["mediaType"] == "application/vnd.cncf.model.dataset.v1.raw"
    for item in top["manifests"][1:]:
        assert blob(item)["subject"]["digest"] in (
            top["manifests"][0]["digest"],
            release["manifests"][0]["digest"],
        )


def test_inspect_and_verify(tar: Path, keys: Path) -> None:
    assert (
        "sound; signed by" in edgekit("bundle", "verify", tar, "--trust", keys / "release.pub").out
    )
    shown = edgekit("bundle", "inspect", tar, "--trust", keys / "release.pub", "--json").json
    assert shown["model"] == "tiny"
    assert shown["variants"][0]["evidence"]["quality"]["comparison"]["samples"] == 400
    assert "model.onnx" in edgekit("bundle", "inspect", tar, "--trust", keys / "release.pub").out
    assert "nothing verified" in edgekit("bundle", "inspect", tar).out
    assert (
        edgekit("bundle", "verify", tar, "--trust", keys / "other.pub", code=5).err.count("\n") == 1
    )


def test_no_text_of_the_users_travels(bundle: Path, tiny: Path) -> None:
    packed = b"".join(path.read_bytes() for path in bundle.rglob("*") if path.is_file())
    for name in ("evaluation.csv", "calibration.csv"):
        for line in (tiny / name).read_text().splitlines()[1:]:
            text = line.rsplit(",", 1)[0]
            if len(text.split()) > 3:
                assert text.encode() not in packed


def test_released_rows_travel(project: Path, keys: Path) -> None:
    spec = project / "edgekit.toml"
    text = (
        spec.read_text().replace("[limits]", "release_rows = [2, 7]\n[limits]")
        + '[target]\nrecipes = ["onnx-fp32"]\n'
    )
    spec.write_text(text)
    edgekit("build", spec, "--quick")
    golden = json.loads((project / "build" / "golden.json").read_text())
    rows = (project / "evaluation.csv").read_text().splitlines()
    assert golden["inputs"] == [rows[2].rsplit(",", 1)[0], rows[7].rsplit(",", 1)[0]]
    spec.write_text(text.replace("[2, 7]", "[401]"))
    assert "has no row 401; it has 400" in edgekit("build", spec, "--quick", code=2).err


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_every_flipped_bit_of_the_records_is_refused(
    bundle: Path, keys: Path, tmp_path: Path
) -> None:
    """A flipped bit is refused in every file of a bundle but the large blobs.

    One random bit in every eight bytes is tried.
    """
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    rng = random.Random(1)
    tried = 0
    for path in sorted(copy.rglob("*")):
        if not path.is_file() or path.stat().st_size > 20_000:
            continue
        sound = path.read_bytes()
        for start in range(0, len(sound), 8):
            flip(path, 8 * start + rng.randrange(8 * min(8, len(sound) - start)))
            with pytest.raises(Refused):
                accept(copy, keys / "release.pub")
            path.write_bytes(sound)
            tried += 1
    assert tried > 1000
    accept(copy, keys / "release.pub")


def test_random_flips_of_a_tar_are_refused(tar: Path, keys: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(tar, tmp_path / "copy.tar"))
    sound, rng = copy.read_bytes(), random.Random(2)
    headers = [
        offset for offset in range(0, len(sound), 512) if b"ustar" in sound[offset : offset + 512]
    ]
    places = [rng.randrange(8 * len(sound)) for _ in range(150)]
    places += [
        8 * (offset + rng.randrange(512)) + rng.randrange(8)
        for offset in headers
        for _ in range(10)
    ]
    places += [8 * (len(sound) - 1 - rng.randrange(1024)) for _ in range(20)]
    for bit in places:
        flip(copy, bit)
        with pytest.raises(Refused):
            accept(copy, keys / "release.pub")
        copy.write_bytes(sound)


def edit_json(name: str, change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def spoil(bundle: Path) -> None:
        value = json.loads((bundle / name).read_text())
        change(value)
        (bundle / name).write_text(json.dumps(value, sort_keys=True, separators=(",", ":")))

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: (b / "extra").write_text("x"),
        lambda b: (b / "blobs" / "sha256" / ("0" * 64)).write_text("x"),
        lambda b: (b / "index.json").unlink(),
        lambda b: (b / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}'),
        lambda b: max(
            (b / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size
        ).unlink(),
        lambda b: (b / "link").symlink_to("/etc/passwd"),
        lambda b: os.mkfifo(b / "pipe"),
        edit_json("index.json", lambda top: top.update(annotations={"x": "y"})),
        edit_json("index.json", lambda top: top.update(extra=1)),
        edit_json("index.json", lambda top: top["manifests"].pop(1)),  # type: ignore[attr-defined]
        edit_json("index.json", lambda top: top["manifests"].pop(0)),  # type: ignore[attr-defined]
        edit_json("index.json", lambda top: top["manifests"].pop()),  # type: ignore[attr-defined]
        edit_json("index.json", lambda top: top["manifests"].append(top["manifests"][1])),  # type: ignore[attr-defined,index]
        lambda b: (b / "index.json").write_text("[" * 100_000),
        lambda b: (b / "index.json").write_text((b / "index.json").read_text() + " "),
        lambda b: (b / "index.json").write_bytes(b"\xff\xfe"),
    ],
)
def test_whatever_is_not_signed_is_refused(
    bundle: Path, keys: Path, tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    spoil(copy)
    with pytest.raises(EdgekitError) as caught:
        accept(copy, keys / "release.pub")
    assert isinstance(caught.value, Refused | InputError)


def test_a_tar_that_others_write_is_refused(bundle: Path, keys: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.tar"
    with tarfile.open(foreign, "w") as archive:
        archive.add(bundle, ".")
    with pytest.raises(Refused, match="not a canonical tar"):
        accept(foreign, keys / "release.pub")


def test_signatures_of_one_release_do_not_fit_another(
    built: Built, bundle: Path, keys: Path, tmp_path: Path
) -> None:
    """Mix the signature of one bundle with the files of another, both by a trusted key."""
    other = tmp_path / "other"
    pack(built, keys, other, "onnx-fp32")
    mixed = Path(shutil.copytree(bundle, tmp_path / "mixed"))
    shutil.copytree(other / "blobs", mixed / "blobs", dirs_exist_ok=True)
    top, theirs = (json.loads((folder / "index.json").read_text()) for folder in (bundle, other))
    top["manifests"][1] = theirs["manifests"][1]
    (mixed / "index.json").write_text(json.dumps(top, sort_keys=True, separators=(",", ":")))
    with pytest.raises(Refused):
        accept(mixed, keys / "release.pub")


def test_evidence_of_one_variant_does_not_fit_another(
    built: Built, keys: Path, tmp_path: Path
) -> None:
    """Evidence does not fit another variant, as each signed envelope says of which it is."""
    for name in ("onnx-fp32", "onnx-int8-dynamic"):
        pack(built, keys, tmp_path / name, name)
    mine, other = tmp_path / "onnx-int8-dynamic", tmp_path / "onnx-fp32"
    top, theirs = (json.loads((folder / "index.json").read_text()) for folder in (mine, other))

    def blob(folder: Path, digest: str) -> Path:
        return folder / "blobs" / digest.replace(":", "/")

    manifest = json.loads(blob(mine, top["manifests"][2]["digest"]).read_text())
    manifest["layers"] = json.loads(blob(other, theirs["manifests"][2]["digest"]).read_text())[
        "layers"
    ]
    data = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
    for digest in (
        top["manifests"][2]["digest"],
        json.loads(blob(mine, top["manifests"][2]["digest"]).read_text())["layers"][0]["digest"],
    ):
        blob(mine, digest).unlink()
    shutil.copy(
        blob(other, manifest["layers"][0]["digest"]), blob(mine, manifest["layers"][0]["digest"])
    )
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    blob(mine, digest).write_bytes(data)
    top["manifests"][2] |= {"digest": digest, "size": len(data)}
    (mine / "index.json").write_text(json.dumps(top, sort_keys=True, separators=(",", ":")))
    with pytest.raises(Refused, match="evidence hangs on another variant"):
        accept(mine, keys / "release.pub")


def test_a_file_that_changed_since_the_build_is_not_packed(
    built: Built, keys: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(built.folder, tmp_path / "build"))
    for path in (folder / "variants").glob("*/model/model.onnx"):
        path.write_bytes(path.read_bytes() + b"x")
    arguments = ("--key", keys / "release.key", "--variant", "onnx-fp32", "--out", tmp_path / "b")
    assert "changed since it was built" in edgekit("bundle", "pack", folder, *arguments, code=2).err
    assert not (tmp_path / "b").exists()


def test_no_engine_is_loaded_for_the_verdict(bundle: Path, keys: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.edge.bundle.test_bundle import"
        f" accept;accept(Path({str(bundle)!r}), Path({str(keys / 'release.pub')!r}));print([m for m"
        " in ('onnxruntime', 'openvino', 'llama_cpp', 'onnx', 'torch', 'tokenizers') if m in"
        " sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.processes
def test_keys(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("open sesame\n")
    edgekit("keygen", tmp_path / "k", "--passphrase-file", tmp_path / "word")
    assert (tmp_path / "k.key").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "k.key").read_bytes()
    assert "exists already" in edgekit("keygen", tmp_path / "k", "--no-passphrase", code=2).err
    (tmp_path / "word").write_text("wrong\n")
    pack_with = (
        "bundle",
        "pack",
        tmp_path,
        "--key",
        tmp_path / "k.key",
        "--passphrase-file",
        tmp_path / "word",
        "--out",
    )
    assert "this passphrase opens" in edgekit(*pack_with, tmp_path / "b", code=2).err
    assert (
        "not a bundle"
        in edgekit("bundle", "verify", tmp_path, "--trust", tmp_path / "word", code=2).err
    )


def test_a_measurement_is_attached_later_by_a_role_of_its_own(
    built: Built, tar: Path, keys: Path, tmp_path: Path
) -> None:
    """The release and what is deployed stay the same when a measurement is attached.

    Who does not trust the role sees no measurement.
    """
    profile, attached = tmp_path / "box.json", tmp_path / "attached.tar"
    edgekit("profile", tar, "--trust", keys / "release.pub", "--quick", "--out", profile)
    sign = ("--trust", keys / "release.pub", "--evidence-key", keys / "other.key")
    said = edgekit("bundle", "attach", tar, profile, *sign, "--out", attached).out
    assert "1 measurement attached" in said
    shown = edgekit("bundle", "inspect", attached, "--trust", keys / "release.pub", "--json").json
    assert (shown["untrusted_evidence"], shown["variants"][0]["profiles"]) == (1, [])
    trusting = ("--trust", keys / "release.pub", "--evidence-trust", keys / "other.pub")
    trusted = edgekit("bundle", "inspect", attached, *trusting, "--json").json
    assert trusted["variants"][0]["profiles"] == json.loads(profile.read_text())["profiles"]
    assert "profiled: p50" in edgekit("bundle", "inspect", attached, *trusting).out
    before = edgekit("bundle", "inspect", tar, "--trust", keys / "release.pub", "--json").json
    assert trusted["release"] == before["release"]
    edgekit("deploy", attached, tmp_path / "appliance", "--trust", keys / "release.pub")
    again = tmp_path / "again.tar"
    assert (
        "holds none of the variants"
        in edgekit(
            "bundle",
            "attach",
            pack_other(built, keys, tmp_path),
            profile,
            *sign,
            "--out",
            again,
            code=2,
        ).err
    )
    assert (
        "no such file"
        in edgekit("bundle", "attach", tar, tmp_path / "no.json", *sign, "--out", again, code=2).err
    )
    assert not again.exists()


def pack_other(built: Built, keys: Path, folder: Path) -> Path:
    """A bundle of another variant."""
    pack(built, keys, folder / "other.tar", "onnx-fp32")
    return folder / "other.tar"


def test_the_evidence_of_a_build_can_have_a_key_of_its_own(
    built: Built, keys: Path, tmp_path: Path
) -> None:
    out = tmp_path / "two.tar"
    edgekit(
        "bundle",
        "pack",
        built.folder,
        "--key",
        keys / "release.key",
        "--evidence-key",
        keys / "other.key",
        "--variant",
        "onnx-fp32",
        "--out",
        out,
    )
    release_only = edgekit("bundle", "inspect", out, "--trust", keys / "release.pub", "--json").json
    assert release_only["variants"][0]["evidence"] is None
    both = edgekit(
        "bundle",
        "inspect",
        out,
        "--trust",
        keys / "release.pub",
        "--evidence-trust",
        keys / "other.pub",
        "--json",
    )
    assert both.json["variants"][0]["evidence"]["quality"]["metric"] == "accuracy"
    assert "not signed by a trusted key" in edgekit(
        "bundle", "inspect", out, "--trust", keys / "other.pub", code=5
    ).err  # fmt: skip
