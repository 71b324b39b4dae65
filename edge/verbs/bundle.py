"""`edgekit bundle pack`, `inspect` and `verify`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, print_json
from edgekit.edge.bundle.attach import attach as run_attach
from edgekit.edge.bundle.layout import open_layout, read_small
from edgekit.edge.bundle.oci import Index, parse
from edgekit.edge.bundle.pack import Signing, pack_build
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.bundle.verify import Verified, check_blobs, verify
from edgekit.edge.verbs.keygen import PASSPHRASE_FILE, load_with_passphrase
from edgekit.errors import InputError
from edgekit.nouns import Profiles, Unreadable, read_json

BUNDLE = click.argument("bundle", type=click.Path(path_type=Path))
EVIDENCE_KEYS = click.option(
    "--evidence-key",
    "evidence_keys",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Public key that may sign evidence, beside --key; once for each.",
)


@click.group()
def bundle() -> None:
    """Pack, inspect and verify signed bundles.

    \b
    Example:
      edgekit bundle pack build/ --key release.key --out tickets.tar
      edgekit bundle verify tickets.tar --key release.pub
    """


@bundle.command()
@click.argument("build", type=click.Path(path_type=Path), default="build")
@click.option(
    "--key",
    "keys",
    type=click.Path(path_type=Path),
    multiple=True,
    required=True,
    help="Private key from `edgekit keygen`; more than one where the devices ask for several signatures.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to make, or a file ending in .tar."
)
@click.option(
    "--counter",
    type=click.IntRange(0, (1 << 62) - 1),
    help="Release counter: a device never takes a lower one.  [default: from the version, 1.4.2 is 1004002]",
)
@click.option(
    "--variant", "names", multiple=True, help="Pack this variant instead of the chosen one; may be repeated."
)
@PASSPHRASE_FILE
@click.option(
    "--evidence-key",
    type=click.Path(path_type=Path),
    help="Private key of the role that vouches for what was measured.  [default: --key]",
)
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
    evidence_signer = load_with_passphrase(evidence_key, passphrase_file) if evidence_key else signers[0]
    digest, packed = pack_build(build, list(names), Signing(signers, evidence_signer, counter), out)
    if as_json:
        print_json({"bundle": str(out), "release": digest, "variants": packed})
    else:
        click.echo(f"{out}: {', '.join(packed)}, release {digest}")


@bundle.command("verify")
@BUNDLE
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Public key (NAME.pub), or trust file."
)
@json_option
def verify_bundle(bundle: Path, key: Path, as_json: bool) -> None:
    """Check the signature and every byte of a bundle. Exit code 5: refused.

    \b
    Example:
      edgekit bundle verify tickets.tar --key release.pub
    """
    layout = open_layout(bundle)
    verified = verify(layout, open_trust(key))
    check_blobs(layout, verified)
    if as_json:
        print_json({"verified": True, **_describe(verified)})
    else:
        click.echo(f"{bundle}: sound; signed by {', '.join(verified.key_ids)}")


@bundle.command()
@BUNDLE
@click.argument("profile", type=click.Path(path_type=Path))
@click.option("--trust", type=click.Path(path_type=Path), required=True, help="Public key of the release.")
@click.option(
    "--key", type=click.Path(path_type=Path), required=True, help="Private key of the evidence role."
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The bundle with the measurement."
)
@PASSPHRASE_FILE
@json_option
def attach(
    bundle: Path,
    profile: Path,
    trust: Path,
    key: Path,
    out: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Add what `edgekit profile --out` measured on a device to a bundle; the release and its signature stay the same.

    \b
    Example:
      edgekit profile tickets.tar --key release.pub --device ssh://me@box --out box.json
      edgekit bundle attach tickets.tar box.json --trust release.pub --key evidence.key --out tickets-box.tar
    """
    try:
        profiles = read_json(profile.read_bytes(), Profiles).profiles
    except FileNotFoundError:
        raise InputError(f"{profile}: no such file; make one with: edgekit profile --out {profile}") from None
    except Unreadable as error:
        raise InputError(f"{profile}: not what edgekit profile --out writes: {error}") from None
    count = run_attach(bundle, profiles, open_trust(trust), load_with_passphrase(key, passphrase_file), out)
    if as_json:
        print_json({"bundle": str(out), "attached": count})
        return
    click.echo(f"{out}: {count} measurement{'s' * (count > 1)} attached")


@bundle.command()
@click.argument("layout", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder to make, or a file ending in .tar."
)
@json_option
def adopt(layout: Path, out: Path, as_json: bool) -> None:
    """Make a bundle canonical again that another OCI tool has carried, through a registry or not.

    Nothing is trusted here: `edgekit bundle verify` and `edgekit deploy` have the verdict.

    \b
    Example:
      skopeo copy --all docker://registry.example/tickets:1.0.0 oci:carried:1.0.0
      edgekit bundle adopt carried --out tickets.tar
    """
    from edgekit.edge.bundle.adopt import adopt as run

    digest = run(layout, out)
    if as_json:
        print_json({"bundle": str(out), "release": digest})
    else:
        click.echo(f"{out}: release {digest}")


@bundle.command()
@BUNDLE
@click.option(
    "--key", type=click.Path(path_type=Path), help="Public key; without it nothing is checked, only shown."
)
@EVIDENCE_KEYS
@json_option
def inspect(bundle: Path, key: Path | None, evidence_keys: tuple[Path, ...], as_json: bool) -> None:
    """Show what is in a bundle, with its evidence.

    \b
    Example:
      edgekit bundle inspect tickets.tar --key release.pub
    """
    layout = open_layout(bundle)
    if key is None:
        top = parse(read_small(layout, "index.json"), Index, f"{bundle}: index.json")
        size = sum(layout.sizes().values())
        if as_json:
            print_json({"verified": False, "index": top, "size_bytes": size})
            return
        click.echo(
            f"{bundle}: {len(layout.sizes())} files, {human_bytes(size)}; nothing verified (give --key KEY.pub)"
        )
        return
    verified = verify(layout, open_trust(key, evidence_keys))
    if as_json:
        print_json({"verified": True, **_describe(verified)})
        return
    click.echo(
        f"{verified.release.model} {verified.release.version}, signed by {', '.join(verified.key_ids)}"
    )
    for variant in verified.variants:
        slot, evidence = variant.slot, variant.evidence
        size = sum(file.size for file in slot.files)
        click.echo(
            f"{slot.variant}: {slot.engine} {slot.engine_version}, {slot.architecture}, {human_bytes(size)}"
        )
        if evidence:
            click.echo(
                f"  measured: {evidence.quality.metric} {evidence.quality.metric_value:.4f} "
                f"(reference {evidence.quality.reference_value:.4f}), p50 {evidence.performance.p50_ms.value:.2f} ms, "
                f"{evidence.performance.samples_per_s.value:.0f} samples/s, on {evidence.machine}"
            )
        for profile in variant.profiles:
            click.echo(
                f"  profiled: p50 {profile.performance.p50_ms.value:.2f} ms, "
                f"{profile.performance.samples_per_s.value:.0f} samples/s, on {profile.machine}"
            )
        for file in slot.files:
            click.echo(f"  {file.path}  {human_bytes(file.size)}  {file.sha256}")


def _describe(verified: Verified) -> dict[str, object]:
    return {
        "model": verified.release.model,
        "version": verified.release.version,
        "release": verified.release.index,
        "counter": verified.release.counter,
        "key_ids": verified.key_ids,
        "untrusted_evidence": verified.untrusted,
        "variants": [
            {
                "manifest": item.descriptor.digest,
                "slot": item.slot,
                "evidence": item.evidence,
                "profiles": item.profiles,
            }
            for item in verified.variants
        ],
    }
