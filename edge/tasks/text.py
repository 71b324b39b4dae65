"""What the tasks on texts share: the tokenizer, with the model's own maximum length and padding.

A text with more tokens than the model takes is never cut in silence: by `on_too_long` it is cut and
flagged, refused, or (by a tagger) read in windows.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgekit.edge.tasks import Row, Tensors, one_column
from edgekit.edge.tasks.predictions import TRUNCATED
from edgekit.errors import InputError
from edgekit.nouns import Noun
from edgekit.spec import OnTooLong

MAX_CHARACTERS = 100_000  # of one text
MAX_REQUEST = 1 << 25  # characters of the texts of one request, which are more than its body holds
# words of a made input: attention over thousands costs gigabytes and shows nothing more
LONGEST_MADE = 512
OVERLAP = 4  # a window of a long text shares one token in so many with the window before


class TextConfig(Noun, frozen=True, kw_only=True):
    """What task.json says about the tokenizer, which is tokenizer.json beside it.

    max_length: of a text in tokens, special ones included, that the model takes at once.
    pad_id, pad_token, pad_type_id: what fills the shorter texts of a batch.
    padding_side: where it is put.
    on_too_long: whether a longer text is cut, and flagged as such, refused, or read in windows. A
        task.json that does not say flags: the golden samples beside it were made so.
    token_rows, type_rows: how many token ids and type ids the model has embeddings for; None where
    that is not known.
    truncation_side: where a text that is too long is cut.
    split_special_tokens: special tokens that stand in a text are cut like words.
    prompt: what stands before each text.
    """

    max_length: int
    pad_id: int
    pad_token: str
    pad_type_id: int = 0
    padding_side: Literal["left", "right"] = "right"
    on_too_long: OnTooLong = "flag"
    token_rows: int | None = None
    type_rows: int | None = None
    truncation_side: Literal["left", "right"] = "right"
    split_special_tokens: bool = False
    prompt: str = ""


class TokenizerTask:
    """A tokenizer that pads to the longest text of the batch, as Hugging Face's does.

    max_length: tokens that the model takes at once, special ones included.
    may_refuse: whether `encode` refuses some texts that `parse` takes.
    """

    tensor = ("BYTES", [-1])
    overlap = 0  # tokens that two windows of a long text share

    def __init__(self, tokenizer: Tokenizer, config: TextConfig) -> None:
        self._tokenizer = tokenizer
        self.max_length = config.max_length
        self.on_too_long = config.on_too_long
        self._prompt = config.prompt
        self._specials = tokenizer.num_special_tokens_to_add(False)
        self.may_refuse = config.on_too_long != "flag" or not self._specials
        # Tokens of the text itself that the model takes at once.
        self.room = config.max_length - self._specials
        if self.room < 1:
            raise InputError(
                f"max_length = {config.max_length} leaves no room for a text beside"
                f" {self._specials} special tokens"
            )
        if config.on_too_long == "window":
            self.overlap = self.room // OVERLAP
        self.step = self.room - self.overlap
        tokenizer.encode_special_tokens = config.split_special_tokens
        tokenizer.enable_truncation(
            max_length=config.max_length,
            stride=self.overlap,
            direction="right" if config.on_too_long == "window" else config.truncation_side,
        )
        tokenizer.enable_padding(
            direction=config.padding_side,
            pad_id=config.pad_id,
            pad_type_id=config.pad_type_id,
            pad_token=config.pad_token,
        )
        self._rows = {"input_ids": config.token_rows, "token_type_ids": config.type_rows}

    def doubts(self) -> list[str]:
        """Name the tokens that no text may have, since the model has no embedding for them."""
        rows = self._rows["input_ids"]
        beyond = [
            (number, token)
            for token, number in self._tokenizer.get_vocab().items()
            if rows is not None and number >= rows
        ]
        if not beyond:
            return []
        number, token = min(beyond)
        said = (
            f"tokens of the tokenizer that the model has no embedding for: {len(beyond)}, such as"
            f" {token!r} (its id is {number}, and the embedding has {rows} rows); a text that holds"
            " one is refused: train the model with resize_token_embeddings, or take them out of"
            " the tokenizer"
        )
        return [said]

    def own_tokens_have_embeddings(self) -> bool:
        """Tell whether the model has embeddings for what each text gets, and for padding."""
        framed, padding = self._tokenizer.encode(""), self._tokenizer.padding
        ids = {
            "input_ids": [*framed.ids, padding["pad_id"]],
            "token_type_ids": [*framed.type_ids, padding["pad_type_id"]],
        }
        return all(rows is None or max(ids[name]) < rows for name, rows in self._rows.items())

    def within_tables(self, feeds: Tensors) -> Tensors:
        """Return the feeds; raises InputError where an id lies beyond the model's embedding.

        No engine gets such an id: some of them read whatever lies behind the table.
        """
        for name, rows in self._rows.items():
            if rows is not None and feeds[name].size and feeds[name].max() >= rows:
                raise InputError(
                    "an input holds a token that the model has no embedding for: its tokenizer has"
                    " more tokens than the model"
                )
        return feeds

    def takes(self, columns: Sequence[str]) -> bool:
        """Tell whether it is one column."""
        return len(columns) == 1

    def tensors(self, encodings: Sequence[Encoding]) -> Tensors:
        """Make the tensors of texts, or of their windows; raises InputError.

        And TRUNCATED, where texts may be cut: that is known from what the tokenizer left over.
        """
        feeds = self.within_tables(tensors_of(encodings))
        lengths = feeds["attention_mask"].sum(axis=1)
        _check_lengths(lengths)
        if self.on_too_long == "window":
            return feeds
        # What the tokenizer left over is copied when it is looked at, so only where there can be.
        cut = [
            length >= self.max_length and bool(item.overflowing)
            for length, item in zip(lengths.tolist(), encodings, strict=True)
        ]
        if self.on_too_long == "refuse" and any(cut):
            longest = encodings[cut.index(True)]
            tokens = self.tokens([longest, *longest.overflowing])
            raise InputError(
                f"the text has {tokens} tokens, and the model takes at most {self.max_length}"
            )
        return {**feeds, TRUNCATED: np.array(cut, dtype=bool)}

    def tokens(self, windows: Sequence[Encoding]) -> int:
        """Count the tokens of a text of which these are all the windows, special ones included."""
        shared: int = (self._specials + self.overlap) * (len(windows) - 1)
        return sum(sum(window.attention_mask) for window in windows) - shared

    def made_words(self, count: int, seed: int) -> list[list[str]]:
        """Make texts of random words from the tokenizer's vocabulary, as lists of words.

        They have from one word up to the maximum length.
        """
        random = np.random.default_rng(seed)
        pieces = {piece.lstrip("Ġ▁") for piece in self._tokenizer.get_vocab()}
        words = sorted(piece for piece in pieces if piece.isalpha() and len(piece) > 2)
        lengths = np.geomspace(1, min(max(2, self.max_length), LONGEST_MADE), count).astype(int)
        chosen = ([str(word) for word in random.choice(words, size=length)] for length in lengths)
        return [[_spelled(word, place) for place, word in enumerate(row)] for row in chosen]


class TextTask(TokenizerTask):
    """What the tasks share whose input is one text, and whose answer is about all of it."""

    most_length = MAX_REQUEST

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
        """Make int64 [batch, tokens] each: input_ids, attention_mask, token_type_ids.

        And TRUNCATED, bool [batch].
        """
        prompted = [self._prompt + text for text in inputs] if self._prompt else list(inputs)
        return self.tensors(self._tokenizer.encode_batch_fast(prompted))

    def made_inputs(self, count: int, seed: int) -> list[object]:
        """Make texts of random words."""
        return [
            fitting(words, " ".join, lambda text: self.encode([self.parse(text)]))
            for words in self.made_words(count, seed)
        ]


def fitting(
    words: list[str],
    written: Callable[[list[str]], object],
    encode: Callable[[object], object],
) -> object:
    """Write made words as an input, without the last ones where `encode` refuses so many."""
    while len(words) > 1:
        try:
            encode(written(words))
            break
        except InputError:
            words = words[: -max(1, len(words) // 8)]
    return written(words)


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


def _check_lengths(lengths: np.ndarray) -> None:
    """Refuse a text of which the tokenizer leaves nothing, alone and beside others alike.

    A tokenizer that adds no special tokens makes no token of an empty text, and no model answers
    to nothing.
    """
    if not lengths.all():
        raise InputError("the text has no token that the model could read")


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
