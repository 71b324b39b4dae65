"""`edgekit trust init`, `sign` and `update`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from securesystemslib.signer import CryptoSigner, Key

from edgekit.console import json_option
from edgekit.edge.bundle import trust as chains
from edgekit.edge.bundle.envelope import Signers, load_public_key
from edgekit.edge.bundle.trust import Chain, read_trust
from edgekit.edge.verbs.trust import FILE, tell
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.release import roots as roots_made
from edgekit.release.verbs.options import PASSPHRASE_FILE, load_with_passphrase

F = TypeVar("F", bound=Callable[..., Any])


ROOT_KEYS = click.option(
    "--root-key", "root_keys", type=click.Path(path_type=Path), multiple=True,
    help="Private root key that is at hand to sign with; once for each.",
)  # fmt: skip


EXPIRES = click.option(
    "--expires", type=click.DateTime(["%Y-%m-%d"]),
    help="From this day on (UTC) devices warn that the file is old; nothing else happens.",
)  # fmt: skip


def _public_keys(role: str, text: str, *, required: bool = False) -> Callable[[F], F]:
    """Make the option `--ROLE KEY.pub`, given once for each key."""
    return click.option(
        f"--{role}",
        f"{role}s",
        type=click.Path(path_type=Path),
        multiple=True,
        required=required,
        help=text,
    )


@click.command()
@FILE
@_public_keys("root", "Public root key; once for each.", required=True)
@click.option(
    "--threshold", default=1, show_default=True, help="How many root keys must sign a change."
)
@_public_keys("release", "Public key that may sign releases; once for each.", required=True)
@click.option(
    "--release-threshold",
    default=1,
    show_default=True,
    help="How many of them must sign a release.",
)
@_public_keys("evidence", "Public key that may sign evidence.  [default: those of releases]")
@EXPIRES
@ROOT_KEYS
@PASSPHRASE_FILE
@json_option
def init(
    file: Path,
    roots: Sequence[Path],
    threshold: int,
    releases: Sequence[Path],
    release_threshold: int,
    evidences: Sequence[Path],
    expires: datetime | None,
    root_keys: Sequence[Path],
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Write the first version of a trust file. Keep the root keys apart, and offline.

    \b
    Example:
      edgekit trust init trust.json --root a.pub --root b.pub --threshold 2 \\
          --release release.pub --root-key a.key
    """
    if file.exists():
        raise InputError(f"{file}: exists already; change it with: edgekit trust update")
    release = Signers(keys=_keys(releases), threshold=release_threshold)
    chain = roots_made.first_chain(
        _keys(roots), threshold, release, Signers(keys=_keys(evidences or releases)),
        _signers(root_keys, passphrase_file), _day(expires) or chains.NEVER,
    )  # fmt: skip
    _write(file, chain, as_json=as_json)


@click.command()
@FILE
@ROOT_KEYS
@PASSPHRASE_FILE
@json_option
def sign(
    file: Path, root_keys: Sequence[Path], passphrase_file: Path | None, as_json: bool
) -> None:
    """Add the signatures of more root keys, each on the machine that holds it.

    \b
    Example:
      edgekit trust sign trust.json --root-key b.key
    """
    chain = roots_made.sign(read_trust(file), _signers(root_keys, passphrase_file))
    _write(file, chain, as_json=as_json)


@click.command()
@FILE
@_public_keys("release", "Public key that may sign releases from now on.")
@_public_keys("evidence", "Public key that may sign evidence from now on.")
@_public_keys("root", "Public root key from now on.")
@click.option(
    "--revoke",
    "revoked",
    multiple=True,
    help="Key to take out of every role: a NAME.pub, or the start of a key id.",
)
@click.option("--threshold", type=int, help="How many root keys must sign a change.")
@click.option("--release-threshold", type=int, help="How many keys must sign a release.")
@EXPIRES
@ROOT_KEYS
@PASSPHRASE_FILE
@json_option
def update(
    file: Path,
    releases: Sequence[Path],
    evidences: Sequence[Path],
    roots: Sequence[Path],
    revoked: Sequence[str],
    threshold: int | None,
    release_threshold: int | None,
    expires: datetime | None,
    root_keys: Sequence[Path],
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Write the next version of a trust file: more keys, other thresholds, keys revoked.

    A device takes it with `edgekit trust install`; from then on the revoked keys' bundles are
    refused there.

    \b
    Example:
      edgekit trust update trust.json --revoke release.pub --release new.pub \\
          --root-key a.key --root-key b.key
    """
    chain = read_trust(file)
    if lacking := chains.missing(chain):
        raise InputError(f"{file}: {lacking[0]}; sign this version first")
    gone = {_identity(item, chain) for item in revoked}
    release, evidence = chains.roles_of(chain)
    old_roots = chains.root_keys(chain)
    new_roots = _changed(old_roots, roots, gone)
    chain = roots_made.next_chain(
        chain,
        (
            new_roots
            if [key.keyid for key in new_roots] != [key.keyid for key in old_roots] or threshold
            else None
        ),
        threshold or chains.root_threshold(chain),
        Signers(
            keys=_changed(release.keys, releases, gone),
            threshold=release_threshold or release.threshold,
        ),
        Signers(keys=_changed(evidence.keys, evidences, gone), threshold=evidence.threshold),
        _signers(root_keys, passphrase_file),
        _day(expires),
    )
    _write(file, chain, as_json=as_json)


def _keys(paths: Sequence[Path]) -> tuple[Key, ...]:
    keys = {key.keyid: key for key in map(load_public_key, paths)}
    return tuple(keys.values())


def _changed(old: Sequence[Key], added: Sequence[Path], gone: set[str]) -> tuple[Key, ...]:
    keys = {key.keyid: key for key in (*old, *_keys(added))}
    return tuple(key for identity, key in keys.items() if identity not in gone)


def _identity(given: str, chain: Chain) -> str:
    """Find a key in the file by its own file or the start of its id; raises InputError."""
    if Path(given).is_file():
        given = load_public_key(Path(given)).keyid
    release, evidence = chains.roles_of(chain)
    known = {key.keyid for key in (*release.keys, *evidence.keys, *chains.root_keys(chain))}
    found = [identity for identity in known if identity.startswith(given)]
    if len(found) != 1 or not given:
        raise InputError(
            f"--revoke {given}: no such key in the file, or several; edgekit trust show lists them"
        )
    return found[0]


def _day(given: datetime | None) -> datetime | None:
    return given.replace(tzinfo=UTC) if given else None


def _signers(paths: Sequence[Path], passphrase_file: Path | None) -> list[CryptoSigner]:
    return [load_with_passphrase(path, passphrase_file) for path in paths]


def _write(file: Path, chain: Chain, *, as_json: bool) -> None:
    write_durably(file, chain.to_json())
    tell(file, chain, as_json=as_json)
