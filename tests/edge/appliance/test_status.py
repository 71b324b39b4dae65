"""The exit codes and states of `edgekit status`, as a monitoring system sees them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.appliance.store import Store
from edgekit.edge.appliance.transitions import give_up, prove
from tests import small
from tests.conftest import edgekit


@pytest.fixture
def box(keys: Path, tmp_path: Path) -> Path:
    """An appliance on which pumps 1.0.0 has proven itself and 1.1.0 is in its watch window."""
    folder = tmp_path / "box"
    for version, seed in (("1.0.0", 0), ("1.1.0", 1)):
        bundle = small.bundle(
            tmp_path / f"{version}.tar", small.signing(keys), version=version, seed=seed
        )
        edgekit("deploy", bundle, folder, "--trust", keys / "release.pub")
        if version == "1.0.0":
            prove(Store(folder), "pumps", Store(folder).serving("pumps").slot)
    return folder


def add_fans(box: Path, keys: Path, tmp_path: Path) -> None:
    """Deploy a second model."""
    fans = small.bundle(tmp_path / "fans.tar", small.signing(keys), name="fans", seed=5)
    edgekit("deploy", fans, box)


def folder_of(box: Path, role: str, model: str = "pumps") -> Path:
    """Return the folder of the slot that has a role."""
    store = Store(box)
    pointer = store.pointer_of(model)
    return store.slot_folder(model, pointer.slots()[role])


def status(box: Path, code: int, state: str) -> dict[str, Any]:
    """Return the states by model, after checking exit code and overall state of both forms."""
    ran = edgekit("status", box, "--json", code=code)
    edgekit("status", box, code=code)
    assert ran.json["state"] == state
    assert bool(ran.json["findings"]) == (state != "well")
    return {item["model"]: item["state"] for item in ran.json["models"]}


def test_all_is_well(box: Path) -> None:
    assert status(box, 0, "well") == {"pumps": "watched"}
    prove(Store(box), "pumps", Store(box).serving("pumps").slot)
    assert status(box, 0, "well") == {"pumps": "well"}
    assert edgekit("status", box).out.splitlines()[-1] == "All is well."
    edgekit("rollback", box)
    assert status(box, 0, "well") == {"pumps": "well"}


def test_an_appliance_without_a_model_is_well(box: Path) -> None:
    edgekit("uninstall", box, "pumps")
    assert status(box, 0, "well") == {}
    assert "No model was deployed yet." in edgekit("status", box).out


def test_a_model_that_is_only_staged_never_served_and_is_well(keys: Path, tmp_path: Path) -> None:
    box = tmp_path / "new"
    box.mkdir()
    (box / "policy.toml").write_text('[evidence]\nmeasured_here = true\nunmeasured = "stage"\n')
    bundle = small.bundle(tmp_path / "b.tar", small.signing(keys))
    edgekit("deploy", bundle, box, "--trust", keys / "release.pub")
    assert status(box, 0, "well") == {"pumps": "staged"}
    assert "only staged" in edgekit("status", box).out


@pytest.mark.processes
def test_no_appliance_is_the_users_mistake(tmp_path: Path) -> None:
    assert "not an appliance folder" in edgekit("status", tmp_path, code=2).err


def test_a_version_that_was_given_up_for_the_one_before_it(box: Path, tmp_path: Path) -> None:
    give_up(Store(box), "pumps", Store(box).serving("pumps").slot, "it keeps dying")
    assert status(box, 6, "ill") == {"pumps": "ill"}
    out = edgekit("status", box, code=6).out
    assert "pumps 1.1.0 (onnx-fp32) was given up: it keeps dying; the version before it" in out
    assert out.splitlines()[-1] == "What serves goes on serving, and something is to be looked at."
    edgekit("deploy", tmp_path / "1.1.0.tar", box)
    assert status(box, 0, "well") == {"pumps": "watched"}


def test_a_version_that_was_given_up_with_nothing_before_it(keys: Path, tmp_path: Path) -> None:
    box, tar = tmp_path / "one", small.bundle(tmp_path / "1.tar", small.signing(keys))
    edgekit("deploy", tar, box, "--trust", keys / "release.pub")
    give_up(Store(box), "pumps", Store(box).serving("pumps").slot, "it keeps dying")
    assert status(box, 8, "down") == {"pumps": "down"}
    out = edgekit("status", box, code=8).out
    assert "was given up, and nothing is before it: it keeps dying; deploy another version" in out
    assert out.splitlines()[-1] == "A model does not serve."


def test_a_damaged_pointer_of_the_only_model(box: Path) -> None:
    (box / "models" / "pumps.json").write_text("{")
    assert status(box, 8, "down") == {"pumps": "down"}


def test_a_damaged_pointer_of_one_of_several_models(box: Path, keys: Path, tmp_path: Path) -> None:
    add_fans(box, keys, tmp_path)
    (box / "models" / "pumps.json").write_text("{")
    assert status(box, 6, "ill") == {"fans": "watched", "pumps": "down"}
    assert "damaged; deploy the model again" in edgekit("status", box, code=6).out


@pytest.mark.parametrize("harm", ["folder", "model", "size", "record"])
def test_files_of_the_slot_that_serves_are_gone(box: Path, harm: str, tmp_path: Path) -> None:
    spoil(folder_of(box, "current"), harm)
    assert status(box, 8, "down") == {"pumps": "down"}
    out = edgekit("status", box, code=8).out
    assert "(pumps 1.1.0, current); deploy 1.1.0 again, or: edgekit rollback" in out
    edgekit("deploy", tmp_path / "1.1.0.tar", box)
    assert status(box, 0, "well") == {"pumps": "watched"}


@pytest.mark.parametrize("harm", ["folder", "model", "size", "record"])
def test_files_of_a_slot_to_go_back_to_are_gone(box: Path, harm: str) -> None:
    spoil(folder_of(box, "previous"), harm)
    assert status(box, 6, "ill") == {"pumps": "ill"}
    assert "(pumps 1.0.0, previous); deploy 1.0.0 again" in edgekit("status", box, code=6).out


def spoil(folder: Path, harm: str) -> None:
    """Do harm to a slot that can be told without hashing its model."""
    if harm == "folder":
        shutil.rmtree(folder)
    elif harm == "model":
        (folder / "model.onnx").unlink()
    elif harm == "size":
        model = folder / "model.onnx"
        model.chmod(0o644)
        model.write_bytes(model.read_bytes()[:-1])
    else:
        (folder / "slot.json").chmod(0o644)
        (folder / "slot.json").write_text("{}")


def test_one_model_that_does_not_serve_is_enough(box: Path, keys: Path, tmp_path: Path) -> None:
    add_fans(box, keys, tmp_path)
    shutil.rmtree(folder_of(box, "current", "fans"))
    assert status(box, 8, "down") == {"fans": "down", "pumps": "watched"}


@pytest.mark.parametrize("name", ["policy.toml", "trust.json", "counters.json"])
def test_keys_or_counters_that_can_not_be_read(box: Path, name: str) -> None:
    (box / name).write_bytes(b"\xff")
    assert status(box, 6, "ill") == {"pumps": "watched"}
    assert "warning: nothing can be deployed: " in edgekit("status", box, code=6).err


@pytest.mark.processes
def test_help_documents_the_exit_codes() -> None:
    out = edgekit("status", "--help").out
    for said in (
        "0  all is well",
        "6  something serves",
        "8  a model does not serve",
        "2  this is",
    ):
        assert said in out
