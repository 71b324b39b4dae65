"""Measuring on another machine: what is sent there for a profile, and what the agent there does.

The link is edgekit.edge.deploy.ssh's; `edgekit profile --agent` is its other end. The agent stages
the bundle in a temporary folder and runs the same code as a local profile.
"""

from pathlib import Path

from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.deploy.agent import Service, agent_main
from edgekit.edge.deploy.ssh import Device, Tell, ask
from edgekit.errors import InputError
from edgekit.nouns import Noun, Profiles
from edgekit.profiles.profile import Wish, collect_inputs, measure
from edgekit.profiles.subjects import stage, staging_folder

BUNDLE, KEY, INPUTS = "bundle.tar", "key.pub", "inputs.json"


class Header(Noun, frozen=True, kw_only=True):
    """The request to the agent.

    wish: what the user asked `edgekit profile` for.
    said: what the inputs are, for the report; "" where the golden samples are the inputs.
    """

    wish: Wish
    said: str


def measure_there(
    device: Device, bundle: Path, key: Path, wish: Wish, inputs: Path | None, said: str, tell: Tell
) -> Profiles:
    """Measure a bundle's variants on a device.

    bundle: one .tar file.
    key: public key or trust file that the bundle is checked with there.
    inputs: what is measured with; None for the golden samples.
    said: what the inputs are, for the report.

    Raises what the agent raised, or JobFailed if the link fails.
    """
    if not bundle.is_file():
        raise InputError(f"{bundle}: to be sent to a device a bundle must be one .tar file")
    files = {BUNDLE: bundle, KEY: key} | ({INPUTS: inputs} if inputs else {})
    header = Header(wish=wish, said=said)
    return ask(device, ["profile", "--agent"], header, files, Profiles, tell)


def serve_profiles() -> None:
    """Serve one request of `measure_there` on standard input and output."""
    agent_main(
        Service(
            request=Header, files=(BUNDLE, KEY, INPUTS), folder=staging_folder, work=_measure_here
        )
    )


def _measure_here(header: Header, work: Path, tell: Tell) -> Profiles:
    """Measure the bundle that was sent, on the machine that this runs on."""
    staged = stage(work / BUNDLE, header.wish.variants, open_trust(work / KEY), work)
    inputs, said = work / INPUTS, header.said
    if not inputs.is_file():
        inputs, said = collect_inputs(staged[0], None, (), work)
    return measure(staged, header.wish, inputs, said, work, tell)
