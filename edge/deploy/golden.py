"""The golden check of a deploy: a slot answers its golden samples in a process of its own."""

import tempfile
from pathlib import Path

import msgspec

from edgekit.edge.model.health import Health, ailment
from edgekit.edge.model.slot import read_slot
from edgekit.errors import EdgekitError, Misfit
from edgekit.job import run_job


def check_golden(folder: Path, slot_sha256: str, seconds: float) -> None:
    """Let a slot answer its golden samples; raises Misfit if it is not healthy.

    folder: of the slot.
    slot_sha256: digest of slot.json as it was signed.
    seconds: how long loading and answering may take.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-golden-") as scratch:
        try:
            result = run_job(
                "edgekit.edge.model.health:golden_job",
                {"folder": str(folder.resolve()), "slot_sha256": slot_sha256},
                Path(scratch) / "log",
                seconds=seconds,
                profile="golden",
            )
        except EdgekitError as error:
            raise Misfit(f"the model does not run here: {error.reason}") from None
    if reason := ailment(read_slot(folder), msgspec.convert(result, Health)):
        raise Misfit(f"the model {reason}")
