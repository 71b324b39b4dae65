"""llama.cpp, through llama-cpp-python's low-level API: encoders with a classification head.

The tokens come from the task's own tokenizer, so that every engine sees the same ids. A text is one sequence of a
batch; pooling RANK runs the classification head on each sequence's first token.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import llama_cpp
import numpy as np

from edgekit.edge.engines import Session
from edgekit.edge.tasks import Tensors
from edgekit.nouns import Setting

MAX_TOKENS = 512  # of one engine call: attention costs their square, over all sequences together
MAX_SEQUENCES = 64


class LlamaSession:
    """One model; a context for every calling thread, as a context runs one call at a time."""

    def __init__(self, path: Path, setting: Setting) -> None:
        params = llama_cpp.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = bool(setting.options.get("extra_bufts", True))
        self._model = llama_cpp.llama_model_load_from_file(os.fsencode(path), params)
        if not self._model:
            raise RuntimeError(f"llama.cpp can't load {path.name}")
        self._tokens = max(MAX_TOKENS, llama_cpp.llama_model_n_ctx_train(self._model))
        self._outputs = llama_cpp.llama_model_n_cls_out(self._model)
        self._threads = setting.threads
        self._own = threading.local()

    def _context(self) -> llama_cpp.llama_context_p:
        if not hasattr(self._own, "context"):
            params = llama_cpp.llama_context_default_params()
            params.n_ctx = params.n_batch = params.n_ubatch = self._tokens
            params.n_seq_max = MAX_SEQUENCES
            params.n_threads = params.n_threads_batch = self._threads or os.cpu_count() or 1
            params.embeddings = True
            params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_RANK
            self._own.context = llama_cpp.llama_init_from_model(self._model, params)
            if not self._own.context:
                raise RuntimeError("llama.cpp can't make a context for this model")
        return self._own.context

    def run(self, feeds: Tensors) -> Tensors:
        """Texts of a batch are packed into engine calls of at most MAX_TOKENS tokens, in their order."""
        mask = feeds["attention_mask"].astype(bool)
        texts = [ids[keep] for ids, keep in zip(feeds["input_ids"], mask, strict=True)]
        logits = np.empty((len(texts), self._outputs), dtype=np.float32)
        start = 0
        while start < len(texts):
            stop, tokens = start, 0
            while (
                stop < len(texts)
                and stop - start < MAX_SEQUENCES
                and tokens + len(texts[stop]) <= self._tokens
            ):
                tokens += len(texts[stop])
                stop += 1
            if stop == start:
                raise ValueError(f"a text has {len(texts[start])} tokens, and the model takes {self._tokens}")
            logits[start:stop] = self._call(texts[start:stop], tokens)
            start = stop
        return {"logits": logits}

    def _call(self, texts: Sequence[np.ndarray], tokens: int) -> np.ndarray:
        context = self._context()
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
            rows = [llama_cpp.llama_get_embeddings_seq(context, sequence) for sequence in range(len(texts))]
            return np.stack([np.ctypeslib.as_array(row, shape=(self._outputs,)) for row in rows])
        finally:
            llama_cpp.llama_batch_free(batch)


def load(folder: Path, setting: Setting) -> Session:
    """model.gguf; the option `extra_bufts` lets llama.cpp repack weights for this CPU (AMX and the like)."""
    llama_cpp.llama_backend_init()
    return LlamaSession(folder / "model.gguf", setting)
