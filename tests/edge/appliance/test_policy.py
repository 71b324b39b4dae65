"""policy.toml: what a device demands, and the line that a bundle misses."""

from pathlib import Path
from typing import Any

import pytest

from edgekit.nouns import Counts, Paired
from edgekit.targets.detect import closest_target, detect_machine
from tests import small
from tests.conftest import edgekit

HERE = closest_target(detect_machine()).name


@pytest.fixture
def box(keys: Path, tmp_path: Path) -> Path:
    """An appliance on which version 1.0.0 serves."""
    folder = tmp_path / "box"
    small.bundle(tmp_path / "first.tar", small.signing(keys))
    edgekit("deploy", tmp_path / "first.tar", folder, "--trust", keys / "release.pub")
    return folder


def second(keys: Path, tmp_path: Path, **figures: Any) -> Path:  # noqa: ANN401
    return small.bundle(
        tmp_path / "second.tar", small.signing(keys), version="1.1.0", seed=1, **figures
    )


def serving(box: Path) -> str:
    return str(edgekit("status", box, "--json").json["models"][0]["current"]["version"])


@pytest.mark.parametrize(
    ("policy", "figures", "said"),
    [
        ('device_class = "jetson-orin-nano"', {}, 'device_class = "jetson-orin-nano": it is for'),
        (
            "[evidence]\nmax_drop = 0.01",
            {"comparison": Paired(samples=3000, lost=40, gained=4)},
            "evidence.max_drop = 0.01: the drop may be 0.0",
        ),
        (
            "[evidence]\nmin_recall = {worn = 0.9}",
            {"classes": {"worn": Counts(found=46, missed=4, false=0)}},
            "evidence.min_recall.worn = 0.9: the recall may be 0.8",
        ),
        ("[evidence]\nmin_recall = {broken = 0.9}", {}, "no class of this name was measured"),
        (
            "[evidence]\nmeasured_here = true",
            {"target": "x86-64-v2-other"},
            "evidence.measured_here = true: it was measured on x86-64-v2-other",
        ),
    ],
)
def test_a_bundle_that_misses_a_line_is_refused_with_it(
    box: Path, keys: Path, tmp_path: Path, policy: str, figures: dict[str, Any], said: str
) -> None:
    (box / "policy.toml").write_text(policy)
    ran = edgekit("deploy", second(keys, tmp_path, **figures), box, code=5)
    assert "policy.toml" in ran.err
    assert said in ran.err
    assert serving(box) == "1.0.0"


def test_a_bundle_that_keeps_every_line_is_deployed(box: Path, keys: Path, tmp_path: Path) -> None:
    (box / "policy.toml").write_text(
        f'device_class = "{HERE}"\nmemory_mb = 1000\n[evidence]\nmax_drop = 0.01\n'
        "min_recall = {worn = 0.9}\nmeasured_here = true\n[watch]\nseconds = 0\n"
    )
    figures = {
        "comparison": Paired(samples=3000, lost=3, gained=4), "target": HERE,
        "classes": {"worn": Counts(found=99, missed=1, false=0)},
    }  # fmt: skip
    edgekit("deploy", second(keys, tmp_path, **figures), box)
    assert serving(box) == "1.1.0"
    shown = edgekit("status", box, "--json").json["models"][0]
    assert shown["proven"] == shown["current"]  # no watch window was asked for


def test_what_was_not_measured_here_is_staged_profiled_attached_and_then_serves(
    box: Path, keys: Path, tmp_path: Path
) -> None:
    (box / "policy.toml").write_text('[evidence]\nmeasured_here = true\nunmeasured = "stage"\n')
    bundle = second(keys, tmp_path)
    ran = edgekit("deploy", bundle, box)
    assert "is staged, to be profiled and not to serve: evidence.measured_here = true" in ran.out
    assert serving(box) == "1.0.0"
    assert "is staged" in edgekit("status", box).out
    edgekit("gc", box)
    profile, measured = tmp_path / "here.json", tmp_path / "measured.tar"
    edgekit("profile", box, "--quick", "--out", profile)
    sign = ("--trust", keys / "release.pub", "--evidence-key", keys / "release.key")
    edgekit("bundle", "attach", bundle, profile, *sign, "--out", measured)
    edgekit("deploy", measured, box)
    assert serving(box) == "1.1.0"
    assert edgekit("status", box, "--json").json["models"][0]["staged"] is None


def test_a_model_that_is_only_staged_can_not_serve(keys: Path, tmp_path: Path) -> None:
    box = tmp_path / "new"
    box.mkdir()
    (box / "policy.toml").write_text('[evidence]\nmeasured_here = true\nunmeasured = "stage"\n')
    edgekit("deploy", second(keys, tmp_path), box, "--trust", keys / "release.pub")
    for verb in (("predict", box, "[1,2,3]"), ("serve", box), ("rollback", box)):
        assert edgekit(*verb, code=2).err
    assert "is only staged" in edgekit("predict", box, "[1,2,3]", code=2).err


def test_evidence_that_nobody_trusted_signed_is_none(box: Path, keys: Path, tmp_path: Path) -> None:
    (box / "policy.toml").write_text("[evidence]\nmax_drop = 0.01\n")
    by = small.signing(keys, "release", evidence_key="other")
    bundle = small.bundle(tmp_path / "second.tar", by, version="1.1.0")
    assert "nothing that a trusted key signed" in edgekit("deploy", bundle, box, code=5).err
    (box / "other.pub").write_bytes((keys / "other.pub").read_bytes())
    (box / "release.pub").write_bytes((keys / "release.pub").read_bytes())
    (box / "policy.toml").write_text(
        '[evidence]\nmax_drop = 0.01\n[keys]\nrelease = ["release.pub"]\nevidence = ["other.pub"]\n'
    )
    edgekit("deploy", bundle, box)
    assert serving(box) == "1.1.0"


def test_memory_of_all_models_together_is_checked(box: Path, keys: Path, tmp_path: Path) -> None:
    (box / "policy.toml").write_text("memory_mb = 290\n")
    other = small.bundle(tmp_path / "fans.tar", small.signing(keys), name="fans")
    ran = edgekit("deploy", other, box, code=6)
    assert "fans 1.0.0 needs 150 MB of memory beside pumps 1.0.0 with 150 MB" in ran.err
    (box / "policy.toml").write_text("memory_mb = 310\n")
    edgekit("deploy", other, box)
    models = edgekit("status", box, "--json").json["models"]
    assert [item["model"] for item in models] == ["fans", "pumps"]


def test_an_engine_that_is_older_than_the_one_that_was_measured_does_not_fit(
    box: Path, keys: Path, tmp_path: Path
) -> None:
    ran = edgekit("deploy", second(keys, tmp_path, engine="99.1.2"), box, code=6)
    assert "was measured with onnxruntime 99.1.2, and an older one" in ran.err
    assert serving(box) == "1.0.0"


def test_the_disk_is_checked_before_anything_is_copied(
    box: Path, keys: Path, tmp_path: Path
) -> None:
    (box / "policy.toml").write_text("min_free_mb = 1e12\n")
    before = sorted((box / "blobs" / "sha256").iterdir())
    assert (
        "are to stay free (min_free_mb)"
        in edgekit("deploy", second(keys, tmp_path), box, code=2).err
    )
    assert sorted((box / "blobs" / "sha256").iterdir()) == before


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("memory = 3", "unknown key 'memory'; did you mean 'memory_mb'?"),
        ("[evidence]\nmax_drops = 3", "unknown key 'evidence.max_drops'; did you mean 'max_drop'?"),
        ("[evidence]\nmax_drop = 3", "evidence.max_drop: expected"),
        ('[evidence]\nunmeasured = "maybe"', "evidence.unmeasured"),
        ("[keys]\nrelease = []", "keys.release is empty"),
        ('[keys]\nrelease = ["no.pub"]', "no.pub: no such key"),
        ("[watch]\nstarts = 0", "watch.starts"),
        ("[", "not valid TOML"),
    ],
)
def test_a_wrong_policy_is_named(
    box: Path, keys: Path, tmp_path: Path, policy: str, said: str
) -> None:
    (box / "policy.toml").write_text(policy)
    assert said in edgekit("deploy", second(keys, tmp_path), box, code=2).err
    assert serving_file(box)


def serving_file(box: Path) -> bool:
    """The store is as it was, though no verb of its own can read it while its policy is wrong."""
    return '"version": "1.0.0"' in (box / "models" / "pumps.json").read_text()
