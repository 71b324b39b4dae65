"""The reference of an .onnx: a bare ONNX Runtime session, behind the processor that its folder has.

Pictures go through the image processor that preprocessor_config.json names, texts through the
tokenizer that tokenizer_config.json names, as transformers loads them. A folder with neither has
only what task.json says, and no library to compare that with.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgekit.edge.tasks import Task, Tensors
from edgekit.edge.tasks.image_classification import ImageClassification
from edgekit.edge.tasks.text import TokenizerTask
from edgekit.quantize.huggingface import first_line
from edgekit.quantize.reference.raw import raw
from edgekit.quantize.source import Source
from edgekit.quantize.sources import source_task

# numpy's names of the number types that a graph's inputs have
NUMBERS = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16",
           "tensor(int32)": "int32", "tensor(int64)": "int64"}  # fmt: skip
HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
Encode = Callable[[Sequence[Any]], Tensors]


class OnnxReference:
    """An .onnx without graph optimizations; see Reference."""

    def __init__(self, source: Source, task: Task[Any]) -> None:
        import onnxruntime

        folder = Path(source.path)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._task = task
        self._encode, processor = _processor(folder, task, source_task(source.task).by_word)
        self.words = f"ONNX Runtime, no graph optimizations, behind {processor}"
        self.labels: tuple[str, ...] | None = None
        self.grey_level = _grey_level(folder)
        self.truncation_side = "right"

    def tensors(self, inputs: Sequence[Any]) -> Tensors | None:
        """Return what the folder's processor makes of the inputs; None where it has none."""
        return self._encode(inputs) if self._encode else None

    def is_cut(self, inputs: Sequence[Any]) -> list[bool]:
        """Say of no input that it was cut: the session gets what task.json allows."""
        return [False] * len(inputs)

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer each input."""
        feeds = (self._encode or self._task.encode)(inputs)
        given = {
            item.name: np.asarray(feeds[item.name], dtype=NUMBERS.get(item.type))
            for item in self._session.get_inputs()
            if item.name in feeds
        }
        names = [item.name for item in self._session.get_outputs()]
        outputs = dict(zip(names, self._session.run(names, given), strict=True))
        return self._task.answers(outputs, feeds)


def _processor(folder: Path, task: Task[Any], by_word: bool) -> tuple[Encode | None, str]:
    """Return what makes tensors as the folder's own library does, and its name.

    Nothing, and what task.json says, where there is none that can be loaded.
    """
    try:
        if (
            isinstance(task, ImageClassification)
            and (folder / "preprocessor_config.json").is_file()
        ):
            return _image_processor(folder), "the image processor that its folder names"
        if isinstance(task, TokenizerTask) and (folder / "tokenizer_config.json").is_file():
            return _tokenizer(folder, by_word), "the tokenizer that its folder names"
    except Exception as error:  # noqa: BLE001 - transformers raises anything for a strange folder
        reason = first_line(error)
        return None, f"task.json alone (transformers can't load the folder's processor: {reason})"
    return None, "task.json alone (its folder names no processor to compare with)"


def _image_processor(folder: Path) -> Encode:
    from PIL import Image, ImageOps
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, use_fast=False, **HERE)
    name = _described(folder).get("input", "pixel_values")

    def encode(inputs: Sequence[bytes]) -> Tensors:
        # as a transformers pipeline opens a picture
        opened = [ImageOps.exif_transpose(Image.open(io.BytesIO(data))) for data in inputs]
        made = [
            # without the last word it would take the first of three rows for a colour
            processor(
                images=image.convert("RGB"), return_tensors="np", input_data_format="channels_last"
            )["pixel_values"][0]
            for image in opened
        ]
        return {name: np.stack(made).astype(np.float32)}

    return encode


def _tokenizer(folder: Path, by_word: bool) -> Encode:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, **HERE)
    longest = _described(folder)["max_length"]

    def encode(inputs: Sequence[Any]) -> Tensors:
        encoded = tokenizer(
            [raw(value) for value in inputs],
            padding=True,
            truncation=True,
            max_length=longest,
            is_split_into_words=by_word,
            return_tensors="np",
        )
        feeds = dict(encoded)
        if by_word:
            feeds["words"] = np.stack(
                [_first_tokens(encoded.word_ids(row)) for row in range(len(inputs))]
            )
            feeds["counts"] = np.array([len(value.spans) for value in inputs])
        return feeds

    return encode


def _first_tokens(word_ids: Sequence[int | None]) -> np.ndarray:
    """Mark the first token of each word with the word's number, the others with -1."""
    before = [None, *word_ids]
    return np.array(
        [
            -1 if word is None or word == last else word
            for word, last in zip(word_ids, before, strict=False)
        ]
    )


def _described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((folder / "task.json").read_bytes())
    return found


def _grey_level(folder: Path) -> float:
    """Return how far apart two neighbouring grey levels are in the tensor: of 255, over std."""
    path = folder / "task.json"
    deviations = _described(folder).get("std", [1.0]) if path.is_file() else [1.0]
    return 1 / 255 / min(deviations)
