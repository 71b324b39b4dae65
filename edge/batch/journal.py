"""The journal of a batch: how many rows of its output are durable, and what the run is bound to."""

import os
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.nouns import Noun, Unreadable, read_json


class Bound(Noun, frozen=True, kw_only=True):
    """What a run computes; a resumed run must be the same.

    input_digest: of the file that is read.
    slot: the digest that names the model.
    columns: of the input.
    results: the columns that the model adds.
    batch_size: rows in one engine call.
    kind: the output file's suffix.
    """

    input_digest: str
    slot: str
    columns: list[str]
    results: list[str]
    batch_size: int
    kind: str


class Journal(Noun, frozen=True, kw_only=True):
    """How far a run is.

    rows: that are durable. bytes: that they take in the output. errors: rows without a prediction.
    truncated: rows of which a part was not read.
    """

    bound: Bound
    rows: int
    bytes: int
    errors: int
    truncated: int


def begin(journal_path: Path, part: Path, bound: Bound, *, restart: bool) -> Journal:
    """Return where to go on; raises InputError for the journal of another run, or a damaged one."""
    fresh = Journal(bound=bound, rows=0, bytes=0, errors=0, truncated=0)
    if restart or not journal_path.exists() or not part.exists():
        return fresh
    try:
        journal = read_json(journal_path.read_bytes(), Journal)
    except Unreadable as error:
        raise InputError(f"{journal_path}: damaged ({error}); begin anew with --restart") from None
    if journal.bound != bound:
        raise InputError(
            f"{journal_path}: was begun with another input, model or column; begin anew with"
            " --restart"
        )
    return journal


class Output:
    """The file in the making, and the journal that follows what of it is durable."""

    def __init__(self, file: BinaryIO, journal_path: Path, checkpoint_seconds: float) -> None:
        self.file = file
        self._journal_path = journal_path
        self._pause = checkpoint_seconds
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Return whether it is time to save."""
        return time.monotonic() - self._saved >= self._pause

    def save(self, journal: Journal) -> Journal:
        """Make everything so far durable, then say so in the journal; return it as it is kept.

        journal: with the rows that were written, of which the bytes are counted here.
        """
        journal = msgspec.structs.replace(journal, bytes=self.file.tell())
        self.file.flush()
        os.fsync(self.file.fileno())
        write_durably(self._journal_path, journal.to_json())
        self._saved = time.monotonic()
        return journal
