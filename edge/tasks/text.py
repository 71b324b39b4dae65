"""What the tasks on texts share: the tokenizer, with the model's own maximum length and padding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgekit.edge.tasks import Row, Tensors, one_column
from edgekit.errors import InputError
from edgekit.nouns import Noun

MAX_CHARACTERS = 100_000  # of one text; what is beyond max_length tokens is cut anyway
# words of a made input: attention over thousands costs gigabytes and shows nothing more
LONGEST_MADE = 512


class TextConfig(Noun, frozen=True, kw_only=True):
    """What task.json says about the tokenizer, which is tokenizer.json beside it.

    max_length: of a text in tokens, special ones included; what is beyond is cut.
    pad_id, pad_token, pad_type_id: what fills the shorter texts of a batch.
    padding_side: where it is put.
    truncation_side: where a text that is too long is cut.
    split_special_tokens: special tokens that stand in a text are cut like words.
    prompt: what stands before each text.
    """

    max_length: int
    pad_id: int
    pad_token: str
    pad_type_id: int = 0
    padding_side: Literal["left", "right"] = "right"
    truncation_side: Literal["left", "right"] = "right"
    split_special_tokens: bool = False
    prompt: str = ""


class TokenizerTask:
    """A tokenizer that pads to the longest text of the batch, as Hugging Face's does."""

    tensor = ("BYTES", [-1])

    def __init__(self, tokenizer: Tokenizer, config: TextConfig) -> None:
        self._tokenizer = tokenizer
        tokenizer.encode_special_tokens = config.split_special_tokens
        tokenizer.enable_truncation(max_length=config.max_length, direction=config.truncation_side)
        tokenizer.enable_padding(
            direction=config.padding_side,
            pad_id=config.pad_id,
            pad_type_id=config.pad_type_id,
            pad_token=config.pad_token,
        )
        self._max_length = config.max_length
        self._prompt = config.prompt

    def takes(self, columns: Sequence[str]) -> bool:
        """Tell whether it is one column."""
        return len(columns) == 1

    def made_words(self, count: int, seed: int) -> list[list[str]]:
        """Make texts of random words from the tokenizer's vocabulary, as lists of words.

        They have from one word up to the maximum length.
        """
        random = np.random.default_rng(seed)
        pieces = {piece.lstrip("Ġ▁") for piece in self._tokenizer.get_vocab()}
        words = sorted(piece for piece in pieces if piece.isalpha() and len(piece) > 2)
        lengths = np.geomspace(1, min(max(2, self._max_length), LONGEST_MADE), count).astype(int)
        chosen = ([str(word) for word in random.choice(words, size=length)] for length in lengths)
        return [[_spelled(word, place) for place, word in enumerate(row)] for row in chosen]


class TextTask(TokenizerTask):
    """What the tasks share whose input is one text."""

    def parse(self, value: object) -> str:
        """Take a JSON string."""
        return checked_text(value)

    def wire(self, value: str) -> object:
        """Return the text as it is."""
        return value

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> str:
        """Read the text in the named column."""
        return self.parse(row[one_column(columns)])

    def argument(self, text: str) -> str:
        """Take the text itself."""
        return self.parse(text)

    def length(self, value: str) -> int:
        """Count the characters."""
        return len(value)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """Choose `text`, or the only column that is not the label."""
        others = [name for name in names if name != label]
        return ["text"] if "text" in others else others[:1] if len(others) == 1 else []

    def encode(self, inputs: Sequence[str]) -> Tensors:
        """Make int64 [batch, tokens] each: input_ids, attention_mask, token_type_ids."""
        return tensors_of(
            self._tokenizer.encode_batch_fast([self._prompt + text for text in inputs])
        )

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make texts of random words."""
        return [" ".join(words) for words in self.made_words(count, seed)]


def _spelled(word: str, place: int) -> str:
    """Give some words a capital, an accent, a sign or a number.

    A tokenizer that handles these otherwise is to be noticed.
    """
    return (word, word.capitalize(), f"{word},", word.upper(), f"{word}\u00e9", f"{word}-{place}")[
        place % 6
    ]


def checked_text(value: object) -> str:
    """Return a text that a tokenizer takes; raises InputError, without echoing it."""
    if not isinstance(value, str):
        raise InputError("an input must be a text")
    if len(value) > MAX_CHARACTERS:
        raise InputError(f"an input must be a text of at most {MAX_CHARACTERS} characters")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise InputError("an input must be valid Unicode, without lone surrogates")
    return value


def tensors_of(encodings: Sequence[Encoding]) -> Tensors:
    """Make int64 [batch, tokens] each, under the names that Hugging Face's models have."""
    return {
        "input_ids": np.array([item.ids for item in encodings], dtype=np.int64),
        "attention_mask": np.array([item.attention_mask for item in encodings], dtype=np.int64),
        "token_type_ids": np.array([item.type_ids for item in encodings], dtype=np.int64),
    }


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer.json; raises InputError."""
    path = folder / "tokenizer.json"
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for everything
        raise InputError(f"{path}: not a tokenizer: {error}") from None
