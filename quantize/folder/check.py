"""Every key of a model's folder, looked up in the table: read, idle, refused, or warned of."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from edgekit.errors import InputError
from edgekit.nouns import Noun
from edgekit.quantize.config_json import config_labels, read_config, read_json_file, read_object
from edgekit.quantize.folder import keys
from edgekit.quantize.folder.keys import Rule, Table
from edgekit.quantize.folder.newer import newer
from edgekit.quantize.pooling import pooling_settings, read_pooling, transformer_settings
from edgekit.quantize.source import Source
from edgekit.quantize.sources import SourceTask, source_task

KNOWN_SENTENCE_TRANSFORMERS = 5  # the newest version whose files pooling.py reads
TOKENIZER_FILES: dict[str, Table] = {
    "tokenizer_config.json": keys.TOKENIZER_CONFIG,
    "tokenizer.json": keys.TOKENIZER_JSON,
    "special_tokens_map.json": keys.SPECIAL_TOKENS_MAP,
}
SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"
CROSS_ENCODER = "sequence-classification"  # what Sentence Transformers calls that task
SENTENCE_FILES = (SENTENCE_TRANSFORMERS, "sentence_bert_config.json", "1_Pooling")
# What a cross-encoder makes of its outputs, by the end of the name of the class.
ACTIVATIONS = {"Identity": "none", "Softmax": "softmax", "Sigmoid": "sigmoid"}
TEXTS = ({"method": "forward", "method_output_name": "last_hidden_state"},
         {"method": "forward", "method_output_name": ["last_hidden_state"]},
         {"method": "forward", "method_output_name": "logits"},
         {"method": "forward", "method_output_name": ["logits"]})  # fmt: skip


class Key(Noun, frozen=True, kw_only=True):
    """What was done with one key of a folder's file.

    verdict: read; idle, where no answer depends on it; unknown, where that is not known.
    why: who reads it, or why nothing depends on it.
    """

    file: str
    key: str
    verdict: Literal["read", "idle", "unknown"]
    why: str


class FolderReport(Noun, frozen=True, kw_only=True):
    """What was done with every key of a folder, and what the user should know of it.

    keys: of every file, in the order of the files.
    warnings: a line each.
    """

    keys: tuple[Key, ...] = ()
    warnings: tuple[str, ...] = ()


def check_folder(source: Source) -> FolderReport:
    """Look up every key of a Hugging Face folder; raises InputError for one that is refused.

    A key that nothing is known of is an error where a newer library wrote the file: it may be one
    of the settings that only that version reads.
    """
    folder, named = Path(source.path), Path(source.origin or source.path)
    found, late = newer(named), _late_version(folder)
    found_keys: list[Key] = []
    for file, content, table in _files(folder, source):
        found_keys += _look_up(named / file, file, content, table)
    _check_outputs(named / "config.json", folder, source_task(source.task))
    unknown = [item for item in found_keys if item.verdict == "unknown"]
    for item in unknown:
        is_library = item.file == "config.json" or item.file in TOKENIZER_FILES
        writer = (found.written_by if found else "") if is_library else late
        if writer:
            raise InputError(
                f"{named / item.file}: {item.key}: not known here, and {writer} wrote the folder:"
                " remove the key if no answer depends on it, or save the folder with the installed"
                " version"
            )
    warnings = [f"{named}: {found.line}"] if found else []
    if late:
        warnings.append(f"{named / SENTENCE_TRANSFORMERS}: written by {late}; every key is known")
    warnings += [f"{named / item.file}: {item.key}: {item.why}" for item in unknown]
    if source_task(source.task).pools and not (folder / "modules.json").is_file():
        warnings.append(
            f"{named}: no modules.json: a vector is the mean over the tokens, and gets length 1"
        )
    warnings += _passed_over(named, folder)
    return FolderReport(keys=tuple(found_keys), warnings=tuple(warnings))


def _files(folder: Path, source: Source) -> Iterator[tuple[str, dict[str, Any], Table]]:
    """Yield each file that the folder has, with its content and its table."""
    config = read_config(folder)
    kind = str(config.get("model_type"))
    own = keys.model_keys(kind) or frozenset()
    yield "config.json", config, {
        **{name: Rule("read", keys.MODEL) for name in own}, **keys.CONFIG
    }  # fmt: skip
    for name, table in TOKENIZER_FILES.items():
        if (folder / name).is_file():
            yield name, read_object(folder / name), table
    if (folder / "modules.json").is_file():
        yield from _sentence_files(folder, source.task)


def _sentence_files(folder: Path, task: str) -> Iterator[tuple[str, dict[str, Any], Table]]:
    """Yield the files of Sentence Transformers."""
    pools = source_task(task).pools
    read_pooling(folder)  # which refuses what it can't follow
    pooling, settings = pooling_settings(folder), transformer_settings(folder)
    for item in read_json_file(folder / "modules.json"):
        yield "modules.json", item, keys.MODULES
    if settings:
        said = read_object(settings)
        _check_transformer(settings, said, task)
        yield settings.name, said, keys.SENTENCE_BERT
    if pooling and pools:
        yield pooling.relative_to(folder).as_posix(), read_object(pooling), keys.POOLING
    path = folder / SENTENCE_TRANSFORMERS
    if path.is_file():
        described, right = read_object(path), "SentenceTransformer" if pools else "CrossEncoder"
        if described.get("model_type", right) != right:
            raise InputError(f"{path}: model_type: for this task it must be {right}")
        yield path.name, described, keys.SENTENCE_TRANSFORMERS


def _check_transformer(path: Path, said: dict[str, Any], task: str) -> None:
    """Refuse a first step that is not an encoder of texts, or not for the task."""
    if said.get("transformer_task", task) not in (task, CROSS_ENCODER):
        raise InputError(f"{path}: transformer_task: for this model it must be {task}")
    modality = said.get("modality_config")
    if isinstance(modality, dict) and modality.get("text") not in TEXTS:
        raise InputError(
            f"{path}: modality_config: text: only a model's last hidden state, or its logits, are"
            " taken"
        )


def _look_up(path: Path, file: str, content: dict[str, Any], table: Table) -> list[Key]:
    """Return what is done with each key of a file; raises InputError for one that is refused."""
    found = []
    for key, value in content.items():
        rule = table.get(key)
        if rule is None:
            why = "edgekit does not know this key and passes over it"
            found.append(Key(file=file, key=key[:80], verdict="unknown", why=why))
        elif rule.verdict != "refused":
            found.append(Key(file=file, key=key, verdict=rule.verdict, why=rule.why))
        elif not any(type(value) is type(item) and value == item for item in rule.harmless):
            raise InputError(f"{path}: {key}: {rule.why}")
        else:
            found.append(
                Key(file=file, key=key, verdict="idle", why="is at a value that changes nothing")
            )
    return found


def _late_version(folder: Path) -> str:
    """Name the version of Sentence Transformers that wrote a folder, where it is a later one."""
    path = folder / SENTENCE_TRANSFORMERS
    if not (folder / "modules.json").is_file() or not path.is_file():
        return ""
    versions = read_object(path).get("__version__")
    said = str(versions.get("sentence_transformers", "")) if isinstance(versions, dict) else ""
    first = said.partition(".")[0]
    is_late = first.isdecimal() and int(first) > KNOWN_SENTENCE_TRANSFORMERS
    return f"sentence-transformers {said[:20]}" if is_late else ""


def _check_outputs(path: Path, folder: Path, task: SourceTask) -> None:
    """Refuse what a classifier's folder makes of its outputs where the task makes another thing."""
    if task.pools or task.by_word:
        return
    config = read_config(folder)
    labels = len(config_labels(folder))
    kind = config.get("problem_type")
    if kind == "regression" and labels > 1:
        raise InputError(f"{path}: problem_type = regression: its outputs are no labels")
    right = "sigmoid" if kind == "multi_label_classification" else "softmax"
    for key, said in _functions(folder, config):
        if labels > 1 and said not in ("none", right):
            raise InputError(
                f"{path}: {key} asks for {said} over {labels} outputs, and problem_type ="
                f" {kind or 'single_label_classification'} for {right}; make them agree"
            )


def _functions(folder: Path, config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is made of the outputs, with the key that says so."""
    function = config.get("function_to_apply")
    if isinstance(function, str):
        yield "function_to_apply", function.lower()
    section = config.get("sentence_transformers")
    path = folder / SENTENCE_TRANSFORMERS
    both = read_object(path) if path.is_file() and (folder / "modules.json").is_file() else {}
    for key, named in (
        ("sentence_transformers.activation_fn", section),
        ("sbert_ce_default_activation_function", config),
        ("activation_fn", both),
    ):
        said = named.get(key.rpartition(".")[2]) if isinstance(named, dict) else None
        if isinstance(said, str):
            name = said.rpartition(".")[2]
            yield key, ACTIVATIONS.get(name, name[:40])


def _passed_over(named: Path, folder: Path) -> list[str]:
    """Say which settings of Sentence Transformers its `encode` passes over, and so edgekit."""
    if not (folder / "modules.json").is_file():
        return [
            f"{named / name}: passed over, since there is no modules.json"
            for name in SENTENCE_FILES
            if (folder / name).exists()
        ]
    path = folder / SENTENCE_TRANSFORMERS
    described = read_object(path) if path.is_file() else {}
    prompts = described.get("prompts")
    texts = [name for name, text in prompts.items() if text] if isinstance(prompts, dict) else []
    if not texts or described.get("default_prompt_name") is not None:
        return []
    warning = (
        f"{named / path.name}: prompts: {', '.join(texts)}: edgekit answers as encode does, without"
        " a prompt; put one into the texts, or name it in default_prompt_name"
    )
    return [warning]
