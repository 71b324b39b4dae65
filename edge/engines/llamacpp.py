"""The engine llama.cpp, by llama-cpp-python's low-level API: classifiers and sentence embeddings.

The tokens come from the task's own tokenizer, so that every engine sees the same ids. A text is one
sequence of a batch. The file says how a text becomes one vector: pooling RANK runs the
classification head; MEAN, CLS and LAST give the embedding, not normalized.
"""

import ctypes
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp
import numpy as np

from edgekit.edge.engines import TensorSession
from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError
from edgekit.nouns import Setting

MAX_TOKENS = 512  # of one engine call: attention costs their square, over all sequences together
MAX_SEQUENCES = 64
SHOWN = (3, 4)  # of llama.cpp's messages: warnings and errors
# In the file: the token that has no position in a text, and that moves those behind it.
NO_POSITION = "edgekit.token_without_position"
POOLINGS = (
    llama_cpp.LLAMA_POOLING_TYPE_MEAN,
    llama_cpp.LLAMA_POOLING_TYPE_CLS,
    llama_cpp.LLAMA_POOLING_TYPE_LAST,
    llama_cpp.LLAMA_POOLING_TYPE_RANK,
)


class LlamaSession:
    """A model of llama.cpp with a context for every calling thread.

    A context runs one call at a time.
    """

    def __init__(self, path: Path, setting: Setting) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = bool(setting.options.get("extra_bufts", True))
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise RuntimeError(f"llama.cpp can't load {path.name}")
        self._longest = llama_cpp.llama_model_n_ctx_train(self._model)
        self._threads = setting.threads or os.cpu_count() or 1
        self._own = threading.local()
        self._pooling = self._find_pooling(path)
        self._no_position = int(self._metadata(NO_POSITION) or -1)
        self._name, self._outputs = (
            ("logits", llama_cpp.llama_model_n_cls_out(self._model))
            if self._pooling == llama_cpp.LLAMA_POOLING_TYPE_RANK
            else ("sentence_embedding", llama_cpp.llama_model_n_embd(self._model))
        )

    def _find_pooling(self, path: Path) -> int:
        """Return how the tokens become one vector, as the file says.

        A classifier of a converter that leaves it out still names its labels, so labels mean RANK.
        """
        if llama_cpp.llama_model_cls_label(self._model, 0):
            return int(llama_cpp.LLAMA_POOLING_TYPE_RANK)
        pooling = self._metadata(f"{self._metadata('general.architecture')}.pooling_type")
        if pooling not in map(str, POOLINGS):
            raise RuntimeError(f"{path.name} says neither labels nor how the tokens are pooled")
        return int(pooling)

    def _metadata(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(100)
        found = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode(errors="replace") if found >= 0 else ""

    def _context(self, tokens: int) -> llama_cpp.llama_context_p:
        """Return this thread's context, with room for `tokens`.

        It is made anew, at least twice as large, when a longer text comes.
        """
        room = getattr(self._own, "tokens", MAX_TOKENS)
        while room < tokens:
            room *= 2
        if room != getattr(self._own, "tokens", 0):
            if hasattr(self._own, "context"):
                llama_cpp.llama_free(self._own.context)
                del self._own.context, self._own.tokens
            self._own.context = self._make_context(room)
            self._own.tokens = room
        return self._own.context

    def _make_context(self, tokens: int) -> llama_cpp.llama_context_p:
        params = llama_cpp.llama_context_default_params()
        params.n_batch = params.n_ubatch = tokens
        params.n_ctx = self._longest  # of a cache that encoders do not have
        params.kv_unified = True
        params.n_seq_max = MAX_SEQUENCES
        params.n_threads = params.n_threads_batch = self._threads
        params.embeddings = True
        params.pooling_type = self._pooling
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise RuntimeError("llama.cpp can't make a context for this model")
        return context

    def run(self, feeds: Tensors) -> Tensors:
        """Return "logits" or "sentence_embedding", float32; raises InputError.

        Their shapes are [batch, labels] and [batch, dimensions].
        """
        mask = feeds["attention_mask"].astype(bool)
        texts = [ids[keep] for ids, keep in zip(feeds["input_ids"], mask, strict=True)]
        if any((text == self._no_position).any() for text in texts):
            raise InputError(
                "the text spells the padding token, which llama.cpp reads otherwise than this"
                " model was trained; the ONNX and OpenVINO variants answer such a text"
            )
        rows = np.empty((len(texts), self._outputs), dtype=np.float32)
        for start, stop, tokens in self._pack([len(text) for text in texts]):
            rows[start:stop] = self._call(texts[start:stop], tokens)
        return {self._name: rows}

    def _pack(self, lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Yield the parts of a batch that run at once, each as (start, stop, number of tokens).

        Texts stay in their order, and as many as fit into MAX_TOKENS go together. A longer one goes
        alone.
        """
        start = tokens = 0
        for stop, length in enumerate(lengths):
            if length > self._longest:
                raise ValueError(f"a text has {length} tokens, and the model takes {self._longest}")
            if stop > start and (tokens + length > MAX_TOKENS or stop - start == MAX_SEQUENCES):
                yield start, stop, tokens
                start, tokens = stop, 0
            tokens += length
        if lengths:
            yield start, len(lengths), tokens

    def _call(self, texts: Sequence[np.ndarray], tokens: int) -> np.ndarray:
        context = self._context(tokens)
        batch = llama_cpp.llama_batch_init(tokens, 0, 1)
        try:
            batch.n_tokens = tokens
            place = 0
            for sequence, ids in enumerate(texts):
                for position, token in enumerate(ids.tolist()):
                    batch.token[place] = token
                    batch.pos[place] = position
                    batch.n_seq_id[place] = 1
                    batch.seq_id[place][0] = sequence
                    batch.logits[place] = 1
                    place += 1
            if code := llama_cpp.llama_encode(context, batch):
                raise RuntimeError(f"llama_encode returned {code}")
            rows = [
                llama_cpp.llama_get_embeddings_seq(context, sequence)
                for sequence in range(len(texts))
            ]
            return np.stack([np.ctypeslib.as_array(row, shape=(self._outputs,)) for row in rows])
        finally:
            llama_cpp.llama_batch_free(batch)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: object) -> None:
    if level in SHOWN:
        sys.stderr.write(text.decode(errors="replace"))


def start_backend() -> None:
    """Call before anything else of llama.cpp.

    llama-cpp-python's own logging prints every key of the file, takes each level for another one
    (errors are lost), and stumbles over texts that llama.cpp has cut within a letter.
    """
    llama_cpp.llama_log_set(_log, None)
    llama_cpp.llama_backend_init()


def load(folder: Path, setting: Setting) -> TensorSession:
    """Load model.gguf from `folder`.

    The option `extra_bufts` lets llama.cpp repack weights for this CPU (AMX and the like).
    """
    start_backend()
    return LlamaSession(folder / "model.gguf", setting)
