"""What lies beside task.json and says the same things: it must not contradict it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from edgekit.edge.tasks import find_task
from edgekit.errors import InputError
from edgekit.quantize.config_json import read_object
from edgekit.quantize.folder import keys
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task

# Pillow's numbers of its filters
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
NEAR = 1e-4  # of a mean or a divisor, which people round
# key: what edgekit does not do with a picture, though the processor would
ONLY_THERE = {
    "do_center_crop": "crops",
    "do_pad": "pads",
    "do_flip_channel_order": "swaps the channels",
    "do_thumbnail": "shrinks first",
    "do_align_long_axis": "turns pictures",
    "do_grayscale": "makes pictures grey",
    "do_crop_margin": "crops margins",
    "keep_aspect_ratio": "keeps the proportions",
    "include_top": "divides by the squared deviation",
    "offset": "moves the range of pixels",
    "rescale_offset": "moves the range of pixels",
}


def compare_with_task(source: Source, out: Path) -> list[str]:
    """Compare what lies in a source's folder with the task that was written to `out`.

    Returns warnings; raises InputError for files of the user that contradict each other.
    """
    folder, is_own = Path(source.path), source.kind != "huggingface"
    config = find_task(source.task, "task").Config
    # with what is left out
    task = msgspec.to_builtins(msgspec.convert(read_object(out / "task.json"), config))
    kind = source_task(source.task).kind
    if kind == "picture":
        return compare_preprocessor(folder, task)
    if kind == "text" and (folder / "tokenizer.json").is_file():
        where = folder / ("task.json" if is_own else "tokenizer_config.json")
        return compare_sections(folder / "tokenizer.json", task, where, own=is_own)
    return []


def compare_sections(tokenizer: Path, task: dict[str, Any], where: Path, *, own: bool) -> list[str]:
    """Compare what tokenizer.json itself says about cutting and padding with the task.

    where: the file that the task's settings come from, for the messages.
    own: the user wrote the task; otherwise the library chose between the files, as it does for the
        user. Returns warnings; raises InputError where the user's two files contradict each other.
    """
    held = read_object(tokenizer)
    if (held.get("model") or {}).get("dropout"):
        raise InputError(f"{tokenizer}: model.dropout cuts words at random; set it to null")
    truncation, padding = held.get("truncation") or {}, held.get("padding") or {}
    warnings = []
    for key, said, name in (
        ("truncation.direction", str(truncation.get("direction", "")).lower(), "truncation_side"),
        ("padding.direction", str(padding.get("direction", "")).lower(), "padding_side"),
        ("padding.pad_id", padding.get("pad_id"), "pad_id"),
        ("padding.pad_token", padding.get("pad_token"), "pad_token"),
        ("truncation.max_length", truncation.get("max_length"), "max_length"),
    ):
        if said in ("", None) or name not in task or said == task[name]:
            continue
        line = f"{tokenizer}: {key} = {said!r} and {where}: {name} = {task[name]!r}"
        if own and name != "max_length":
            raise InputError(f"{line} contradict each other; make them agree")
        warnings.append(f"{line}: the latter is what counts")
    return warnings


def compare_preprocessor(folder: Path, task: dict[str, Any]) -> list[str]:
    """Compare preprocessor_config.json with task.json, where a picture's folder has both.

    Returns warnings; raises InputError for a contradiction, with the keys of both files.
    """
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return []
    said = read_object(path)
    for key, value in said.items():
        rule = keys.PREPROCESSOR.get(key)
        if rule and rule.verdict == "refused" and value not in rule.harmless:
            raise InputError(f"{path}: {key}: {rule.why}")
    for key, what in ONLY_THERE.items():
        if said.get(key):
            raise InputError(
                f"{path}: {key}: the processor {what}, which no key of task.json does; make it part"
                " of the graph, and remove the key"
            )
    for key, name, right in _expected(path, said):
        if not _same(task[name], right):
            raise InputError(
                f"{path}: {key} and {folder / 'task.json'}: {name} contradict each other; for this"
                f" processor it is {name} = {right!r}"
            )
    return [
        f"{path}: {key}: edgekit does not know this key and passes over it"
        for key in said
        if key not in keys.PREPROCESSOR
    ]


def _expected(path: Path, said: dict[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Yield what task.json must say for this processor: the processor's key, the task's, a value.

    A pixel becomes (pixel * factor - mean) / deviation there, and (pixel / 255 - mean) / std here.
    """
    if said.get("do_resize", True):
        yield from _expected_size(path, said.get("size"))
        if isinstance(said.get("resample"), int):
            yield "resample", "resample", FILTERS.get(said["resample"], "unknown")
    factor: Any = said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0
    normalizes = said.get("do_normalize", True)
    mean, deviation = (said.get("image_mean"), said.get("image_std")) if normalizes else (0.0, 1.0)
    try:
        scale = 255 * float(factor)
        for key, name, value in (("image_mean", "mean", mean), ("image_std", "std", deviation)):
            if value is not None:
                yield key, name, [round(number / scale, 6) for number in _numbers(value)]
    except (TypeError, ValueError, ZeroDivisionError):
        raise InputError(
            f"{path}: rescale_factor, image_mean, image_std: must be numbers"
        ) from None
    if said.get("do_convert_rgb"):
        yield "do_convert_rgb", "channels", 3


def _expected_size(path: Path, size: object) -> Iterator[tuple[str, str, object]]:
    if isinstance(size, int):
        size = {"height": size, "width": size}
    if not isinstance(size, dict):
        return
    if not {"height", "width"} <= set(size):
        raise InputError(
            f"{path}: size: {', '.join(size)}: the processor keeps a picture's proportions, and"
            " task.json has height and width, which do not; make it part of the graph, or remove"
            " the file if the model was trained without it"
        )
    for name in ("height", "width"):
        yield f"size.{name}", name, size[name]


def _numbers(value: object) -> list[float]:
    listed: list[Any] = list(value) if isinstance(value, list | tuple) else [value]
    return [float(item) for item in listed]


def _same(said: object, right: object) -> bool:
    """Compare two settings; one number stands for all channels."""
    if not isinstance(right, list):
        return said == right
    have = _numbers(said)
    count = max(len(have), len(right))
    have, want = (have * count)[:count], (right * count)[:count]
    return all(
        math.isclose(one, other, abs_tol=NEAR) for one, other in zip(have, want, strict=True)
    )
