"""Models on the null engine: three numbers in, one of three labels out, made of two small files."""

import json
from pathlib import Path
from typing import Any

from edgekit import __version__
from edgekit.digests import describe_folder, digest_bytes
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.model.tensor_model import Model, open_model
from edgekit.nouns import Golden, Setting, Slot
from edgekit.targets.detect import detect_machine

INPUTS: list[object] = [[1.0, 2.0, 3.0], [0.5, 0.0, -4.0]]
LABELS = ["sound", "worn", "leaking"]
FEATURES = ["vibration", "temperature", "pressure"]


def write(folder: Path, **description: Any) -> Path:  # noqa: ANN401 - fields of null.json
    """Write a model's files.

    description: that of the null engine (see edgekit.edge.engines.null).
    """
    folder.mkdir(parents=True, exist_ok=True)
    task = {
        "task": "tabular-classification",
        "labels": LABELS,
        "features": FEATURES,
        "output": "logits",
    }
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "null.json").write_text(json.dumps({"width": len(LABELS), **description}))
    return folder


def model(folder: Path, *, streams: int = 1, batch_size: int = 1, **description: Any) -> Model:  # noqa: ANN401
    """Return an open model."""
    write(folder, **description)
    return open_model(folder, "null", Setting(streams=streams, batch_size=batch_size))


def write_slot(
    folder: Path,
    setting: Setting | None = None,
    *,
    shift: float = 0.0,
    **description: Any,  # noqa: ANN401
) -> str:
    """Write a slot as the store holds it; return the digest of its slot.json.

    shift: what the golden samples' answers are off.
    """
    setting = setting or Setting()
    write(folder, **description)
    opened = open_model(folder, "null", setting)
    parsed = [opened.task.parse(value) for value in INPUTS]
    golden = Golden(
        inputs=INPUTS,
        answers=[(row + shift).tolist() for row in opened.answers(parsed)],
        labels=LABELS,
    )
    (folder / "golden.json").write_bytes(golden.to_json())
    slot = Slot(
        model="pumps",
        version="1.0.0",
        variant="null-fp32",
        format="null",
        precision="fp32",
        engine="null",
        engine_version=__version__,
        architecture=detect_machine().architecture,
        isa=(),
        setting=setting,
        golden_tolerance=1e-4,
        files=describe_folder(folder),
    )
    (folder / "slot.json").write_bytes(slot.to_json())
    return digest_bytes(slot.to_json())


def appliance(root: Path, setting: Setting | None = None, **description: Any) -> Path:  # noqa: ANN401
    """Make an appliance that serves a model on the null engine, as a deploy would leave it."""
    store = Store(root)
    with store.changing("a test"):
        folder = store.slot_folder("pumps", _ref(""))
        slot = _ref(write_slot(folder, setting, **description))
        with store.switching():
            store.point(Pointer(model="pumps", current=slot, proven=slot))
    return root


def _ref(slot_sha256: str) -> SlotRef:
    manifest = f"sha256:{'0' * 64}"
    return SlotRef(manifest=manifest, slot_sha256=slot_sha256, version="1.0.0", variant="null-fp32")
