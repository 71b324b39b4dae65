"""A bundle goes through a registry and comes back byte for byte."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests import small
from tests.conftest import edgekit


@pytest.fixture
def bundle(keys: Path, tmp_path: Path) -> Path:
    return small.bundle(tmp_path / "pumps", small.signing(keys))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of a registry on this machine."""
    program = shutil.which("docker-registry")
    if program is None or shutil.which("skopeo") is None:
        pytest.skip("needs docker-registry and skopeo (Debian packages of these names)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{free.getsockname()[1]}"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "registry")}}
    config = tmp_path / "registry.yml"
    config.write_text(json.dumps({"version": 0.1, "storage": storage, "http": {"addr": place}}))
    process = subprocess.Popen([program, "serve", str(config)], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with suppress(OSError), urllib.request.urlopen(f"http://{place}/v2/", timeout=5):
            break
        time.sleep(0.05)
    yield place
    process.terminate()
    process.wait()


def names(bundle: Path) -> list[str]:
    top = json.loads((bundle / "index.json").read_text())
    return [item["annotations"]["org.opencontainers.image.ref.name"] for item in top["manifests"]]


def carry(bundle: Path, registry: str, out: Path, which: list[str]) -> None:
    """Carry a bundle there and back, each manifest by its name."""
    for name in which:
        for source, target in (
            (f"oci:{bundle}", f"docker://{registry}/pumps"),
            (f"docker://{registry}/pumps", f"oci:{out}"),
        ):
            copy = [
                "skopeo",
                "copy",
                "--all",
                "--quiet",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
            ]
            subprocess.run(
                [*copy, f"{source}:{name}", f"{target}:{name}"], check=True, capture_output=True
            )


def test_a_registry_gives_back_what_it_got(
    bundle: Path, registry: str, keys: Path, tmp_path: Path
) -> None:
    carried = tmp_path / "carried"
    carry(bundle, registry, carried, names(bundle))
    edgekit("bundle", "adopt", carried, "--out", tmp_path / "pumps.tar")
    edgekit("bundle", "adopt", carried, "--out", tmp_path / "again")
    for path in (path for path in bundle.rglob("*") if path.is_file()):
        assert (tmp_path / "again" / path.relative_to(bundle)).read_bytes() == path.read_bytes()
    edgekit("deploy", tmp_path / "pumps.tar", tmp_path / "box", "--trust", keys / "release.pub")


def test_a_bundle_without_its_signature_is_not_adopted(
    bundle: Path, registry: str, tmp_path: Path
) -> None:
    carry(bundle, registry, tmp_path / "carried", names(bundle)[:1])
    ran = edgekit("bundle", "adopt", tmp_path / "carried", "--out", tmp_path / "out", code=2)
    assert "has 0 release signatures" in ran.err
    assert not (tmp_path / "out").exists()


def test_adopting_decides_nothing(bundle: Path, keys: Path, tmp_path: Path) -> None:
    """What was changed on the way is made canonical, and refused by the verdict."""
    edgekit("bundle", "adopt", bundle, "--out", tmp_path / "same")
    edgekit("bundle", "verify", tmp_path / "same", "--trust", keys / "release.pub")
    largest = max((bundle / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    ran = edgekit("bundle", "adopt", bundle, "--out", tmp_path / "evil", code=None)
    if ran.code == 0:
        edgekit("bundle", "verify", tmp_path / "evil", "--trust", keys / "release.pub", code=5)
    assert (
        "not an OCI image layout"
        in edgekit("bundle", "adopt", tmp_path, "--out", tmp_path / "x", code=2).err
    )
