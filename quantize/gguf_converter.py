"""A run of llama.cpp's reference converter on one folder, in a process of its own.

It needs its own process because it brings its own gguf package. It is started by
`edgekit.quantize.recipes.gguf_float` with the converter's folders first on PYTHONPATH and the
request on standard input. What the reference leaves out or guesses is set here: label names in
their order, the pooling, and a vocabulary that it can't describe.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from edgekit.nouns import Noun, read_json

Pooling = Literal["MEAN", "CLS", "LAST", "RANK"]


class Conversion(Noun, frozen=True, kw_only=True):
    """What the converter is asked.

    labels: of a classifier, in the order of its outputs; empty for an embedding model.
    file_type: as llama.cpp names it, such as MOSTLY_F16.
    numbers: more to be written into the file, by key.
    """

    folder: str
    architecture: str
    labels: list[str]
    pooling: Pooling
    file_type: str
    numbers: dict[str, int] = {}
    out: str


def main(arguments: Sequence[str]) -> None:
    """Convert."""
    asked = read_json(sys.stdin.buffer.read(), Conversion)
    import gguf
    import torch
    from conversion import get_model_class  # type: ignore[import-not-found]  # the converter's

    kind = _adapted(get_model_class(asked.architecture), asked, gguf)
    with torch.inference_mode():
        kind(Path(asked.folder), gguf.LlamaFileType[asked.file_type], Path(asked.out)).write()


def _adapted(reference: Any, asked: Conversion, gguf: Any) -> Any:  # noqa: ANN401 - classes of the reference
    """Derive the reference's class for this architecture, with what only we know."""

    class Encoder(reference):  # type: ignore[misc]  # known at run time only
        model_arch = reference.model_arch

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*arguments, **options)
            self.cls_out_labels = dict(enumerate(asked.labels))
            # ModernBERT's name for it; llama.cpp reads layer_norm_eps
            if "norm_eps" in self.hparams:
                self.hparams["layer_norm_eps"] = self.hparams.pop("norm_eps")

        def _try_set_pooling_type(self) -> None:
            self.gguf_writer.add_pooling_type(gguf.PoolingType[asked.pooling])
            if asked.labels and (first := self.hparams.get("classifier_pooling")):
                self.gguf_writer.add_classifier_pooling_type(gguf.PoolingType[first.upper()])

        def set_gguf_parameters(self) -> None:
            super().set_gguf_parameters()
            for key, number in asked.numbers.items():
                self.gguf_writer.add_uint32(key, number)

        def set_vocab(self) -> None:
            try:
                super().set_vocab()
            # an unknown pre-tokenizer; no sentencepiece
            except (NotImplementedError, ImportError) as error:
                print(
                    f"the vocabulary is left out ({error}): the task's own tokenizer makes the"
                    " tokens"
                )
                _leave_out_vocabulary(self.gguf_writer, self.hparams, gguf)

    return Encoder


def _leave_out_vocabulary(writer: Any, hparams: dict[str, Any], gguf: Any) -> None:  # noqa: ANN401
    """Remove the vocabulary from the file, all but the number of tokens."""
    keys = writer.kv_data[0]
    for key in [key for key in keys if key.startswith("tokenizer.")]:
        del keys[key]
    writer.add_tokenizer_model("none")
    writer.add_token_type_count(hparams.get("type_vocab_size", 1))
    if gguf.Keys.LLM.VOCAB_SIZE.format(arch=writer.arch) not in keys:
        writer.add_vocab_size(hparams["vocab_size"])
