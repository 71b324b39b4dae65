"""The output folder of a build: whole after a kill, and good without its cache."""

import shutil
from pathlib import Path

import msgspec
import pytest

from edgekit.digests import describe_folder
from edgekit.nouns import Build
from edgekit.profiles import build_folder
from edgekit.profiles.build_folder import VariantFiles, model_folder, read_build, write_build
from tests import small
from tests.conftest import Built, edgekit
from tests.evidence import build, variant


def made(cache: Path, text: str) -> VariantFiles:
    """Files of one variant, as they lie in the cache."""
    cache.mkdir(parents=True)
    (cache / "model.onnx").write_text(text)
    return VariantFiles(folder=cache, files=describe_folder(cache), golden=f"{text}!".encode())


def written(out: Path) -> dict[str, str]:
    """Every file below variants/, hidden ones too."""
    folder = out / "variants"
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def result() -> Build:
    """A build of two variants."""
    return build(variant("a"), variant("b"))


def test_changed_variants_are_replaced_and_stale_ones_go(tmp_path: Path, result: Build) -> None:
    one, two = made(tmp_path / "1", "one"), made(tmp_path / "2", "two")
    write_build(tmp_path, result, b"{}", {"a": one, "b": two})
    model = model_folder(tmp_path, "a") / "model.onnx"
    assert model.samefile(one.folder / "model.onnx")  # no second copy on the disk
    write_build(tmp_path, result, b"{}", {"a": two})
    assert written(tmp_path) == {"a/model/model.onnx": "two", "a/golden.json": "two!"}


def test_without_links_files_are_copied_once(
    tmp_path: Path, result: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    one = made(tmp_path / "1", "one")
    write_build(tmp_path, result, b"{}", {"a": one})
    model = model_folder(tmp_path, "a") / "model.onnx"
    assert not model.samefile(one.folder / "model.onnx")
    before = model.stat().st_ino
    write_build(tmp_path, result, b"{}", {"a": one})
    assert model.stat().st_ino == before


def test_a_build_killed_while_it_copies_leaves_the_last_one_and_the_next_goes_on(
    tmp_path: Path, result: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = made(tmp_path / "1", "one"), made(tmp_path / "2", "two")
    write_build(tmp_path, result, b"{}", {"a": one, "b": one})
    before = written(tmp_path)
    copy = build_folder._link_or_copy
    copied: list[Path] = []

    def killed(source: Path, target: Path) -> None:
        if copied:
            raise KeyboardInterrupt
        copied.append(target)
        copy(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(build_folder, "_link_or_copy", killed)
        with pytest.raises(KeyboardInterrupt):
            write_build(tmp_path, result, b"new", {"a": two, "b": two})
    whole = {name: text for name, text in written(tmp_path).items() if not name.startswith(".")}
    assert whole == before
    assert (tmp_path / "golden.json").read_bytes() == b"{}"
    write_build(tmp_path, result, b"new", {"a": two, "b": two})
    assert written(tmp_path) == {
        f"{name}/{path}": text
        for name in ("a", "b")
        for path, text in (("model/model.onnx", "two"), ("golden.json", "two!"))
    }


def test_a_variant_without_its_files_is_not_packed(tmp_path: Path, keys: Path) -> None:
    small.write_build(tmp_path / "build")
    shutil.rmtree(tmp_path / "build" / "variants")
    arguments = ("--key", keys / "release.key", "--out", tmp_path / "b.tar")
    ran = edgekit("bundle", "pack", tmp_path / "build", *arguments, code=2)
    assert "is not there; run edgekit build again" in ran.err


def test_a_build_without_its_cache_is_packed_profiled_and_reported(
    built: Built, keys: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "build"
    shutil.copytree(built.folder, folder, ignore=shutil.ignore_patterns("cache"))
    assert not (folder / "cache").exists()
    arguments = ("--variant", "onnx-int8-dynamic", "--out", tmp_path / "b.tar")
    edgekit("bundle", "pack", folder, "--key", keys / "release.key", *arguments)
    assert (tmp_path / "b.tar").is_file()
    found = edgekit("profile", folder, "--variant", "onnx-fp32", "--quick", "--json").json
    assert [item["variant"] for item in found["profiles"]] == ["onnx-fp32"]
    assert edgekit("report", folder, "--json").json == built.result


def test_a_measured_variant_is_whole(result: Build) -> None:
    whole = result.measured[0]
    with pytest.raises(ValueError, match="has evidence and no artifact"):
        msgspec.structs.replace(result.variants[0], artifact=None)
    with pytest.raises(ValueError, match="is accepted and has no evidence"):
        msgspec.structs.replace(result.variants[0], evidence=None)
    assert whole.to_json() == result.variants[0].to_json()


@pytest.mark.processes
def test_limits_read_as_the_spec_has_them(tmp_path: Path) -> None:
    _, _ = small.write_build(tmp_path, limits={"p99_ms": 5})
    assert read_build(tmp_path).limits.p99_ms == 5
    shown = edgekit("report", tmp_path, "--json").json["limits"]
    assert shown == {"confidence": 0.95, "on_too_few": "reject", "p99_ms": 5}
