"""Models on the null engine: three numbers in, one of three labels out, made of two small files.

Or a text in, with a tokenizer of a dozen words: see `write_text`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

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
WORDS = ["pump", "leak", "hose", "belt", "slip", "noise", "bearing", "hot", "##s"]
MAX_LENGTH = 12  # tokens that a model of texts takes
Write = Callable[..., Path]


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


def tokenizer(*, has_template: bool = True) -> Tokenizer:
    """Make a tokenizer of WORDS, a plural being two tokens.

    has_template: it puts a special token at either end.
    """
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if has_template:
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return made


def write_text(
    folder: Path,
    *,
    task: str = "text-classification",
    has_template: bool = True,
    config: Mapping[str, object] | None = None,
    **description: Any,  # noqa: ANN401 - fields of null.json
) -> Path:
    """Write the files of a model of texts that answers with LABELS, or with a vector.

    config: more of task.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer(has_template=has_template).save(str(folder / "tokenizer.json"))
    vector = task == "feature-extraction"
    said = {
        "task": task,
        "max_length": MAX_LENGTH,
        "pad_id": 0,
        "pad_token": "[PAD]",
        **({"dimensions": len(LABELS), "output": "logits"} if vector else {"labels": LABELS}),
        **(config or {}),
    }
    (folder / "task.json").write_text(json.dumps(said))
    by_word = {"per_token": task == "token-classification"}
    (folder / "null.json").write_text(json.dumps({"width": len(LABELS), **by_word, **description}))
    return folder


def text_model(folder: Path, *, batch_size: int = 1, **given: Any) -> Model:  # noqa: ANN401
    """Return an open model of texts; given: as `write_text` takes it."""
    return open_model(write_text(folder, **given), "null", Setting(batch_size=batch_size))


def model(folder: Path, *, streams: int = 1, batch_size: int = 1, **description: Any) -> Model:  # noqa: ANN401
    """Return an open model."""
    write(folder, **description)
    return open_model(folder, "null", Setting(streams=streams, batch_size=batch_size))


def write_slot(
    folder: Path,
    setting: Setting | None = None,
    *,
    shift: float = 0.0,
    files: Write = write,
    inputs: Sequence[object] = INPUTS,
    **description: Any,  # noqa: ANN401
) -> str:
    """Write a slot as the store holds it; return the digest of its slot.json.

    shift: what the golden samples' answers are off. files: what writes the model's files.
    """
    setting = setting or Setting()
    files(folder, **description)
    opened = open_model(folder, "null", setting)
    parsed = [opened.task.parse(value) for value in inputs]
    golden = Golden(
        inputs=list(inputs),
        answers=[(row + shift).tolist() for row in opened.answers(parsed)],
        labels=list(opened.task.labels),
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
