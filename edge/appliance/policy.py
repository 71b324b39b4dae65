"""The policy of a device: policy.toml in the appliance folder, else /etc/edgekit/policy.toml.

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

GOLDEN_SECONDS = 300.0  # for a model to load and answer its golden samples
SYSTEM = Path("/etc/edgekit/policy.toml")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Confidence = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class KeysPart(Noun, frozen=True, kw_only=True):
    """The part [keys]: public keys by role.

    release: files of the keys that may sign releases.
    evidence: files of the keys that may sign evidence; those of releases if there are none.
    """

    release: list[str]
    evidence: list[str] = []


class EvidencePart(Noun, frozen=True, kw_only=True):
    """The part [evidence]: what must have been measured.

    max_drop: the largest drop of the metric, as an upper bound, 0 to 1.
    min_recall: the least recall by class, as a lower bound, 0 to 1.
    confidence: of these bounds, 0 to 1.
    measured_here: whether a measurement on this device class is needed.
    unmeasured: whether a variant that lacks a measurement is refused, or staged to be profiled.
    """

    max_drop: Share | None = None
    min_recall: dict[str, Share] = {}
    confidence: Confidence = 0.95
    measured_here: bool = False
    unmeasured: Literal["refuse", "stage"] = "refuse"


class WatchPart(Noun, frozen=True, kw_only=True):
    """The part [watch]: the watch window after a switch.

    seconds: of healthy serving until a new slot is kept; 0 for no window.
    starts: how often its worker may be started in that time.
    golden_seconds: what a model may take to load and answer its golden samples, in seconds.
    """

    seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    starts: Annotated[int, msgspec.Meta(ge=1)] = 3
    golden_seconds: Positive = GOLDEN_SECONDS


class Policy(Noun, frozen=True, kw_only=True):
    """A whole policy.toml; its defaults are what a device without one demands.

    device_class: the only class that bundles may be for; None for any.
    memory_mb: what all models together may need, in MB; None for no limit.
    min_free_mb: what is left free on the disk, in MB.
    keys: who may sign, instead of --trust; None where the policy does not say.
    evidence: what must have been measured.
    watch: the watch window after a switch.
    """

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
    """A line of the policy that a variant misses.

    text: the line, and what is the case instead.
    is_unmeasured: True where a measurement is missing, False where one says no.
    """

    text: str
    is_unmeasured: bool


def policy_file(root: Path) -> Path | None:
    """Return the file that holds the policy of an appliance, None where there is none."""
    return next((path for path in (root / "policy.toml", SYSTEM) if path.is_file()), None)


def load_policy(root: Path) -> Policy:
    """Return the policy of an appliance; raises InputError."""
    path = policy_file(root)
    return read_toml(path, Policy, PARTS, "") if path else Policy()


def policy_trust(root: Path, policy: Policy) -> Trust | None:
    """Return the keys that the policy names, None where it names none; raises InputError."""
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
    """Yield what a variant misses, each with the policy's own line."""
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
    """Yield the limits on quality that the evidence does not show to be kept."""
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
