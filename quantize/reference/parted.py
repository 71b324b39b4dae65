"""Where two readings of the same inputs part: tokens, pixels, scores and vectors, side by side.

What is said of a difference holds numbers only, and nothing of an input.
"""

from collections.abc import Sequence

import numpy as np

from edgekit.edge.tasks import Tensors

LOGIT_TOLERANCE = 1e-4  # of a score, or of that share of the largest where that is above 1
LEAST_COSINE = 0.99999
LENGTH_TOLERANCE = 1e-4  # of a vector, as a share
GREY_LEVELS = 1.01  # one, and what rounding adds
PADDED = {
    "input_ids": "token {} of the padded batch",
    "attention_mask": "the mask of token {} of the padded batch",
    "token_type_ids": "the type of token {} of the padded batch",
}


class Parted(Exception):
    """An input that two readings make different things of.

    place: among those that were compared, from 0.
    """

    def __init__(self, place: int, what: str) -> None:
        super().__init__(what)
        self.place = place


def kept_ids(tensors: Tensors) -> list[np.ndarray]:
    """Return the ids of each row without padding."""
    masks = np.asarray(tensors["attention_mask"]) == 1
    return [ids[mask] for ids, mask in zip(np.asarray(tensors["input_ids"]), masks, strict=True)]


def same_ids(place: int, own: np.ndarray, right: np.ndarray, kind: str = "token {}") -> None:
    """Compare the tokens of one input; raises Parted."""
    both = min(len(own), len(right))
    different = np.flatnonzero(own[:both] != right[:both])
    if len(different):
        at = int(different[0])
        raise Parted(
            place, f"{kind.format(at + 1)} is {own[at]} for edgekit and {right[at]} for the library"
        )
    if len(own) != len(right):
        raise Parted(place, f"edgekit makes {len(own)} tokens of it and the library {len(right)}")


def same_tokens(ours: Tensors, theirs: Tensors) -> None:
    """Compare the tokens of a batch, and how it is padded; raises Parted."""
    for place, (own, right) in enumerate(zip(kept_ids(ours), kept_ids(theirs), strict=True)):
        same_ids(place, own, right)
    for name, kind in PADDED.items():
        # a library that leaves the types out means 0
        whole = theirs.get(name, np.zeros_like(theirs["input_ids"]))
        for place, (own, right) in enumerate(zip(ours[name], whole, strict=True)):
            same_ids(place, own, right, kind)


def same_padding(place: int, mask: np.ndarray, side: str) -> None:
    """Compare where a row is padded, if it is; raises Parted."""
    own = "left" if not mask[0] else "right" if not mask[-1] else side
    if own != side:
        raise Parted(place, f"edgekit pads it on the {own} and the library on the {side}")


def same_pixels(ours: Tensors, theirs: Tensors, grey_level: float) -> None:
    """Compare pictures; raises Parted.

    grey_level: how far apart two neighbouring ones are in the tensor.
    """
    for name, whole in theirs.items():
        for place, (own, right) in enumerate(zip(ours[name], whole, strict=True)):
            _same_shape(place, own, right)
            far = np.abs(own - right)
            at = np.unravel_index(int(far.argmax()), far.shape)
            if not far[at] <= GREY_LEVELS * grey_level:
                raise Parted(
                    place,
                    f"pixel {[int(index) for index in at]} is {own[at]:.4f} for edgekit and"
                    f" {right[at]:.4f} for the library, {far[at] / grey_level:.1f} grey levels"
                    " apart",
                )


def same_answers(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], are_scores: bool
) -> None:
    """Compare the answers to the same inputs; raises Parted.

    are_scores: else they are vectors.
    """
    for place, (own, right) in enumerate(zip(ours, theirs, strict=True)):
        _same_shape(place, own, right)
        if right.size:
            (_same_scores if are_scores else _same_vector)(place, own, right)


def _same_shape(place: int, own: np.ndarray, right: np.ndarray) -> None:
    if own.shape != right.shape:
        raise Parted(
            place, f"edgekit makes {list(own.shape)} of it and the library {list(right.shape)}"
        )


def _same_scores(place: int, own: np.ndarray, right: np.ndarray) -> None:
    far = np.abs(own - right)
    at = np.unravel_index(int(far.argmax()), far.shape)
    if not far[at] <= LOGIT_TOLERANCE * max(1.0, float(np.abs(right).max())):
        raise Parted(
            place,
            f"score {[int(index) + 1 for index in at]} is {own[at]:.6f} for edgekit and"
            f" {right[at]:.6f} for the library",
        )


def _same_vector(place: int, own: np.ndarray, right: np.ndarray) -> None:
    own, right = own.astype(np.float64), right.astype(np.float64)
    length, wanted = float(np.linalg.norm(own)), float(np.linalg.norm(right))
    cosine = float(own @ right) / max(length * wanted, 1e-30)
    if not cosine >= LEAST_COSINE:
        raise Parted(
            place, f"the cosine of edgekit's vector with the library's is {cosine:.6f}, not 1"
        )
    if not abs(length - wanted) <= LENGTH_TOLERANCE * wanted:
        raise Parted(
            place, f"edgekit's vector has the length {length:.4f} and the library's {wanted:.4f}"
        )
