"""Harm that a device gets over by itself or by one command.

Rot, damaged records, first contact, a revocation with a bad bundle.
"""

from pathlib import Path

import pytest

from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import prove
from tests import small
from tests.conftest import edgekit
from tests.edge.appliance.test_store import rot


@pytest.fixture
def tars(keys: Path, tmp_path: Path) -> list[Path]:
    """Versions 1.0.0, 1.1.0 and 1.2.0 of one model."""
    return [
        small.bundle(tmp_path / f"{version}.tar", small.signing(keys), version=version, seed=seed)
        for seed, version in enumerate(("1.0.0", "1.1.0", "1.2.0"))
    ]


@pytest.fixture
def box(tars: list[Path], keys: Path, tmp_path: Path) -> Path:
    """An appliance on which 1.0.0 has proven itself, and 1.1.0 serves and has not."""
    folder = tmp_path / "box"
    edgekit("deploy", tars[0], folder, "--trust", keys / "release.pub")
    proven(folder)
    edgekit("deploy", tars[1], folder)
    return folder


def proven(box: Path) -> None:
    """The watch window of what serves has passed."""
    prove(Store(box), "pumps", Store(box).serving("pumps").slot)


def state(box: Path) -> tuple[str | None, str | None, str | None]:
    """The versions that are current, previous and proven."""
    (found,) = edgekit("status", box, "--json").json["models"]
    current, previous, last = (
        found[role]["version"] if found.get(role) else None
        for role in ("current", "previous", "proven")
    )
    return current, previous, last


def test_a_rollback_proves_nothing(box: Path, tars: list[Path]) -> None:
    edgekit("deploy", tars[2], box)
    edgekit("rollback", box)
    assert state(box) == ("1.1.0", "1.2.0", "1.0.0")
    edgekit("gc", box)
    assert len(list((box / "slots" / "pumps").iterdir())) == 3
    edgekit("rollback", box)
    assert state(box) == ("1.2.0", "1.1.0", "1.0.0")


def test_a_rollback_to_what_has_proven_itself_needs_no_window(box: Path) -> None:
    edgekit("rollback", box)
    assert state(box) == ("1.0.0", "1.1.0", "1.0.0")
    edgekit("rollback", box)
    assert state(box) == ("1.1.0", "1.0.0", "1.0.0")
    proven(box)
    edgekit("rollback", box)  # 1.0.0 was proven before 1.1.0 was
    assert state(box) == ("1.0.0", "1.1.0", "1.0.0")
    edgekit("rollback", box)
    assert state(box) == ("1.1.0", "1.0.0", "1.1.0")


def test_an_older_release_mends_what_the_device_has_of_it(box: Path, tars: list[Path]) -> None:
    before = state(box)
    # sound, so it would be a downgrade
    assert "release counter" in edgekit("deploy", tars[0], box, code=5).err
    rot(box, "1.0.0")
    assert "deploy that version again" in edgekit("rollback", box, code=2).err
    edgekit("deploy", tars[0], box)
    assert state(box) == before
    edgekit("fsck", box)
    edgekit("rollback", box)
    rot(box, "1.0.0")  # now it is the one that serves
    edgekit("deploy", tars[0], box)
    edgekit("predict", box, "[1, 2, 3]")
    assert state(box) == ("1.0.0", "1.1.0", "1.0.0")


def test_a_damaged_pointer_concerns_its_model_alone(
    box: Path, tars: list[Path], keys: Path, tmp_path: Path
) -> None:
    fans = small.bundle(tmp_path / "fans.tar", small.signing(keys), name="fans", seed=5)
    edgekit("deploy", fans, box)
    path = box / "models" / "pumps.json"
    path.write_text(path.read_text().replace('"model"', '"nodel"'))
    slots = len(list((box / "slots" / "pumps").iterdir()))
    ran = edgekit("status", box, code=6)
    assert f"{path}: damaged; deploy the model again, or: edgekit uninstall" in ran.out
    assert edgekit("status", box, "--json", code=6).json["damaged"] == {"pumps": str(path)}
    assert edgekit("fsck", box, "--json", code=5).json["rotten"][0]["role"] == "pointer"
    edgekit("gc", box)
    assert len(list((box / "slots" / "pumps").iterdir())) == slots
    edgekit("predict", box, "[1, 2, 3]", "--model", "fans")
    edgekit("deploy", fans, box)
    edgekit("uninstall", box, "fans")
    edgekit("deploy", tars[1], box)
    edgekit("fsck", box)
    assert state(box)[0] == "1.1.0"
    path.write_text("{")
    edgekit("uninstall", box, "pumps")
    assert not list((box / "slots").glob("*/*"))


def test_damaged_records_say_the_way_out(box: Path, tars: list[Path]) -> None:
    (box / "counters.json").write_bytes(b"\xff")
    assert "remove it if you accept that" in edgekit("deploy", tars[2], box, code=2).err
    (box / "counters.json").unlink()
    edgekit("deploy", tars[2], box)
    (box / "slots" / "pumps" / "a file").write_text("by hand")
    edgekit("gc", box)
    (box / "schema").write_bytes(b"\xff")
    assert "its schema is" in edgekit("status", box, code=2).err


def test_first_contact_by_policy_on_a_fresh_partition(
    tars: list[Path], keys: Path, tmp_path: Path
) -> None:
    box = tmp_path / "new"
    (box / "lost+found").mkdir(parents=True)
    (box / "release.pub").write_bytes((keys / "release.pub").read_bytes())
    assert "not an appliance folder" in edgekit("deploy", tars[0], box, code=2).err
    (box / "policy.toml").write_text('[keys]\nrelease = ["release.pub"]\n')
    edgekit("deploy", tars[0], box)
    assert edgekit("status", box, "--json").json["trust"]["release"]


def test_what_serves_is_shown_even_if_trust_contradicts_itself(
    box: Path, keys: Path, tmp_path: Path
) -> None:
    trust = tmp_path / "trust.json"
    edgekit(
        "trust",
        "init",
        trust,
        "--root",
        keys / "other.pub",
        "--release",
        keys / "release.pub",
        "--root-key",
        keys / "other.key",
    )
    (box / "release.pub").write_bytes((keys / "release.pub").read_bytes())
    (box / "policy.toml").write_text('[keys]\nrelease = ["release.pub"]\n')
    assert "policy.toml names keys" in edgekit("trust", "install", trust, box, code=2).err
    assert not (box / "trust.json").exists()
    (box / "trust.json").write_bytes(trust.read_bytes())
    ran = edgekit("status", box, code=6)
    assert "1.1.0" in ran.out
    assert "nothing can be deployed" in ran.err


def test_a_named_evidence_role_leaves_the_release_key_none(
    box: Path, tars: list[Path], keys: Path
) -> None:
    for name in ("release.pub", "other.pub"):
        (box / name).write_bytes((keys / name).read_bytes())
    named = '[evidence]\nmax_drop = 0.9\n[keys]\nrelease = ["release.pub"]\n'
    (box / "policy.toml").write_text(named + 'evidence = ["other.pub"]\n')
    assert "nothing that a trusted key signed" in edgekit("deploy", tars[2], box, code=5).err
    (box / "policy.toml").write_text(named)
    edgekit("deploy", tars[2], box)


def test_the_memory_limit_lets_what_serves_be_deployed_again(box: Path, tars: list[Path]) -> None:
    (box / "policy.toml").write_text("memory_mb = 200\n")
    rot(box, "1.1.0")
    edgekit("deploy", tars[1], box)
    slot = Store(box).serving("pumps").folder / "slot.json"
    slot.unlink()
    edgekit("deploy", tars[1], box)
    edgekit("fsck", box)


def test_what_is_staged_outlives_a_deploy(
    box: Path, tars: list[Path], keys: Path, tmp_path: Path
) -> None:
    (box / "policy.toml").write_text('[evidence]\nmeasured_here = true\nunmeasured = "stage"\n')
    by = small.signing(keys, counter=1_005_000)
    edgekit(
        "deploy",
        small.bundle(tmp_path / "staged.tar", by, version="1.5.0", seed=7, target="elsewhere"),
        box,
    )
    (box / "policy.toml").unlink()
    edgekit("deploy", tars[2], box)
    edgekit("gc", box)
    (found,) = edgekit("status", box, "--json").json["models"]
    assert found["staged"]["slot"]["version"] == "1.5.0"
    edgekit("fsck", box)
