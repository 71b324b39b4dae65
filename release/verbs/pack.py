"""`edgekit bundle pack` and `attach`."""

from pathlib import Path

import click

from edgekit.console import json_option, print_json
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.verbs.options import BUNDLE, FILE, renamed, trust_option
from edgekit.errors import InputError
from edgekit.nouns import Profiles, Unreadable, read_json
from edgekit.release.attach import attach as run_attach
from edgekit.release.pack import Signing, pack_build
from edgekit.release.verbs.options import (
    KEY,
    OUT_BUNDLE,
    PASSPHRASE_FILE,
    evidence_key_option,
    load_with_passphrase,
)


@click.command()
@click.argument("build", type=FILE, default="build")
@KEY
@OUT_BUNDLE
@click.option(
    "--counter",
    type=click.IntRange(0, (1 << 62) - 1),
    help=(
        "Release counter: a device never takes a lower one.  [default: from the version, 1.4.2 is"
        " 1004002]"
    ),
)
@click.option(
    "--variant",
    "names",
    multiple=True,
    help="Pack this variant instead of the chosen one; may be repeated.",
)
@PASSPHRASE_FILE
@evidence_key_option("--key")
@json_option
def pack(
    build: Path,
    keys: tuple[Path, ...],
    out: Path,
    counter: int | None,
    names: tuple[str, ...],
    passphrase_file: Path | None,
    evidence_key: Path | None,
    as_json: bool,
) -> None:
    """Pack the chosen variant of a build into a signed bundle, an OCI image layout.

    \b
    Example:
      edgekit bundle pack build/ --key release.key --out tickets.tar
    """
    signers = [load_with_passphrase(key, passphrase_file) for key in keys]
    evidence_signer = (
        load_with_passphrase(evidence_key, passphrase_file) if evidence_key else signers[0]
    )
    digest, packed = pack_build(build, list(names), Signing(signers, evidence_signer, counter), out)
    if as_json:
        print_json({"bundle": str(out), "release": digest, "variants": packed})
    else:
        click.echo(f"{out}: {', '.join(packed)}, release {digest}")


@click.command()
@BUNDLE
@click.argument("profile", type=FILE)
@trust_option("Public key of the release, or trust file.", required=True)
@evidence_key_option(required=True)
@renamed("--key", "the private key of the evidence role is named by --evidence-key")
@OUT_BUNDLE
@PASSPHRASE_FILE
@json_option
def attach(
    bundle: Path,
    profile: Path,
    trust: Path,
    evidence_key: Path,
    out: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Add what `edgekit profile --out` measured on a device to a bundle.

    The release and its signature stay the same.

    \b
    Example:
      edgekit profile tickets.tar --trust release.pub --device ssh://me@box --out box.json
      edgekit bundle attach tickets.tar box.json --trust release.pub \\
          --evidence-key evidence.key --out tickets-box.tar
    """
    try:
        profiles = read_json(profile.read_bytes(), Profiles).profiles
    except FileNotFoundError:
        raise InputError(
            f"{profile}: no such file; make one with: edgekit profile --out {profile}"
        ) from None
    except Unreadable as error:
        raise InputError(f"{profile}: not what edgekit profile --out writes: {error}") from None
    count = run_attach(
        bundle,
        profiles,
        open_trust(trust),
        load_with_passphrase(evidence_key, passphrase_file),
        out,
    )
    if as_json:
        print_json({"bundle": str(out), "attached": count})
        return
    click.echo(f"{out}: {count} measurement{'s' * (count > 1)} attached")
