"""The root of trust: who may sign what, thresholds, rotation, revocation, counters.

A clock only warns.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit.edge.bundle.trust import open_trust
from edgekit.errors import Refused
from tests import small
from tests.conftest import edgekit

pytestmark = pytest.mark.processes


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with key pairs.

    a, b, c: root keys.
    r, s: release keys.
    e: an evidence key.
    t: a thief's.
    """
    folder = tmp_path_factory.mktemp("many")
    for name in "abcrset":
        edgekit("keygen", folder / name, "--no-passphrase")
    return folder


@pytest.fixture
def trust(many: Path, tmp_path: Path) -> Path:
    """A trust file: two of a, b, c; r signs releases, e signs evidence."""
    file = tmp_path / "trust.json"
    roots = [item for name in "abc" for item in ("--root", many / f"{name}.pub")]
    roles = ("--release", many / "r.pub", "--evidence", many / "e.pub")
    edgekit("trust", "init", file, *roots, "--threshold", 2, *roles, *signed(many, "ab"))
    return file


def signed(many: Path, names: str) -> list[object]:
    return [item for name in names for item in ("--root-key", many / f"{name}.key")]


def pumps(tmp_path: Path, many: Path, version: str, *names: str, **more: Any) -> Path:  # noqa: ANN401
    """A bundle of the small model, its weights following from the version."""
    out = tmp_path / f"pumps-{version}-{'-'.join(names)}.tar"
    by = small.signing(many, *(names or ("r",)), evidence_key="e")
    return small.bundle(out, by, version=version, seed=int(version.replace(".", "")), **more)


def test_two_of_three_sign_and_one_is_not_enough(many: Path, tmp_path: Path) -> None:
    file = tmp_path / "trust.json"
    roots = [item for name in "abc" for item in ("--root", many / f"{name}.pub")]
    init = ("trust", "init", file, *roots, "--threshold", 2, "--release", many / "r.pub")
    ran = edgekit(*init, *signed(many, "a"))
    assert "lacks signatures: root 1: signed by 1 of 2" in ran.out
    box = tmp_path / "box"
    assert "signed by 1 of 2" in edgekit("trust", "install", file, box, code=5).err
    edgekit("trust", "sign", file, *signed(many, "a"))
    assert "signed by 1 of 2" in edgekit("trust", "install", file, box, code=5).err
    assert "is no root key" in edgekit("trust", "sign", file, *signed(many, "t"), code=2).err
    assert edgekit("trust", "sign", file, *signed(many, "c"), "--json").json["lacks"] == []
    edgekit("trust", "install", file, box)
    assert edgekit("status", box, "--json").json["trust_version"] == [1, 1]
    assert "exists already" in edgekit(*init, code=2).err


def test_each_role_signs_its_own(trust: Path, many: Path, tmp_path: Path) -> None:
    box = tmp_path / "box"
    first = pumps(tmp_path, many, "1.0.0")
    edgekit("deploy", first, box, "--trust", trust)
    by_evidence = pumps(tmp_path, many, "1.0.1", "e")
    assert "not signed by a trusted key" in edgekit("deploy", by_evidence, box, code=5).err
    by_root = pumps(tmp_path, many, "1.0.2", "a")
    assert "not signed by a trusted key" in edgekit("deploy", by_root, box, code=5).err
    shown = edgekit("bundle", "inspect", first, "--trust", trust, "--json").json
    assert shown["variants"][0]["evidence"]["quality"]["metric"] == "accuracy"
    swapped = small.bundle(
        tmp_path / "swapped.tar", small.signing(many, "r", evidence_key="r"), version="1.0.3"
    )
    shown = edgekit("bundle", "inspect", swapped, "--trust", trust, "--json").json
    assert (shown["variants"][0]["evidence"], shown["untrusted_evidence"]) == (None, 1)


def test_a_revoked_key_signs_no_more_and_does_not_come_back(
    trust: Path, many: Path, tmp_path: Path
) -> None:
    box, old = tmp_path / "box", tmp_path / "old.json"
    edgekit("deploy", pumps(tmp_path, many, "1.0.0"), box, "--trust", trust)
    old.write_bytes(trust.read_bytes())
    edgekit(
        "trust",
        "update",
        trust,
        "--revoke",
        many / "r.pub",
        "--release",
        many / "s.pub",
        *signed(many, "ac"),
    )
    by_old, by_new = pumps(tmp_path, many, "1.0.1", "r"), pumps(tmp_path, many, "1.0.2", "s")
    assert "not signed" in edgekit("deploy", by_new, box, code=5).err
    edgekit("trust", "install", trust, box)
    assert edgekit("status", box, "--json").json["trust_version"] == [1, 2]
    assert "not signed" in edgekit("deploy", by_old, box, code=5).err
    edgekit("deploy", by_new, box)
    assert "older than what this device trusts" in edgekit("trust", "install", old, box, code=5).err
    assert (
        "older than what this device trusts"
        in edgekit("deploy", by_old, box, "--trust", old, code=5).err
    )
    # of a release whose key is revoked by now: it was deployed when it was not
    edgekit("rollback", box)


def test_a_revocation_that_comes_with_a_refused_bundle_holds(
    trust: Path, many: Path, tmp_path: Path
) -> None:
    box = tmp_path / "box"
    edgekit("deploy", pumps(tmp_path, many, "1.0.0"), box, "--trust", trust)
    edgekit(
        "trust",
        "update",
        trust,
        "--revoke",
        many / "r.pub",
        "--release",
        many / "s.pub",
        *signed(many, "ac"),
    )
    by_old = pumps(tmp_path, many, "1.0.1", "r")
    for more in (["--trust", trust], []):
        assert "not signed" in edgekit("deploy", by_old, box, *more, code=5).err


def test_the_root_itself_is_rotated(trust: Path, many: Path, tmp_path: Path) -> None:
    """The root is rotated by its old keys and by the new ones, over several versions at once."""
    box = tmp_path / "box"
    edgekit("trust", "install", trust, box)
    edgekit(
        "trust",
        "update",
        trust,
        "--revoke",
        many / "a.pub",
        "--root",
        many / "t.pub",
        *signed(many, "b"),
    )
    lacks = edgekit("trust", "show", trust, "--json").json["lacks"]
    assert any("root 2: signed by 1 of 2" in text for text in lacks)
    assert (
        "sign this version first" in edgekit("trust", "update", trust, "--threshold", 1, code=2).err
    )
    edgekit("trust", "sign", trust, *signed(many, "t"))  # new keys: b and t; old keys: b alone
    assert (
        "by the keys before it: signed by 1 of 2"
        in edgekit("trust", "install", trust, box, code=5).err
    )
    edgekit("trust", "sign", trust, *signed(many, "a"))
    edgekit("trust", "update", trust, "--threshold", 1, *signed(many, "bt"))
    edgekit("trust", "install", trust, box)
    assert edgekit("status", box, "--json").json["trust_version"] == [3, 3]


def test_another_root_does_not_take_over(trust: Path, many: Path, tmp_path: Path) -> None:
    box, theirs = tmp_path / "box", tmp_path / "theirs.json"
    edgekit("trust", "install", trust, box)
    mine = ("--root", many / "t.pub", "--release", many / "t.pub", *signed(many, "t"))
    edgekit("trust", "init", theirs, *mine)
    assert "does not go on from the root" in edgekit("trust", "install", theirs, box, code=5).err
    for _ in range(3):
        edgekit("trust", "update", theirs, "--threshold", 1, *signed(many, "t"))
    assert "does not go on from the root" in edgekit("trust", "install", theirs, box, code=5).err


def test_a_release_may_need_two_signatures(many: Path, tmp_path: Path) -> None:
    file, box = tmp_path / "trust.json", tmp_path / "box"
    keys = ("--root", many / "a.pub", "--release", many / "r.pub", "--release", many / "s.pub")
    edgekit("trust", "init", file, *keys, "--release-threshold", 2, *signed(many, "a"))
    one = pumps(tmp_path, many, "1.0.0", "r")
    assert (
        "not signed by 2 trusted keys" in edgekit("deploy", one, box, "--trust", file, code=5).err
    )
    edgekit("deploy", pumps(tmp_path, many, "1.0.1", "r", "s"), box, "--trust", file)


def test_an_older_release_is_refused_and_the_one_before_is_not(many: Path, tmp_path: Path) -> None:
    box = tmp_path / "box"
    versions = {name: pumps(tmp_path, many, name) for name in ("1.0.0", "1.1.0", "1.2.0")}
    edgekit("deploy", versions["1.0.0"], box, "--trust", many / "r.pub")
    edgekit("deploy", versions["1.2.0"], box)
    for older in ("1.0.0", "1.1.0"):
        assert "edgekit rollback" in edgekit("deploy", versions[older], box, code=5).err
    edgekit("deploy", versions["1.2.0"], box)
    assert "1.0.0" in edgekit("rollback", box).out
    assert "was deployed here before" in edgekit("deploy", versions["1.1.0"], box, code=5).err
    edgekit("uninstall", box, "pumps")
    assert "was deployed here before" in edgekit("deploy", versions["1.0.0"], box, code=5).err
    edgekit("deploy", versions["1.2.0"], box)


def test_a_thief_s_huge_counter_goes_with_the_key(trust: Path, many: Path, tmp_path: Path) -> None:
    """Releases go on from where the honest ones were, once the stolen key is revoked.

    The thief had signed a release with a huge counter (fast-forward).
    """
    box = tmp_path / "box"
    edgekit("deploy", pumps(tmp_path, many, "1.5.0"), box, "--trust", trust)
    stolen = small.signing(many, "r", evidence_key="e", counter=(1 << 62) - 1)
    edgekit("deploy", small.bundle(tmp_path / "evil.tar", stolen, version="9.0.0", seed=9), box)
    assert (
        "was deployed here before"
        in edgekit("deploy", pumps(tmp_path, many, "1.6.0"), box, code=5).err
    )
    edgekit(
        "trust",
        "update",
        trust,
        "--revoke",
        many / "r.pub",
        "--release",
        many / "s.pub",
        *signed(many, "ab"),
    )
    edgekit("trust", "install", trust, box)
    edgekit("deploy", pumps(tmp_path, many, "1.6.1", "s"), box)
    assert (
        "was deployed here"
        in edgekit("deploy", pumps(tmp_path, many, "1.5.9", "s"), box, code=5).err
    )


def test_versions_without_an_order_need_a_counter(many: Path, tmp_path: Path) -> None:
    small.write_build(tmp_path / "build", version="spring")
    arguments = (
        "bundle",
        "pack",
        tmp_path / "build",
        "--key",
        many / "r.key",
        "--out",
        tmp_path / "b.tar",
    )
    assert "give the release a --counter" in edgekit(*arguments, code=2).err
    edgekit(*arguments, "--counter", 7)
    shown = edgekit(
        "bundle", "inspect", tmp_path / "b.tar", "--trust", many / "r.pub", "--json"
    ).json
    assert shown["counter"] == 7


def test_bare_keys_give_way_to_a_root_only_when_asked(
    trust: Path, many: Path, tmp_path: Path
) -> None:
    box = tmp_path / "box"
    edgekit("deploy", pumps(tmp_path, many, "1.0.0"), box, "--trust", many / "r.pub")
    newer = pumps(tmp_path, many, "1.1.0")
    assert "edgekit trust install" in edgekit("deploy", newer, box, "--trust", trust, code=2).err
    edgekit("trust", "install", trust, box)
    assert not list((box / "trust").iterdir())
    edgekit("deploy", newer, box)
    assert (
        "trusts other keys" in edgekit("deploy", newer, box, "--trust", many / "t.pub", code=2).err
    )


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(file: Path) -> None:
        value = json.loads(file.read_text())
        change(value)
        file.write_text(json.dumps(value))

    return edit


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edited(lambda t: t["roots"].clear()), "has 0 roots"),
        (edited(lambda t: t["roots"].append(t["roots"][0])), "not 1, 2"),
        (edited(lambda t: t["roots"][0]["signed"].update(version=2)), "not 1, 2"),
        (edited(lambda t: t["roots"][0].update(signatures=[])), "signed by 0 of 2"),
        (edited(lambda t: t["targets"].update(signatures=[])), "targets 1: signed by 0 of 2"),
        (edited(lambda t: t.update(targets=t["roots"][0])), "another kind"),
        (edited(lambda t: t["roots"][0].update(signed=t["targets"]["signed"])), "another kind"),
        (
            edited(lambda t: t["roots"][0]["signed"]["roles"]["root"].update(threshold=1)),
            "signed by 0 of 1",
        ),
        (edited(lambda t: t["targets"]["signed"].update(version=2)), "targets 2: signed by 0 of 2"),
        (edited(lambda t: t["targets"]["signed"].pop("delegations")), "must delegate"),
        (edited(lambda t: t["targets"]["signed"]["delegations"]["roles"].pop()), "must delegate"),
        (edited(lambda t: t["roots"][0]["signed"].update(expires="soon")), "not TUF metadata"),
        (edited(lambda t: t.update(extra=1)), "not what edgekit trust writes"),
        (
            edited(lambda t: t["roots"][0]["signatures"].append(t["roots"][0]["signatures"][0])),
            "not TUF metadata",
        ),
        (lambda file: file.write_text("{"), "not what edgekit trust writes"),
        (
            lambda file: file.write_text('{"roots":' + "[" * 100_000),
            "not what edgekit trust writes",
        ),
    ],
)
def test_what_the_root_keys_did_not_sign_is_refused(
    trust: Path, edit: Callable[[Path], object], said: str
) -> None:
    edit(trust)
    with pytest.raises(Refused, match=said):
        open_trust(trust)


def test_one_key_under_two_ids_counts_once(trust: Path, many: Path) -> None:
    def twice(table: dict[str, Any]) -> None:
        root = table["roots"][0]["signed"]
        identity, key = next(iter(root["keys"].items()))
        root["keys"]["f" * 64] = key
        for role in ("root", "targets"):
            root["roles"][role]["keyids"] = [identity, "f" * 64]

    edited(twice)(trust)
    with pytest.raises(Refused, match="is not the id of an Ed25519 key"):
        open_trust(trust)


def test_what_is_old_only_warns(trust: Path, many: Path, tmp_path: Path) -> None:
    """A trust file that was to be renewed in 1971 is as good as any, but for a warning.

    Only signatures and counters decide.
    """
    box = tmp_path / "box"
    assert "to be renewed" not in edgekit("trust", "show", trust).out
    edgekit("trust", "update", trust, "--expires", "1971-02-03", *signed(many, "ab"))
    ran = edgekit("deploy", pumps(tmp_path, many, "1.0.0"), box, "--trust", trust)
    assert "pumps 1.0.0 (onnx-fp32) serves now" in ran.out
    assert (
        "warning: the trust file was to be renewed by 1971-02-03, says this device's clock"
        in ran.err
    )
    shown = edgekit("status", box, "--json")
    assert shown.json["trust_expires"] == "1971-02-03T00:00:00Z"
    assert "was to be renewed by" in shown.err
    edgekit("trust", "update", trust, "--evidence", many / "r.pub", *signed(many, "ab"))
    assert "to be renewed by 1971-02-03" in edgekit("trust", "show", trust).out, (
        "kept until it is given anew"
    )
    edgekit("trust", "update", trust, "--expires", "9000-01-01", *signed(many, "ab"))
    edgekit("trust", "install", trust, box)
    shown = edgekit("status", box, "--json")
    assert shown.json["trust_expires"] == "9000-01-01T00:00:00Z"
    assert not shown.err
    assert "does not match" in edgekit("trust", "update", trust, "--expires", "soon", code=2).err
