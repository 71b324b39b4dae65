"""Try edgekit's verifier on tests/vectors: bundles and trust files as data for any verifier.

It refuses each that must be refused.
"""

import base64
import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import SSlibKey

from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.envelope import Signers
from edgekit.edge.bundle.layout import open_layout
from edgekit.edge.bundle.trust import Chain, Trust, read_trust, verdict
from edgekit.edge.bundle.verify import check_blobs, verify
from edgekit.edge.deploy.plan import admit
from edgekit.errors import InputError, Refused
from tests import make_schema, make_vectors
from tests.conftest import ROOT

FOLDER = ROOT / "tests" / "vectors"
OTHERS = ("keys.json", "bases.json")
Vector = dict[str, Any]
Parts = list[Any]


@functools.cache
def read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


def vectors() -> dict[str, Vector]:
    """Read all vectors, by name."""
    groups = [read(path.name) for path in sorted(FOLDER.glob("*.json")) if path.name not in OTHERS]
    return {name: vector for group in groups for name, vector in group.items()}


# --- what a vector means: the page is tests/vectors/README.md ---


def joined(parts: Parts, old: bytes = b"") -> bytes:
    """A string is text, a number that many zero bytes, an object says itself what it is."""
    made = b""
    for part in parts:
        match part:
            case str():
                made += part.encode()
            case int():
                made += bytes(part)
            case {"repeat": text, "times": times}:
                made += text.encode() * times
            case {"base64": text}:
                made += base64.b64decode(text)
            case {"copy": [start, end]}:
                made += old[start:end]
    return made


def spliced(old: bytes, splices: list[Parts]) -> bytes:
    """Each splice: a place in the old bytes, how many go there, and what comes."""
    new = old
    for place, delete, *parts in reversed(splices):
        new = new[:place] + joined(parts, old) + new[place + delete :]
    return new


def apply(folder: Path, labels: dict[str, str], edit: Vector) -> None:
    """Apply one edit to a folder."""
    word = next(iter(edit.keys() & ACTIONS.keys()))
    name = str(edit[word])
    path = folder / (labels[name[1:]] if name.startswith("@") else name)
    if word != "blob":
        path.parent.mkdir(parents=True, exist_ok=True)
    ACTIONS[word](path, folder, edit)


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def rename_blob(path: Path, folder: Path, splices: list[Parts]) -> None:
    data = spliced(path.read_bytes(), splices)
    path.unlink()
    add_blob(folder, data)


def fill(path: Path, count: int) -> None:
    for number in range(count):
        path.with_name(f"{path.name}{number}").touch()


ACTIONS: dict[str, Callable[[Path, Path, Vector], object]] = {
    "remove": lambda path, _, __: path.unlink(),
    "put": lambda path, _, edit: path.write_bytes(joined(edit["data"])),
    "blob": lambda _, folder, edit: add_blob(folder, joined(edit["blob"])),
    "splice": lambda path, _, edit: path.write_bytes(spliced(path.read_bytes(), edit["splices"])),
    "reblob": lambda path, folder, edit: rename_blob(path, folder, edit["splices"]),
    "flip": lambda path, _, edit: flip(path, edit["bit"]),
    "resize": lambda path, _, edit: os.truncate(path, edit["to"]),
    "link": lambda path, _, edit: path.symlink_to(edit["to"]),
    "fifo": lambda path, _, __: os.mkfifo(path),
    "folder": lambda path, _, __: path.mkdir(),
    "fill": lambda path, _, edit: fill(path, edit["count"]),
}


def add_blob(folder: Path, data: bytes) -> None:
    (folder / make_vectors.blob(make_vectors.digest(data))).write_bytes(data)


def lay(vector: Vector, scratch: Path) -> Path:
    """The bundle of a vector: a folder, or a tar of it."""
    base = read("bases.json")["bundles"][vector.get("base", "plain")]
    folder = scratch / "bundle"
    for name, data in base["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
    for edit in vector.get("edits", []):
        apply(folder, base["labels"], edit)
    if vector.get("form") != "tar":
        return folder
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    out = scratch / "bundle.tar"
    out.write_bytes(spliced(make_vectors.tar(files), vector.get("splices", [])))
    return out


def trust_file(said: Vector, scratch: Path) -> Path:
    """The trust file of a vector."""
    value = json.loads(json.dumps(read("bases.json")["trust"][said["base"]]))
    text = b""
    for edit in said["edits"]:
        *path, last = edit.get("set") or edit.get("cut") or edit.get("repeat") or [""]
        table = functools.reduce(lambda table, step: table[step], path, value)
        match edit:
            case {"set": _, "to": to} if isinstance(table, list) and last == len(table):
                table.append(to)
            case {"set": _, "to": to}:
                table[last] = to
            case {"cut": _}:
                del table[last]
            case {"repeat": _, "times": times}:
                table[last] *= times
            case {"spelling": splices}:
                text = spliced(make_vectors.dump(value), splices)
            case _:
                raise AssertionError(edit)
    out = scratch / f"{said['base']}-trust.json"
    out.write_bytes(text or make_vectors.dump(value))
    return out


def signers(names: list[str], threshold: int = 1) -> Signers:
    keys = (
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(read("keys.json")[name]["public"]))
        for name in names
    )
    return Signers(keys=tuple(SSlibKey.from_crypto(key) for key in keys), threshold=threshold)


def trusted(vector: Vector, scratch: Path) -> Trust:
    """Return whom a vector trusts: its trust file's keys, or its bare ones."""
    if "trust" in vector:
        path = trust_file(vector["trust"], scratch)
        installed: Chain | None = None
        if "installed" in vector:
            (scratch / "installed").mkdir()
            installed = read_trust(
                trust_file({"base": vector["installed"], "edits": []}, scratch / "installed")
            )
        return verdict(read_trust(path), path, installed)
    keys = vector.get("keys", {})
    return Trust(
        release=signers(keys.get("release", ["release"]), keys.get("threshold", 1)),
        evidence=signers(keys.get("evidence", ["evidence"])),
    )


def judge(vector: Vector, scratch: Path) -> None:
    """Let edgekit give its whole verdict.

    Raises Refused, or InputError where there is no bundle at all.
    """
    trust = trusted(vector, scratch)
    if vector.get("base", "") is None:
        return
    layout = open_layout(lay(vector, scratch))
    verified = verify(layout, trust)
    check_blobs(layout, verified)
    store = Store(scratch / "store")
    store.root.mkdir()
    for name, counter in vector.get("seen", {}).items():
        store.trusted.raise_floor(
            verified.release.model, [read("keys.json")[name]["keyid"]], counter
        )
    admit(store, verified, trust)


def outcome(vector: Vector, scratch: Path) -> str:
    """What edgekit says: "accepted", "refused", or what is wrong with how it refuses."""
    try:
        judge(vector, scratch)
    except (Refused, InputError) as error:
        expected = vector["says"]
        return "refused" if expected and expected in str(error) else f"refused otherwise: {error}"
    except Exception as error:  # noqa: BLE001 - this is what must not happen
        return f"stumbled: {error!r}"
    return "accepted"


@functools.cache
def outcomes(scratch: Path) -> dict[str, str]:
    found = {}
    for number, (name, vector) in enumerate(vectors().items()):
        own = scratch / str(number)
        own.mkdir()
        found[name] = outcome(vector, own)
        shutil.rmtree(own)
    return found


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What edgekit says of every vector."""
    return outcomes(tmp_path_factory.mktemp("vectors"))


def is_negative(vector: Vector) -> bool:
    return bool(vector.get("expect", "refuse") == "refuse")


def test_every_negative_vector_is_refused_and_for_its_own_reason(said: dict[str, str]) -> None:
    negative = {name: said[name] for name, vector in vectors().items() if is_negative(vector)}
    accepted = [name for name, text in negative.items() if text == "accepted"]
    print(f"{len(negative)} vectors, {len(accepted)} accepted")
    assert {name: text for name, text in negative.items() if text != "refused"} == {}


def test_every_sound_vector_is_accepted(said: dict[str, str]) -> None:
    """Every sound vector is accepted, so a verifier that refuses everything does not pass."""
    sound = {name: said[name] for name, vector in vectors().items() if not is_negative(vector)}
    assert len(sound) >= 20
    assert {name: text for name, text in sound.items() if text != "accepted"} == {}


def test_each_vector_is_another_attack() -> None:
    found = vectors()
    negative = [vector for vector in found.values() if is_negative(vector)]
    assert len(negative) >= 150
    for told in (
        [vector["about"] for vector in negative],
        [
            json.dumps({**vector, "about": "", "says": "", "threat": ""}, sort_keys=True)
            for vector in found.values()
        ],
    ):
        twice = [text for text in set(told) if told.count(text) > 1]
        assert twice == []


def test_the_data_are_what_the_generator_writes() -> None:
    written = {path.name: path.read_bytes() for path in FOLDER.glob("*.json")}
    made = make_vectors.contents()
    assert written.keys() == made.keys()
    changed = [name for name, data in made.items() if written[name] != data]
    assert changed == [], "run python -m tests.make_vectors"
    assert sum(map(len, written.values())) < 600_000


def test_the_page_says_how_many_there_are() -> None:
    page = (ROOT / "docs" / "bundle.md").read_text()
    assert f"has {len(vectors())} vectors" in page
    assert max(map(len, page.splitlines())) <= 100


def test_the_schema_in_the_docs_is_that_of_the_records() -> None:
    assert make_schema.FILE.read_text() == make_schema.schema()
