"""Folders saved by a newer transformers than the installed one: translated, key by key, or refused.

transformers 4 reads much of what transformers 5 writes wrongly and in silence: it passes over
`rope_parameters` and computes with bases of its own. So such a folder is read through a translated
copy: its JSON files are written anew, everything else is linked. What can't be translated by name
is refused here, and a key that nobody knows is refused by `check.py`.
"""

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

from edgekit.errors import InputError
from edgekit.files import new_folder
from edgekit.nouns import Noun
from edgekit.quantize.config_json import read_config, read_object

Config = dict[str, Any]
FIVE = 5  # the version whose folders version 4 reads wrongly
FAST = "PreTrainedTokenizerFast"
# What only transformers 5 writes into tokenizer_config.json.
MARKS = ("backend", "is_local", "model_specific_special_tokens")
# model_type: what transformers 4 calls the bases of the layers that see all of a text, and part.
NESTED_BASES = {
    "modernbert": ("global_rope_theta", "local_rope_theta"),
    "gemma3_text": ("rope_theta", "rope_local_base_freq"),
}


class Newer(Noun, frozen=True, kw_only=True):
    """A folder that a newer library wrote than the installed one.

    written_by: the library and its version, as far as the folder tells.
    installed: the version that is installed.
    translated: the settings that only the newer version reads, as file: key. Beside them the folder
        holds none, once `check.py` has passed it.
    """

    written_by: str
    installed: str
    translated: tuple[str, ...]

    @property
    def line(self) -> str:
        """Say it to the user."""
        what = ", ".join(self.translated) or "nothing, as it holds no setting of that version alone"
        return (
            f"written by {self.written_by}; transformers {self.installed} is installed; translated:"
            f" {what}"
        )


def newer(folder: Path) -> Newer | None:
    """Tell whether a newer transformers wrote a folder, and what is translated by name.

    None where the installed one reads it as it is. Raises InputError for what has no translation.
    """
    return _translate(folder)[0]


def is_translated(folder: Path) -> bool:
    """Tell whether all that only a newer library reads in a folder is translated by name.

    True for a folder of the installed version, which holds no such thing.
    """
    try:
        newer(folder)
    except InputError:
        return False
    return True


def readable_folder(folder: Path, out: Path) -> Path:
    """Return the folder, or a copy in `out` as the installed version would have written it.

    Raises InputError.
    """
    found, files = _translate(folder)
    if found is None or not files:
        return folder
    if not out.is_dir():
        with new_folder(out) as work:
            for path in sorted(folder.iterdir()):
                if path.name not in files:
                    _link(path.resolve(), work / path.name)
            for name, content in files.items():
                (work / name).write_text(json.dumps(content, indent=2, ensure_ascii=False), "utf-8")
    return out


def _link(path: Path, link: Path) -> None:
    try:
        link.symlink_to(path)
    except OSError:  # a file system without links
        shutil.copytree(path, link) if path.is_dir() else shutil.copyfile(path, link)


def _translate(folder: Path) -> tuple[Newer | None, dict[str, Config]]:
    """Return what there is to say, and the files that are to be written anew."""
    installed = _installed()
    if not (folder / "config.json").is_file() or not 0 < _major(installed) < FIVE:
        return None, {}
    path = folder / "tokenizer_config.json"
    config, tokenizer = read_config(folder), read_object(path) if path.is_file() else {}
    version = str(config.get("transformers_version", ""))
    is_newer = _major(version) >= FIVE or "rope_parameters" in config
    if not (is_newer or _is_of_five(tokenizer)):
        return None, {}
    files: dict[str, Config] = {}
    done: list[str] = []
    if keys := _todays_config(folder, config):
        files["config.json"] = config
        done += [f"config.json: {key}" for key in keys]
    if _is_of_five(tokenizer):
        keys = _todays_tokenizer(folder, tokenizer)
        files["tokenizer_config.json"] = tokenizer
        done += [f"tokenizer_config.json: {key}" for key in keys]
    named = version if _major(version) >= FIVE else f"{FIVE} or later"
    return Newer(
        written_by=f"transformers {named}", installed=installed, translated=tuple(done)
    ), files


def _installed() -> str:
    try:
        return importlib.metadata.version("transformers")
    except importlib.metadata.PackageNotFoundError:  # whoever needs it will say so
        return ""


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else 0


def _is_of_five(config: Config) -> bool:
    return (
        config.get("tokenizer_class") == "TokenizersBackend"
        or any(key in config for key in MARKS)
        or isinstance(config.get("extra_special_tokens"), list)
    )


def _todays_config(folder: Path, config: Config) -> list[str]:
    """Change config.json; return the keys that were translated."""
    path, kind = folder / "config.json", config.get("model_type")
    done = []
    if "rope_parameters" in config:
        said = config.pop("rope_parameters") or {}
        if not isinstance(said, dict):
            raise InputError(f"{path}: rope_parameters: must be an object")
        if any(isinstance(value, dict) for value in said.values()):
            config.update(_nested_bases(path, str(kind), said))
        else:
            config.update(_flat_bases(path, said))
        done.append("rope_parameters")
    if kind == "modernbert" and "layer_types" in config:
        config["global_attn_every_n_layers"] = _every(path, config.pop("layer_types"))
        done.append("layer_types")
    return done


def _flat_bases(path: Path, said: Config) -> Config:
    """Translate one set of rotary settings, which all layers share."""
    known = dict(said)
    kind = known.pop("rope_type", "default")
    found: Config = {
        key: known.pop(key) for key in ("rope_theta", "partial_rotary_factor") if key in known
    }
    if kind == "default" and known:
        raise InputError(f"{path}: rope_parameters: {min(known)} has no meaning to transformers 4")
    return found if kind == "default" else found | {"rope_scaling": {"rope_type": kind, **known}}


def _nested_bases(path: Path, kind: str, said: Config) -> Config:
    """Translate the rotary settings of two kinds of layers."""
    if kind not in NESTED_BASES or not set(said) <= {"full_attention", "sliding_attention"}:
        raise InputError(
            f"{path}: rope_parameters: has no translation for {kind} to the installed transformers"
        )
    found = {}
    for key, layers in zip(
        NESTED_BASES[kind], ("full_attention", "sliding_attention"), strict=True
    ):
        own = said.get(layers) or {}
        if not isinstance(own, dict):
            raise InputError(f"{path}: rope_parameters: {layers} must be an object")
        flat = _flat_bases(path, own)
        if set(flat) - {"rope_theta"}:
            raise InputError(
                f"{path}: rope_parameters: {layers} has more than rope_theta, for which the"
                f" installed transformers has no place in {kind}"
            )
        if "rope_theta" in flat:
            found[key] = flat["rope_theta"]
    return found


def _every(path: Path, layers: object) -> int:
    """Return which layers see all of a text: every how many, from the first."""
    listed = layers if isinstance(layers, list) else []
    for step in range(1, len(listed) + 1):
        pattern = [
            "sliding_attention" if n % step else "full_attention" for n in range(len(listed))
        ]
        if listed == pattern:
            return step
    raise InputError(
        f"{path}: layer_types: the installed transformers has only every n-th layer see all of a"
        " text, from the first"
    )


def _todays_tokenizer(folder: Path, config: Config) -> list[str]:
    """Change tokenizer_config.json; return the keys that were translated.

    tokenizer.json holds the tokenizer as transformers 5 saved it, so it is taken as it is: the
    classes of transformers 4 would put their own defaults over it.
    """
    path = folder / "tokenizer.json"
    named = config.get("tokenizer_class")
    if not path.is_file():
        raise InputError(
            f"{folder / 'tokenizer_config.json'}: tokenizer_class = {named!r} of transformers 5 and"
            " no tokenizer.json; save the tokenizer with a fast class, which writes one"
        )
    done = []
    if named != FAST:
        config["tokenizer_class"] = FAST
        done.append("tokenizer_class")
    extra = config.get("extra_special_tokens")
    if isinstance(extra, list):
        config["additional_special_tokens"] = config.pop("extra_special_tokens")
        done.append("extra_special_tokens")
    if "model_specific_special_tokens" in config:
        config["extra_special_tokens"] = config.pop("model_specific_special_tokens")
        done.append("model_specific_special_tokens")
    cutter = read_object(path).get("pre_tokenizer")
    first = cutter.get("add_prefix_space") if isinstance(cutter, dict) else None
    if first is not None and config.get("add_prefix_space") != first:
        config["add_prefix_space"] = first
        done.append("add_prefix_space")
    if "model_input_names" not in config:  # what version 5 takes without it
        config["model_input_names"] = ["input_ids", "attention_mask"]
    return done
