"""The last compile step: what an engine makes of a slot on this very device, once, at deploy.

An NPU's blob or a TensorRT engine takes minutes to make and fits one device with one driver. It is
made from the signed files, kept in the slot's folder as `compiled/`, and hashed at every load,
since it is native code. It is void with another engine or driver, and then the engine compiles anew
at every start, until the bundle is deployed again.
"""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from edgekit import log
from edgekit.digests import describe_bytes
from edgekit.edge.engines import Compiled, accelerator, load_compiler, require_engine
from edgekit.edge.model.slot import check_slot
from edgekit.errors import EdgekitError, Misfit, MissingPackage, Refused
from edgekit.files import new_folder
from edgekit.job import Progress, run_job
from edgekit.nouns import File, Noun, Setting, Slot, Unreadable, read_json
from edgekit.targets import all_targets
from edgekit.targets.detect import detect_machine

FOLDER, RECORD = "compiled", "compiled.json"
SECONDS = 3600.0  # compilers for accelerators have taken ten minutes for models that are not large


class Made(Noun, frozen=True, kw_only=True):
    """What lies in `compiled/`, and for what it was made.

    slot: BLAKE3 of every file of the slot.
    setting: the engine's setting.
    engine: the engine that compiled.
    engine_version: the version of the engine.
    place: the machine, the device and its driver.
    files: what was compiled, with digests.
    """

    slot: tuple[str, ...]
    setting: Setting
    engine: str
    engine_version: str
    place: str
    files: tuple[File, ...]


def needs_device_compile(slot: Slot) -> bool:
    """Tell whether a slot gets a last compile step on the device that runs it.

    It does where it runs on an accelerator and its device class names its engine for such a step.
    """
    target = all_targets().get(slot.device_class)
    return (
        bool(accelerator(slot.setting))
        and target is not None
        and target.compile_on_device == slot.engine
    )


def compile_slot(folder: Path, slot_sha256: str, progress: Progress) -> None:
    """Do the last compile step in a process of its own, unless it was done.

    Raises Misfit if it fails, Refused, and MissingPackage.
    """
    with tempfile.TemporaryDirectory(prefix="edgekit-compile-") as scratch:
        try:
            request = {"folder": str(folder.resolve()), "slot_sha256": slot_sha256}
            run_job(
                "edgekit.edge.model.device_compile:compile_job",
                request,
                Path(scratch) / "log",
                progress,
                SECONDS,
            )
        except (Refused, MissingPackage):
            raise
        except EdgekitError as error:
            message = error.reason
            raise Misfit(f"the model can't be compiled here: {message}") from None


def compile_job(request: dict[str, str], progress: Progress) -> object:
    """Compile the slot that a request names; return whether there was something to do.

    request: the `folder` of a slot and the `slot_sha256` of its record.
    """
    folder = Path(request["folder"])
    slot = check_slot(folder, request["slot_sha256"])
    if read_compiled(folder, slot) is not None:
        return False
    for left in folder.glob(f".{FOLDER}.*"):  # by a process that was killed
        shutil.rmtree(left)
    compiled = load_compiler(slot.engine).compile_here(folder, slot.setting, progress)
    with new_folder(folder / FOLDER) as work:
        for name, data in compiled.items():
            (work / name).write_bytes(data)
        files = tuple(describe_bytes(data, name) for name, data in compiled.items())
        (work / RECORD).write_bytes(made_for(slot, files).to_json())
    return True


def made_for(slot: Slot, files: tuple[File, ...]) -> Made:
    """Return the record of what is made of a slot here and now; imports the engine."""
    machine, engine = detect_machine(), load_compiler(slot.engine)
    return Made(
        slot=tuple(file.blake3 for file in slot.files),
        setting=slot.setting,
        engine=slot.engine,
        engine_version=require_engine(slot.engine),
        place="; ".join(
            [machine.board or machine.cpu, " ".join(machine.isa), engine.device(slot.setting)]
        ),
        files=files,
    )


def read_compiled(folder: Path, slot: Slot) -> Compiled | None:
    """Return what was compiled of a slot, hashed again; None where it can't be used.

    It can't where it is void, or gone, or not what was made; a line on stderr then says which.
    """
    if not (folder / FOLDER).is_dir():
        if needs_device_compile(slot):
            log.warning("%s: not compiled for this device; deploy the bundle again", folder)
        return None
    found = _sound(folder)
    if found is None:
        reason = "changed since it was made"
    elif found.made != made_for(slot, found.made.files):
        reason = "made with another engine, driver or device"
    else:
        return found.compiled
    log.warning("%s: %s, so it is not used; deploy the bundle again", folder / FOLDER, reason)
    return None


def forget(folder: Path) -> None:
    """Remove what was compiled of a slot."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


def is_rotten(folder: Path) -> bool:
    """Whether a slot has something compiled that is not what was made."""
    return (folder / FOLDER).is_dir() and _sound(folder) is None


class _Found(NamedTuple):
    made: Made
    compiled: Compiled


def _sound(folder: Path) -> _Found | None:
    """Return the record and the contents of what was compiled, if they fit together; else None.

    What was hashed is what will be loaded: files are read once.
    """
    try:
        data = (folder / FOLDER / RECORD).read_bytes()
        made = read_json(data, Made)
        compiled = {file.path: (folder / FOLDER / file.path).read_bytes() for file in made.files}
    except (OSError, Unreadable):
        return None
    # The record is this version's own: one that would be written otherwise was changed.
    is_same = made.to_json() == data and all(
        describe_bytes(compiled[file.path], file.path) == file for file in made.files
    )
    return _Found(made, compiled) if is_same else None
