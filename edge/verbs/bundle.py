"""`edgekit bundle verify`, `inspect` and `adopt`."""

from pathlib import Path

import click

from edgekit.console import human_bytes, json_option, print_json
from edgekit.edge.bundle.layout import open_layout, read_small
from edgekit.edge.bundle.oci import Index, parse
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.bundle.verify import Verified, check_blobs, verify
from edgekit.edge.verbs.options import (
    BUNDLE,
    EVIDENCE_TRUST,
    FILE,
    old_key_option,
    renamed,
    trust_option,
)


@click.command("verify")
@BUNDLE
@trust_option("Public key (NAME.pub), or trust file.", required=True)
@old_key_option
@EVIDENCE_TRUST
@json_option
def verify_bundle(
    bundle: Path, trust: Path, evidence_trust: tuple[Path, ...], as_json: bool
) -> None:
    """Check the signature and every byte of a bundle. Exit code 5: refused.

    \b
    Example:
      edgekit bundle verify tickets.tar --trust release.pub
    """
    layout = open_layout(bundle)
    verified = verify(layout, open_trust(trust, evidence_trust))
    check_blobs(layout, verified)
    if as_json:
        print_json({"verified": True, **_describe(verified)})
    else:
        click.echo(f"{bundle}: sound; signed by {', '.join(verified.key_ids)}")


@click.command()
@click.argument("layout", type=FILE)
@click.option("--out", type=FILE, required=True, help="Folder to make, or a file ending in .tar.")
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


@click.command()
@BUNDLE
@trust_option("Public key, or trust file; without it nothing is checked, only shown.")
@old_key_option
@EVIDENCE_TRUST
@renamed("--evidence-key", "a public key that may sign evidence is named by --evidence-trust")
@json_option
def inspect(
    bundle: Path, trust: Path | None, evidence_trust: tuple[Path, ...], as_json: bool
) -> None:
    """Show what is in a bundle, with its evidence.

    \b
    Example:
      edgekit bundle inspect tickets.tar --trust release.pub
    """
    layout = open_layout(bundle)
    if trust is None:
        top = parse(read_small(layout, "index.json"), Index, f"{bundle}: index.json")
        size = sum(layout.sizes().values())
        if as_json:
            print_json({"verified": False, "index": top, "size_bytes": size})
            return
        click.echo(
            f"{bundle}: {len(layout.sizes())} files, {human_bytes(size)}; nothing verified (give"
            " --trust KEY.pub)"
        )
        return
    verified = verify(layout, open_trust(trust, evidence_trust))
    if as_json:
        print_json({"verified": True, **_describe(verified)})
        return
    click.echo(
        f"{verified.release.model} {verified.release.version}, signed by"
        f" {', '.join(verified.key_ids)}"
    )
    for variant in verified.variants:
        slot, evidence = variant.slot, variant.evidence
        size = sum(file.size for file in slot.files)
        click.echo(
            f"{slot.variant}: {slot.engine} {slot.engine_version}, {slot.architecture},"
            f" {human_bytes(size)}"
        )
        if evidence:
            click.echo(
                f"  measured: {evidence.quality.metric} {evidence.quality.metric_value:.4f}"
                f" (reference {evidence.quality.reference_value:.4f}), p50"
                f" {evidence.performance.p50_ms.value:.2f} ms,"
                f" {evidence.performance.samples_per_s.value:.0f} samples/s, on {evidence.machine}"
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
