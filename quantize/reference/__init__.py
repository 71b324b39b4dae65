"""The reference: what the user's own library answers to raw inputs.

A Hugging Face folder is loaded by transformers' Auto classes or by sentence-transformers, and an
.onnx by a bare ONNX Runtime session behind the processor that its folder names. None of edgekit's
own reading is in it where a library has one, so that a wrong reading can't agree with itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edgekit.edge.tasks import Task, Tensors
from edgekit.quantize.source import Source


class Reference(Protocol):
    """What answers raw inputs as the user's own library does.

    words: what answers, for people.
    labels: what an answer's last axis stands for as the library reads it; None where it has no say.
    truncation_side: where it cuts what is too long, "right" or "left".
    grey_level: how far apart two neighbouring grey levels are in the tensor of a picture.
    """

    words: str
    labels: tuple[str, ...] | None
    truncation_side: str
    grey_level: float

    def tensors(self, inputs: Sequence[Any]) -> Tensors | None:
        """Return what the library makes of inputs for its model; None where there is no library."""

    def is_cut(self, inputs: Sequence[Any]) -> list[bool]:
        """Tell of each input whether the library cuts it, since it is too long."""

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer each input (see Task)."""


def reference_of(source: Source, task: Task[Any], max_length: int | None = None) -> Reference:
    """Return what answers as the source's own library does; raises InputError.

    max_length: where inputs are cut, in tokens, as the spec says; None: as the folder says.
    """
    if source.kind == "huggingface":
        from edgekit.quantize.reference.huggingface import HuggingFaceReference

        return HuggingFaceReference(source, task, max_length)
    if source.kind == "onnx":
        from edgekit.quantize.reference.onnx import OnnxReference

        return OnnxReference(source, task)
    from edgekit.quantize.reference.own import LlamaReference

    return LlamaReference(source, task)


def library_of(folder: Path, pools: bool) -> str:
    """Name the library that a Hugging Face folder was made for."""
    is_embedder = pools and (folder / "modules.json").is_file()
    return "sentence-transformers" if is_embedder else "transformers"


if TYPE_CHECKING:
    from edgekit.quantize.reference.huggingface import HuggingFaceReference
    from edgekit.quantize.reference.onnx import OnnxReference
    from edgekit.quantize.reference.own import LlamaReference

    _CHECKED: tuple[type[Reference], ...] = (HuggingFaceReference, OnnxReference, LlamaReference)
