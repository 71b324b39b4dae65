"""A slot's folder: its record, and whether its files are still what was deployed."""

from pathlib import Path

import msgspec

from edgekit.digests import digest_bytes, fast_digest
from edgekit.edge.engines import accelerator
from edgekit.errors import InputError, Refused
from edgekit.nouns import Setting, Slot, Unreadable, read_json
from edgekit.targets.detect import usable_cores


def read_slot(folder: Path) -> Slot:
    """Read the `slot.json` of a slot, with its setting shared out anew among this machine's cores.

    Raises InputError.
    """
    path = folder / "slot.json"
    try:
        slot = read_json(path.read_bytes(), Slot)
    except FileNotFoundError:
        raise InputError(f"{folder}: not a slot: it has no slot.json") from None
    except Unreadable as error:
        raise InputError(f"{path}: {error}") from None
    return msgspec.structs.replace(
        slot, setting=shared_out(slot.setting, slot.cores, usable_cores())
    )


def shared_out(setting: Setting, cores: int, here: int) -> Setting:
    """Share a setting out anew among the cores of this machine.

    cores: those of the machine that found the setting; 0 where they are not known.

    What took all cores takes all of them here; nothing takes more than there are. Batch size and
    precision stay as they were judged: answers may depend on them. An accelerator has no cores.
    """
    if accelerator(setting):
        return setting
    streams = here if setting.streams == cores > 1 else min(setting.streams, here)
    takes_all = setting.streams * setting.threads == cores
    most = max(1, here // streams)
    return msgspec.structs.replace(
        setting,
        streams=streams,
        threads=most if takes_all and cores > 1 else min(setting.threads, most),
    )


def check_slot(folder: Path, slot_sha256: str | None = None) -> Slot:
    """Hash every file of a slot again (BLAKE3); returns its record.

    slot_sha256: of slot.json, as the store's pointer has it. Raises Refused if a file is not what
    was deployed.
    """
    slot = read_slot(folder)
    if slot_sha256 and digest_bytes((folder / "slot.json").read_bytes()) != slot_sha256:
        raise Refused(
            f"{folder / 'slot.json'}: changed since it was deployed; deploy the bundle again"
        )
    for file in slot.files:
        path = folder / file.path
        if (
            not path.is_file()
            or path.stat().st_size != file.size
            or fast_digest(path) != file.blake3
        ):
            raise Refused(
                f"{path}: changed since it was deployed; deploy the bundle again, or: edgekit"
                " rollback"
            )
    return slot
