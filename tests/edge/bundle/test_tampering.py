"""Flip bits of a bundle, through the command line's deploy.

Whatever is not what was signed never gets in, and changes nothing.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import small
from tests.conftest import ROOT, Built, edgekit, pack

TAMPER = ROOT / "tests" / "tamper.py"


class Tampered(NamedTuple):
    """A bundle as one tar, and an appliance on which another version serves."""

    tar: Path
    box: Path


def prepare(folder: Path, keys: Path) -> Tampered:
    """Deploy version 1.0.0, and make 1.1.0, which is what is tampered with.

    They share no file: one that the device has is not read.
    """

    def respell(files: Path) -> None:
        task = json.loads((files / "task.json").read_text())
        (files / "task.json").write_text(json.dumps(task, indent=2))

    small.bundle(folder / "first.tar", small.signing(keys), spoil=respell)
    edgekit("deploy", folder / "first.tar", folder / "box", "--trust", keys / "release.pub")
    small.bundle(folder / "second.tar", small.signing(keys), version="1.1.0", seed=1)
    return Tampered(folder / "second.tar", folder / "box")


def start(original: Tampered, bits: list[int], place: Path) -> "subprocess.Popen[str]":
    """tamper.py in a process of its own, on copies of its own."""
    place.mkdir()
    shutil.copy(original.tar, place / "bundle.tar")
    # with its hard links
    subprocess.run(["cp", "-a", str(original.box), str(place / "box")], check=True)
    (place / "bits.json").write_text(json.dumps(bits))
    return subprocess.Popen(
        [
            sys.executable,
            str(TAMPER),
            str(place / "bundle.tar"),
            str(place / "box"),
            str(place / "bits.json"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


def sweep(original: Tampered, bits: list[int], places: Path) -> int:
    """Deploy with each bit flipped, in as many processes as there are cores.

    Return how many were refused.
    """
    cores = os.cpu_count() or 1
    running = [
        start(original, bits[number::cores], places / f"part{number}") for number in range(cores)
    ]
    found = [(process.communicate()[0], process.returncode) for process in running]
    assert all(code == 0 for _, code in found), found
    return sum(int(said) for said, _ in found)


def structure(tar: Path) -> Iterator[int]:
    """Bits of headers and padding, spread over all of them: where nothing is signed."""
    data, rng = tar.read_bytes(), random.Random(3)
    for offset in range(0, len(data), 512):
        if data[offset + 257 : offset + 262] == b"ustar":
            for _ in range(4):
                yield 8 * (offset + rng.randrange(512)) + rng.randrange(8)
    yield from (8 * len(data) - 1 - rng.randrange(8192) for _ in range(20))


def test_a_sample_of_flips_is_refused_and_no_engine_is_loaded(keys: Path, tmp_path: Path) -> None:
    original = prepare(tmp_path, keys)
    size, rng = 8 * original.tar.stat().st_size, random.Random(4)
    bits = [*structure(original.tar), *(rng.randrange(size) for _ in range(400))]
    refused = sweep(original, bits, tmp_path)
    print(f"{refused} flipped bits of {size}, 0 accepted")
    assert refused == len(bits)
    edgekit("deploy", original.tar, original.box)  # as it is, it is fine


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_bit_of_a_small_bundle(keys: Path, tmp_path: Path) -> None:
    original = prepare(tmp_path, keys)
    bits = list(range(8 * original.tar.stat().st_size))
    refused = sweep(original, bits, tmp_path)
    print(
        f"all {refused} bits of a bundle of {original.tar.stat().st_size} bytes flipped, 0 accepted"
    )
    assert refused == len(bits)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    "name", ["onnx-fp32", "onnx-int8-dynamic", "openvino-int8", "gguf-q8_0", "gguf-q4_k_m"]
)
def test_20000_random_flips_of_a_real_bundle(
    built: Built, keys: Path, tmp_path: Path, name: str
) -> None:
    """Five real bundles, 100,000 flips."""
    original = prepare(tmp_path, keys)
    pack(built, keys, tmp_path / "real.tar", name)
    size, rng = 8 * (tmp_path / "real.tar").stat().st_size, random.Random(5)
    bits = list(
        islice(
            chain(structure(tmp_path / "real.tar"), iter(partial(rng.randrange, size), -1)), 20_000
        )
    )
    refused = sweep(Tampered(tmp_path / "real.tar", original.box), bits, tmp_path)
    print(f"{name}: {refused} random flips of {size} bits, 0 accepted")
    assert refused == len(bits)


def test_the_verdict_imports_five_distributions(keys: Path, tmp_path: Path) -> None:
    bundle = small.bundle(tmp_path / "pumps.tar", small.signing(keys))
    code = f"""
import sys
# What msgspec and securesystemslib take along where it is installed: an appliance lacks it.
sys.modules |= dict.fromkeys(["typing_extensions", "google"])
before = set(sys.modules)
from pathlib import Path
from edgekit.edge.bundle.layout import open_layout
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.bundle.verify import check_blobs, verify
layout = open_layout(Path({str(bundle)!r}))
check_blobs(layout, verify(layout, open_trust(Path({str(keys / "release.pub")!r}))))
from importlib.metadata import packages_distributions
known = packages_distributions()
names = {{name.split(".")[0] for name in set(sys.modules) - before}}
found = {{of for name in names if name != "edgekit" for of in known.get(name, [])}}
print(sorted(found - {{"edgekit-onprem", "edgekit_onprem", "setuptools"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = done.stdout.strip()
    print(found)
    assert found == str(["cffi", "cryptography", "msgspec", "securesystemslib", "tuf"])
