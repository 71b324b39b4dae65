"""Pooling: how an embedder makes one vector of a text's tokens."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgekit.errors import InputError
from edgekit.nouns import Noun

POOLING_MODES: dict[str, Literal["mean", "cls"]] = {
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
}


class Pooling(Noun, frozen=True, kw_only=True):
    """How an embedder pools, as Sentence Transformers writes it down.

    mode: the mean of the tokens' hidden states, or the one of the first token.
    normalize: whether vectors get length 1.
    max_length: what the embedder was made for, in tokens; None where that is not said.
    """

    mode: Literal["mean", "cls"] = "mean"
    normalize: bool = True
    max_length: int | None = None


def read_pooling(folder: Path) -> Pooling:
    """Read modules.json and 1_Pooling/config.json; raises InputError.

    Mean pooling is meant where a folder has neither.
    """
    if not (folder / "modules.json").is_file():
        return Pooling()
    modules = [
        str(item.get("type", "")).rpartition(".")[2] for item in _read_json(folder / "modules.json")
    ]
    unknown = [name for name in modules if name not in ("Transformer", "Pooling", "Normalize")]
    if unknown:
        raise InputError(f"{folder / 'modules.json'}: a {unknown[0]} module is not supported")
    settings = folder / "sentence_bert_config.json"
    return Pooling(
        mode=_mode(folder / "1_Pooling" / "config.json"),
        normalize="Normalize" in modules,
        max_length=_read_json(settings).get("max_seq_length") if settings.is_file() else None,
    )


def _mode(path: Path) -> Literal["mean", "cls"]:
    config = _read_json(path) if path.is_file() else {"pooling_mode_mean_tokens": True}
    chosen = [
        name for name, value in config.items() if name.startswith("pooling_mode_") and value is True
    ]
    if len(chosen) != 1 or chosen[0] not in POOLING_MODES:
        raise InputError(
            f"{path}: pools by {', '.join(chosen) or 'nothing'}; supported:"
            f" {', '.join(POOLING_MODES)}"
        )
    return POOLING_MODES[chosen[0]]


def _read_json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON: {error}") from None


def pooled(states: np.ndarray, mask: np.ndarray, mode: str) -> np.ndarray:
    """Make vectors, float32 [batch, dimensions], of hidden states [batch, tokens, dimensions].

    mask: which tokens are no padding, [batch, tokens].
    """
    if mode == "cls":
        return np.asarray(states[np.arange(len(states)), mask.argmax(axis=1)])
    weights = mask[..., np.newaxis].astype(np.float32)
    return np.asarray((states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9))
