"""How a document is read that is longer than its model: in windows that overlap.

A window is as long as the model takes, and begins `step` tokens after the one before, so that two
neighbours share the rest. Each word is answered for by the token that it begins with, in the window
where that token has the most context on its poorer side: one that stands at the edge of a window
stands further inside the neighbour.
"""

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding


def answered_words(windows: Sequence[Encoding], step: int) -> list[np.ndarray]:
    """Return for each window the words that its tokens answer for: int64 [tokens], -1 for none.

    windows: of one document, from its beginning on; every word is in exactly one of the arrays,
    unless it has no token, or lies behind the last window.
    step: tokens between the beginnings of two windows, special ones and padding not counted.
    """
    rows = [_words(window) for window in windows]
    places = [np.flatnonzero(row >= 0) for row in rows]
    starts = np.arange(len(windows)) * step
    ends = starts + np.array(list(map(len, places)))
    document = np.empty(ends[-1], dtype=np.int64)
    for row, place, start, end in zip(rows, places, starts, ends, strict=True):
        document[start:end] = row[place]
    words, firsts = np.unique(document, return_index=True)
    later = np.minimum(firsts // step, len(windows) - 1)
    # A token lies in two windows at most, since they share less than half.
    earlier = np.maximum(later - 1, 0)
    chosen = np.where(
        _context(firsts, starts[earlier], ends[earlier])
        >= _context(firsts, starts[later], ends[later]),
        earlier,
        later,
    )
    answered = [np.full(len(row), -1, dtype=np.int64) for row in rows]
    for number, (place, start) in enumerate(zip(places, starts, strict=True)):
        mine = chosen == number
        answered[number][place[firsts[mine] - start]] = words[mine]
    return answered


def _words(window: Encoding) -> np.ndarray:
    """Return the index of each token's word, -1 for padding and special tokens."""
    return np.array([-1 if word is None else word for word in window.word_ids], dtype=np.int64)


def _context(places: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return how many tokens stand beside a token on its poorer side; below 0 outside."""
    return np.asarray(np.minimum(places - starts, ends - 1 - places))
