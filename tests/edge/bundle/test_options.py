"""The names of options: --key and --evidence-key are private keys, the others are public ones."""

from pathlib import Path

import pytest

from tests import small
from tests.conftest import edgekit


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("bundle", "verify", "b.tar", "--key", "release.pub"), "--trust"),
        (("bundle", "verify", "b.tar", "--trust", "t.pub", "--key", "release.pub"), "--trust"),
        (("bundle", "inspect", "b.tar", "--key", "release.pub"), "--trust"),
        (("bundle", "inspect", "b.tar", "--evidence-key", "lab.pub"), "--evidence-trust"),
        (("bundle", "attach", "b.tar", "p.json", "--key", "lab.key"), "--evidence-key"),
        (("profile", "b.tar", "--key", "release.pub"), "--trust"),
    ],
)
@pytest.mark.processes
def test_an_old_spelling_is_answered_with_the_new_one(
    arguments: tuple[str, ...], name: str
) -> None:
    said = edgekit(*arguments, code=2).err
    assert said.count("\n") == 1
    assert name in said
    assert "--key" not in edgekit(*arguments[: 2 if arguments[0] == "bundle" else 1], "--help").out


def test_a_trust_file_names_itself_who_may_sign_evidence(keys: Path, tmp_path: Path) -> None:
    """A key beside it would have no effect, so it is an error."""
    trust, bundle = tmp_path / "trust.json", small.bundle(tmp_path / "b.tar", small.signing(keys))
    root = ("--root", keys / "other.pub", "--root-key", keys / "other.key")
    edgekit("trust", "init", trust, *root, "--release", keys / "release.pub")
    more = ("--evidence-trust", keys / "other.pub")
    for verb in ("verify", "inspect"):
        edgekit("bundle", verb, bundle, "--trust", keys / "release.pub", *more)
        edgekit("bundle", verb, bundle, "--trust", trust)
        said = edgekit("bundle", verb, bundle, "--trust", trust, *more, code=2).err
        assert "trust update --evidence" in said
        assert said.count("\n") == 1
