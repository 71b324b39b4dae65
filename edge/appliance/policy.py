"""What a device demands: policy.toml in the appliance folder, or else /etc/edgekit/policy.toml.

device_class = "x86-64-v3"        # bundles for another class are refused
memory_mb = 2000                  # that all models together may need
min_free_mb = 500                 # left free on the disk

[keys]                            # by role, paths beside this file; instead of --trust's
release = ["release.pub"]
evidence = ["lab.pub"]

[evidence]                        # signed by the evidence role, or there is none
max_drop = 0.01                   # of the metric, as the upper bound at `confidence`
min_recall = {cold = 0.9}         # as the lower bound
measured_here = true              # on this device class
unmeasured = "stage"              # what lacks it: "refuse" it, or "stage" it to be profiled

[watch]                           # after a switch
seconds = 60                      # of healthy serving until the new model is kept
starts = 3                        # of its worker, at most, in that time
golden_seconds = 300              # for a model to load and answer its golden samples
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from edgekit.confidence import share_lower_bound, upper_bound
from edgekit.edge.bundle.envelope import Signers, load_public_key
from edgekit.edge.bundle.trust import Trust
from edgekit.edge.bundle.verify import VerifiedVariant
from edgekit.errors import InputError
from edgekit.nouns import Evidence, Noun
from edgekit.targets.detect import Machine, closest_target
from edgekit.toml_file import read_toml

SYSTEM = Path("/etc/edgekit/policy.toml")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Confidence = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class KeysPart(Noun, frozen=True, kw_only=True):
    """[keys]: public keys by role."""

    release: list[str]
    evidence: list[str] = []


class EvidencePart(Noun, frozen=True, kw_only=True):
    """[evidence]: what must have been measured."""

    max_drop: Share | None = None
    min_recall: dict[str, Share] = {}
    confidence: Confidence = 0.95
    measured_here: bool = False
    unmeasured: Literal["refuse", "stage"] = "refuse"


class WatchPart(Noun, frozen=True, kw_only=True):
    """[watch]: the window after a switch. seconds: of serving, not of a clock; 0 for no window."""

    seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    starts: Annotated[int, msgspec.Meta(ge=1)] = 3
    golden_seconds: Positive = 300.0  # for a model to load and answer its golden samples


class Policy(Noun, frozen=True, kw_only=True):
    """policy.toml; the default is what a device without one demands."""

    device_class: str | None = None
    memory_mb: Positive | None = None
    min_free_mb: Annotated[float, msgspec.Meta(ge=0)] = 16.0
    keys: KeysPart | None = None
    evidence: EvidencePart = EvidencePart()
    watch: WatchPart = WatchPart()


PARTS: dict[str, type[msgspec.Struct]] = {
    "keys": KeysPart,
    "evidence": EvidencePart,
    "watch": WatchPart,
}


class Shortfall(NamedTuple):
    """A line of the policy that a variant misses. is_unmeasured: for want of a measurement, not by
    one.
    """

    text: str
    is_unmeasured: bool


def policy_file(root: Path) -> Path | None:
    """Where the policy of an appliance is, or None."""
    return next((path for path in (root / "policy.toml", SYSTEM) if path.is_file()), None)


def load_policy(root: Path) -> Policy:
    """The policy of an appliance; raises InputError."""
    path = policy_file(root)
    return read_toml(path, Policy, PARTS, "") if path else Policy()


def policy_trust(root: Path, policy: Policy) -> Trust | None:
    """The keys that the policy names, or None if it names none; raises InputError."""
    path = policy_file(root)
    if path is None or policy.keys is None:
        return None
    if not policy.keys.release:
        raise InputError(f"{path}: keys.release is empty, so nothing could ever be deployed")

    release = [load_public_key(path.parent / name) for name in policy.keys.release]
    evidence = [load_public_key(path.parent / name) for name in policy.keys.evidence]
    # With a role of its own for evidence, the release key signs none: who stole it can't vouch for
    # its own releases.
    return Trust(
        release=Signers(keys=tuple(release)), evidence=Signers(keys=tuple(evidence or release))
    )


def shortfalls(policy: Policy, variant: VerifiedVariant, machine: Machine) -> Iterator[Shortfall]:
    """What a variant misses, each with the policy's own line."""
    if policy.device_class and variant.slot.device_class != policy.device_class:
        said = variant.slot.device_class or "no class"
        yield Shortfall(f'device_class = "{policy.device_class}": it is for {said}', False)
    asked, evidence = policy.evidence, variant.evidence
    wants_quality = asked.max_drop is not None or asked.min_recall
    if wants_quality and evidence is None:
        yield Shortfall("evidence: nothing that a trusted key signed says how good it is", True)
    elif evidence is not None:
        yield from _quality(asked, evidence)
    if asked.measured_here:
        here = policy.device_class or closest_target(machine).name
        places = {profile.target for profile in variant.profiles} | (
            {evidence.target} if evidence else set()
        )
        if here not in places:
            said = ", ".join(sorted(filter(None, places))) or "nowhere"
            yield Shortfall(
                f"evidence.measured_here = true: it was measured on {said}, and this device is"
                f' "{here}"',
                True,
            )


def _quality(asked: EvidencePart, evidence: Evidence) -> Iterator[Shortfall]:
    if asked.max_drop is not None:
        drop = upper_bound(evidence.quality.comparison, asked.confidence)
        if not drop <= asked.max_drop:
            yield Shortfall(
                f"evidence.max_drop = {asked.max_drop:g}: the drop may be {drop:.4f}", False
            )
    for name, least in asked.min_recall.items():
        counts = evidence.quality.classes.get(name)
        if counts is None:
            yield Shortfall(
                f"evidence.min_recall.{name} = {least:g}: no class of this name was measured", True
            )
            continue
        recall = share_lower_bound(counts.found, counts.found + counts.missed, asked.confidence)
        if not recall >= least:
            yield Shortfall(
                f"evidence.min_recall.{name} = {least:g}: the recall may be {recall:.4f}", False
            )
