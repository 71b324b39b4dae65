"""What a folder of Sentence Transformers says about making one vector of a text.

modules.json names the steps, 1_Pooling/config.json the pooling, sentence_bert_config.json the
longest text, and config_sentence_transformers.json the prompts. Both spellings are read: that of
today, and the one before version 5.4.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edgekit.errors import InputError
from edgekit.nouns import Noun
from edgekit.quantize.config_json import read_json_file, read_object

Mode = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
# The spelling before 5.4, in the order in which several modes are put together.
OLD_MODES: dict[str, Mode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# What the settings of the first step were called, for the models of their time.
TRANSFORMER_SETTINGS = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
STEPS = ("Transformer", "Pooling", "Normalize", "Dropout")
TINY = 1e-9  # the smallest divisor of a mean, as the library has it


class Pooling(Noun, frozen=True, kw_only=True):
    """How an embedder makes a vector of a text.

    modes: what is made of the tokens' hidden states; several are put one behind the other.
    prompt: what stands before each text.
    prompt_tokens: how many tokens at the start are left out of the pooling: those of the prompt.
    is_prompt_pooled: the tokens of the prompt are pooled as those of the text are.
    normalize: whether vectors get length 1.
    lower_case: texts are put into small letters first.
    max_length: what the embedder was made for, in tokens; None where that is not said.
    """

    modes: tuple[Mode, ...] = ("mean",)
    prompt: str = ""
    prompt_tokens: int = 0
    is_prompt_pooled: bool = True
    normalize: bool = True
    lower_case: bool = False
    max_length: int | None = None


def read_pooling(folder: Path) -> Pooling:
    """Read what modules.json names, and the files beside it; raises InputError.

    Mean pooling is meant where a folder has no modules.json.
    """
    if not (folder / "modules.json").is_file():
        return Pooling()
    steps = _steps(folder)
    settings = _settings(transformer_settings(folder))
    pooling = next((place for name, place in steps if name == "Pooling"), None)
    described = read_object(pooling / "config.json") if pooling else {}
    longest = settings.get("max_seq_length")
    if longest is not None and (type(longest) is not int or longest < 1):
        raise InputError(f"{transformer_settings(folder)}: max_seq_length: must be a whole number")
    return Pooling(
        modes=_modes(pooling / "config.json", described) if pooling else ("mean",),
        prompt=default_prompt(folder),
        is_prompt_pooled=described.get("include_prompt", True) is not False,
        normalize=any(name == "Normalize" for name, _ in steps),
        lower_case=settings.get("do_lower_case") is True,
        max_length=longest,
    )


def pooling_settings(folder: Path) -> Path | None:
    """Return the path of the pooling's settings; None where modules.json names no pooling."""
    found = [place for name, place in _steps(folder) if name == "Pooling"]
    return found[0] / "config.json" if found else None


def transformer_settings(folder: Path) -> Path | None:
    """Return the path of the first step's settings; None where there are none."""
    named = [folder / name for name in TRANSFORMER_SETTINGS]
    return next((path for path in named if path.is_file()), None)


def default_prompt(folder: Path) -> str:
    """Read the prompt that stands before each text where the caller names none."""
    path = folder / "config_sentence_transformers.json"
    config = _settings(path if path.is_file() else None)
    name, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if name is None:
        return ""
    is_named = isinstance(prompts, dict) and isinstance(name, str)
    found = prompts.get(name) if is_named else None
    if not isinstance(found, str):
        raise InputError(f"{path}: default_prompt_name: prompts has no text under that name")
    return found


def _steps(folder: Path) -> list[tuple[str, Path]]:
    """Read the steps of modules.json in their order, each with the folder of its settings."""
    path = folder / "modules.json"
    listed = read_json_file(path)
    steps = []
    for item in listed if isinstance(listed, list) else [None]:
        if not isinstance(item, dict):
            raise InputError(f"{path}: must hold a list of objects, one for each step")
        kind, place = str(item.get("type", "")), str(item.get("path", ""))
        if not kind.startswith("sentence_transformers."):
            raise InputError(f"{path}: {kind[:80]} is code of its own, which is never run")
        name = kind.rpartition(".")[2]
        if name not in STEPS:
            raise InputError(f"{path}: a {name} module is not supported; {', '.join(STEPS)} are")
        # by its words: in a translated copy the folders are links
        if Path(place).is_absolute() or ".." in Path(place).parts or "\0" in place:
            raise InputError(f"{path}: path leads out of the folder")
        steps.append((name, folder / place))
    _check_order(path, [name for name, _ in steps if name != "Dropout"])
    if steps[0][1].resolve() != folder.resolve():
        raise InputError(
            f"{path}: the model lies in {steps[0][1].name}, as version 1 saved it; load it with"
            " SentenceTransformer and save it again"
        )
    return steps


def _check_order(path: Path, names: Sequence[str]) -> None:
    """Refuse steps in another order than that in which the graph does them."""
    expected = ("Transformer", "Pooling", "Normalize")
    if list(names) != [name for name in expected if name in names] or names[:1] != ["Transformer"]:
        raise InputError(
            f"{path}: the steps {', '.join(names) or '(none)'} are not supported in this order;"
            f" {', '.join(expected)} are, each once"
        )


def _modes(path: Path, config: dict[str, Any]) -> tuple[Mode, ...]:
    if "pooling_mode" in config:
        said = config["pooling_mode"]
        chosen = [said] if isinstance(said, str) else said
    elif any(key in config for key in OLD_MODES):
        chosen = [mode for key, mode in OLD_MODES.items() if config.get(key)] or ["mean"]
    else:
        chosen = ["mean"]
    try:
        modes = msgspec.convert(chosen, tuple[Mode, ...])
    except msgspec.ValidationError:
        modes = ()
    if not modes:
        raise InputError(f"{path}: pooling_mode: known are: {', '.join(OLD_MODES.values())}")
    return modes


def _settings(path: Path | None) -> dict[str, Any]:
    return read_object(path) if path else {}


def pooled(states: np.ndarray, mask: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Make vectors, float32 [batch, width of all modes], of hidden states [batch, tokens, width].

    mask: which tokens are no padding, [batch, tokens].
    """
    counted = mask.cumsum(axis=1) * mask  # each token's number, from 1
    kept = (counted > pooling.prompt_tokens).astype(np.float32)
    places = np.arange(len(states))
    last = kept.shape[1] - 1 - kept[:, ::-1].argmax(axis=1)
    found = []
    for mode in pooling.modes:
        if mode == "cls":
            found.append(states[places, kept.argmax(axis=1)])
        elif mode == "lasttoken":
            found.append((states * kept[..., np.newaxis])[places, last])
        elif mode == "max":
            lowest = np.finfo(np.float32).min
            found.append(np.where(kept[..., np.newaxis] > 0, states, lowest).max(axis=1))
        else:
            weights = (kept * counted if mode == "weightedmean" else kept)[..., np.newaxis]
            divisor = np.maximum(weights.sum(axis=1), TINY)
            root = np.sqrt(divisor) if mode == "mean_sqrt_len_tokens" else divisor
            found.append((states * weights).sum(axis=1) / root)
    return np.concatenate(found, axis=-1).astype(np.float32)
