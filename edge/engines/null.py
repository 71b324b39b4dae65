"""The null engine: answers follow from the input by plain arithmetic; it needs no package.

It carries tests of everything around an engine, and measures what that costs. `null.json` in the
model's folder says what it is (see Description); the same input always has the same answer, alone
or in a batch, padded or not.
"""

import signal
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgekit.edge.engines import Finish, Piece, TensorSession, TextRequest, TextSession
from edgekit.edge.tasks import Tensors
from edgekit.errors import InputError
from edgekit.nouns import Setting, Unreadable, read_json

FILE = "null.json"
MASK = "attention_mask"
Fault = Literal["raise", "nan", "crash", "hang"]


class Description(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What null.json holds.

    width: how many numbers an answer has (labels, or dimensions).
    output: the name of the output tensor.
    per_token: whether each token has an answer of its own.
    seed: another one gives another model.
    seconds: that one call takes, asleep.
    faults: what happens to a call that has this number among its input, such as a token id.
    vocabulary: of a model that generates: how many token ids there are.
    context: of a model that generates: how many tokens a sequence may have.
    """

    width: int = 2
    output: str = "logits"
    per_token: bool = False
    seed: int = 0
    seconds: float = 0.0
    faults: dict[int, Fault] = {}
    vocabulary: int = 256
    context: int = 4096


class NullTensorSession:
    """A session that answers each row by the sum of its numbers, each weighted by its place."""

    def __init__(self, description: Description) -> None:
        self._description = description

    def run(self, feeds: Tensors) -> Tensors:
        """Return float32 [batch, width]; [batch, tokens, width] where each token has an answer."""
        said = self._description
        values = next(iter(feeds.values())).astype(np.float64)
        values = values.reshape(*values.shape[:2], -1).sum(axis=2)  # [batch, places]
        mask = feeds[MASK].astype(bool) if MASK in feeds else np.ones(values.shape, dtype=bool)
        time.sleep(said.seconds)
        spoiled = self._suffer_faults(np.where(mask, values, np.nan))
        # A place counts from the first token that is no padding, on whichever side that is.
        places = np.where(mask, np.cumsum(mask, axis=1), 0)
        terms = np.where(mask, values * (1 + places % 7), 0.0)
        sums = terms if said.per_token else terms.sum(axis=1)
        phases = np.arange(1, said.width + 1) * (0.37 + said.seed)
        answers = np.sin(sums[..., np.newaxis] * 0.01 + phases).astype(np.float32)
        answers[spoiled] = np.nan
        return {said.output: answers}

    def _suffer_faults(self, values: np.ndarray) -> np.ndarray:
        """Do what the input asks for; return which rows answer NaN: bool [batch]."""
        spoiled = np.zeros(len(values), dtype=bool)
        for number, fault in self._description.faults.items():
            hit = (values == number).any(axis=1)
            if not hit.any():
                continue
            if fault != "nan":
                _suffer(fault)
            spoiled |= hit
        return spoiled


class _Sequence:
    """A sequence in the making: the tokens that are still to be said, and what was asked."""

    def __init__(self, request: TextRequest) -> None:
        self.left = deque(request.prompt)
        self.said = 0
        self.request = request


class NullTextSession:
    """A session that says the prompt again, a token a step, and stops."""

    def __init__(self, description: Description, setting: Setting) -> None:
        self._description = description
        self._sequences: dict[int, _Sequence] = {}
        self.most_sequences = max(1, setting.batch_size)

    def add(self, number: int, request: TextRequest) -> None:
        """Take a sequence on; raises InputError where prompt and answer exceed the context."""
        tokens = len(request.prompt) + request.sampling.max_tokens
        if tokens > self._description.context:
            raise InputError(
                f"the prompt and the answer may have {tokens} tokens together, and the model's "
                f"context has {self._description.context}"
            )
        self._sequences[number] = _Sequence(request)

    def step(self) -> Sequence[Piece]:
        """Give each sequence its next token."""
        time.sleep(self._description.seconds)
        pieces = [self._advance(number) for number in list(self._sequences)]
        for piece in pieces:
            if piece.finish:
                del self._sequences[piece.number]
        return pieces

    def _advance(self, number: int) -> Piece:
        sequence = self._sequences[number]
        if not sequence.left:
            return Piece(number, (), finish="stop")
        token = sequence.left.popleft()
        if fault := self._description.faults.get(token):
            _suffer(fault)
        sequence.said += 1
        sampling = sequence.request.sampling
        if token in sampling.stop:
            return Piece(number, (), finish="stop")
        finish: Finish | None = "length" if sequence.said >= sampling.max_tokens else None
        logprobs = (self._logprob(token),) if sequence.request.logprobs else ()
        return Piece(number, (token,), logprobs, finish)

    def _logprob(self, token: int) -> float:
        return -1.0 - (token % 10 + self._description.seed % 10) / 10

    def cancel(self, number: int) -> None:
        """Forget a sequence."""
        self._sequences.pop(number, None)

    def score(self, prompt: Sequence[int], continuation: Sequence[int]) -> np.ndarray:
        """Return the log-probability of each token of the continuation: float32 [tokens]."""
        return np.array([self._logprob(token) for token in continuation], dtype=np.float32)


def _suffer(fault: Fault) -> None:
    if fault == "crash":
        signal.raise_signal(signal.SIGSEGV)  # in this thread, so nothing comes after it
    if fault == "hang":
        time.sleep(3600)
    raise RuntimeError("the null engine was asked to fail")


def _read(folder: Path) -> Description:
    path = folder / FILE
    try:
        return read_json(path.read_bytes(), Description)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it says what the null engine answers") from None
    except Unreadable as error:
        raise InputError(f"{path}: {error}") from None


def load(folder: Path, setting: Setting) -> TensorSession:
    """Load a model that turns tensors into tensors; raises InputError."""
    return NullTensorSession(_read(folder))


def load_text(folder: Path, setting: Setting) -> TextSession:
    """Load a model that generates; `setting.batch_size` sequences are decoded together."""
    return NullTextSession(_read(folder), setting)
