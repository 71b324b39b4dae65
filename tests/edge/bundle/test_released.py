"""Bundles and measurements of every released version of edgekit stay readable.

tests/released has one folder a version; its README.md says how the next one is made.
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from edgekit import __version__
from edgekit.targets.detect import detect_machine
from tests.conftest import ROOT, edgekit

pytestmark = pytest.mark.processes

RELEASED = ROOT / "tests" / "released"
VERSIONS = sorted(path.name for path in RELEASED.iterdir() if path.is_dir())


@pytest.fixture(params=VERSIONS)
def released(request: pytest.FixtureRequest) -> Path:
    """The folder of one version: pumps.tar, release.pub, profiles.json."""
    return RELEASED / str(request.param)


def inspected(released: Path) -> dict[str, Any]:
    """What `edgekit bundle inspect` says of the bundle."""
    key = ("--trust", released / "release.pub")
    found: dict[str, Any] = edgekit(
        "bundle", "inspect", released / "pumps.tar", *key, "--json"
    ).json
    return found


def test_there_is_a_folder_for_every_release() -> None:
    log = (ROOT / "CHANGELOG.md").read_text()
    named = [line.split()[1] for line in log.splitlines() if line.startswith("## ")]
    assert "0.1.0" in VERSIONS
    finished = [name for name in named if name[0].isdigit() and name != __version__]
    assert set(finished) <= set(VERSIONS)


def test_it_is_sound_and_says_what_it_holds(released: Path) -> None:
    key = ("--trust", released / "release.pub")
    assert "sound; signed by" in edgekit("bundle", "verify", released / "pumps.tar", *key).out
    said = inspected(released)
    assert (said["verified"], said["model"], said["untrusted_evidence"]) == (True, "pumps", 0)
    (variant,) = said["variants"]
    assert variant["slot"]["format_version"] == 1
    assert variant["evidence"]["quality"]["comparison"]["samples"] > 0
    assert "measured: accuracy" in edgekit(
        "bundle", "inspect", released / "pumps.tar", *key
    ).out  # fmt: skip


def test_it_deploys_and_answers(released: Path, tmp_path: Path) -> None:
    slot, here = inspected(released)["variants"][0]["slot"], detect_machine()
    if slot["architecture"] != here.architecture:
        pytest.skip(
            f"the bundle is for {slot['architecture']}, this machine is {here.architecture}"
        )
    if missing := set(slot["isa"]) - set(here.isa):
        pytest.skip(f"the bundle needs {', '.join(sorted(missing))}, which this machine lacks")
    box = tmp_path / "box"
    edgekit("deploy", released / "pumps.tar", box, "--trust", released / "release.pub")
    (serving,) = edgekit("status", box, "--json").json["models"]
    assert serving["model"] == "pumps"
    assert serving["current"]["version"] == slot["version"]
    edgekit("fsck", box)
    (golden_file,) = {path.resolve() for path in box.rglob("golden.json")}
    golden = json.loads(golden_file.read_bytes())
    for value, answer in zip(golden["inputs"], golden["answers"], strict=True):
        said = edgekit("predict", box, json.dumps(value), "--json").json
        best = max(range(len(answer)), key=answer.__getitem__)
        assert said["labels"][0]["label"] == golden["labels"][best]
        score = said["labels"][0]["score"]  # golden answers are logarithms of it
        assert math.log(score) == pytest.approx(answer[best], abs=1e-3)


def test_what_was_measured_is_compared(released: Path) -> None:
    profiles = released / "profiles.json"
    measured = json.loads(profiles.read_bytes())["profiles"]
    said = edgekit("compare", profiles, profiles, "--json").json
    assert [item["variant"] for item in said["variants"]] == [item["variant"] for item in measured]
