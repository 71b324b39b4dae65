"""text-classification: a text becomes token ids, logits become a label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Tokenizer

from edgekit.edge.tasks import Row, Tensors, one_column
from edgekit.edge.tasks.classification import Classifier
from edgekit.errors import InputError
from edgekit.nouns import Noun

MAX_CHARACTERS = 100_000  # of one text; what is beyond max_length tokens is cut anyway


class Config(Noun, frozen=True, kw_only=True):
    """task.json. The tokenizer itself is tokenizer.json beside it."""

    task: Literal["text-classification"] = "text-classification"
    labels: list[str]
    max_length: int  # tokens, special ones included
    pad_id: int
    pad_token: str
    pad_type_id: int = 0
    padding_side: Literal["left", "right"] = "right"
    output: str = "logits"


class TextClassification(Classifier):
    """Pads to the longest text of the batch, as Hugging Face does."""

    name = "text-classification"
    tensor = ("BYTES", [-1])

    def __init__(self, tokenizer: Tokenizer, config: Config) -> None:
        super().__init__(config.labels, config.output)
        self._tokenizer = tokenizer
        tokenizer.enable_truncation(max_length=config.max_length)
        tokenizer.enable_padding(
            direction=config.padding_side,
            pad_id=config.pad_id,
            pad_type_id=config.pad_type_id,
            pad_token=config.pad_token,
        )
        self._max_length = config.max_length

    def parse(self, value: object) -> str:
        """A JSON string."""
        if not isinstance(value, str):
            raise InputError("an input must be a text")
        if len(value) > MAX_CHARACTERS:
            raise InputError(f"an input must be a text of at most {MAX_CHARACTERS} characters")
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError("an input must be valid Unicode, without lone surrogates")
        return value

    def wire(self, value: str) -> object:
        """As it is."""
        return value

    def read(self, row: Row, columns: Sequence[str], folder: Path) -> str:
        """The text in the named column."""
        one_column(columns)
        return self.parse(row[columns[0]])

    def argument(self, text: str) -> str:
        """The text itself."""
        return self.parse(text)

    def columns(self, names: Sequence[str], label: str) -> list[str]:
        """`text`, or the only column that is not the label."""
        others = [name for name in names if name != label]
        return ["text"] if "text" in others else others[:1] if len(others) == 1 else []

    def encode(self, inputs: Sequence[str]) -> Tensors:
        """int64 [batch, tokens] each: input_ids, attention_mask, token_type_ids."""
        encodings = self._tokenizer.encode_batch_fast(list(inputs))
        return {
            "input_ids": np.array([item.ids for item in encodings], dtype=np.int64),
            "attention_mask": np.array([item.attention_mask for item in encodings], dtype=np.int64),
            "token_type_ids": np.array([item.type_ids for item in encodings], dtype=np.int64),
        }

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Texts of random words from the tokenizer's vocabulary, from one word to the maximum length."""
        random = np.random.default_rng(seed)
        words = sorted(word for word in self._tokenizer.get_vocab() if word.isalpha() and len(word) > 2)
        lengths = np.geomspace(1, max(2, self._max_length), count).astype(int)
        return [" ".join(random.choice(words, size=length)) for length in lengths]


def load(folder: Path, config: Config) -> TextClassification:
    """Read tokenizer.json; raises InputError."""
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # noqa: BLE001 - tokenizers raises bare Exception for everything
        raise InputError(f"{path}: not a tokenizer: {error}") from None
    return TextClassification(tokenizer, config)
