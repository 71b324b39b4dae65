"""Answer the raw rows of data files with a model's own library, and write down what it said.

This file stands alone: it needs PyTorch, transformers (for an embedder with a modules.json
sentence-transformers as well) and numpy, and nothing of edgekit. `edgekit reference-script` prints
it with the values below filled in. A build runs the same code, in edgekit's environment.
"""

import csv
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

# What is answered. Paths may be changed where this runs on another machine.
MODEL = ""
TASK = ""
AUTO_CLASS = ""
BY_WORD = False
FILES: list[str] = []
COLUMNS: list[str] = []
MAX_LENGTH: int | None = None
OUT = "reference-answers.npz"

FORMAT = 1
BATCH = 32  # inputs of mixed lengths together, as they come in the file
BARE_ENCODER = "AutoModel"  # hidden states, to be pooled to one vector
# Families that get words with a blank before each, as transformers' run_ner.py has it; others
# whose tokenizers ask for it get it, too.
PREFIXED = ("bloom", "deberta", "gpt2", "roberta")
HERE: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
PACKAGES = ("transformers", "sentence-transformers", "tokenizers", "torch", "numpy")


class Library:
    """A model in the library that it was made for.

    library: its package.
    tokenizer: as the library loads it.
    model: the bare model, of transformers.
    longest: where inputs are cut, in tokens.
    side: where the tokenizer cuts, "right" or "left".
    labels: what an answer's numbers stand for; empty for vectors.
    """

    library: str
    tokenizer: Any
    model: Any
    longest: int
    side: str
    labels: list[str]

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """Count the tokens of each input before it is cut."""
        raise NotImplementedError

    def encode(self, inputs: Sequence[Any]) -> Any:  # noqa: ANN401 - a mapping
        """Make the tensors that the model gets, padded to the longest."""
        raise NotImplementedError

    def said(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer inputs that have a token each."""
        raise NotImplementedError

    def answers(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer each input: logits [labels] or [words, labels], or a vector.

        A word without a token, because it was cut or holds nothing, has NaN in place of logits, and
        so has a text without one: beside others it would get an answer that depends on them.
        """
        full = [place for place, length in enumerate(self.lengths(inputs)) if length]
        said = dict(zip(full, self.said([inputs[n] for n in full]) if full else [], strict=True))
        width = said[full[0]].shape[-1] if full else len(self.labels) or 1
        return [
            said[place]
            if place in said
            else np.full(
                width if isinstance(value, str) else (len(value), width), np.nan, dtype=np.float32
            )
            for place, value in enumerate(inputs)
        ]


class Transformers(Library):
    """A folder as transformers' own Auto classes load it, called as its pipelines call it."""

    library = "transformers"

    def __init__(
        self, folder: Path, auto_class: str, by_word: bool, max_length: int | None = None
    ) -> None:
        import transformers

        self.by_word, self.pools = by_word, auto_class == BARE_ENCODER
        self.tokenizer = load_tokenizer(folder, by_word)
        load = getattr(transformers, auto_class).from_pretrained
        model = load(folder, use_safetensors=True, **HERE)
        self.model = model.float().eval()
        self.longest = max_length or min(
            self.tokenizer.model_max_length, positions(model, model.config)
        )
        self.side = str(self.tokenizer.truncation_side)
        names = {} if self.pools else model.config.id2label
        self.labels = [str(names[index]) for index in range(len(names))]

    def lengths(self, inputs: Sequence[Any]) -> list[int]:
        """Count the tokens of each input before it is cut."""
        whole = self.tokenizer(list(inputs), is_split_into_words=self.by_word, truncation=False)
        return [len(ids) for ids in whole["input_ids"]]

    def encode(self, inputs: Sequence[Any]) -> Any:  # noqa: ANN401 - a mapping of transformers
        """Make the tensors that the model gets, padded to the longest."""
        encoded = self.tokenizer(
            list(inputs),
            padding=True,
            truncation=True,
            max_length=self.longest,
            is_split_into_words=self.by_word,
            return_tensors="np",
        )
        if "attention_mask" not in encoded:  # then the model looks at padding, too
            encoded["attention_mask"] = np.ones_like(encoded["input_ids"])
        return encoded

    def said(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        """Answer inputs that have a token each."""
        encoded = self.encode(inputs)
        known = inspect.signature(self.model.forward).parameters
        feeds = {name: torch.tensor(value) for name, value in encoded.items() if name in known}
        with torch.inference_mode():
            output = self.model(**feeds)
        if self.pools:
            return list(mean_pooled(output.last_hidden_state, feeds["attention_mask"]).numpy())
        logits = output.logits.float().numpy()
        if not self.by_word:
            return list(logits)
        return [
            of_words(logits[row], encoded.word_ids(row), len(words))
            for row, words in enumerate(inputs)
        ]


class SentenceTransformers(Library):
    """A folder as sentence-transformers loads it, asked by `encode`."""

    library = "sentence-transformers"

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        from sentence_transformers import SentenceTransformer

        self._whole = SentenceTransformer(str(folder), device="cpu", **HERE)
        self._whole.float().eval()
        self.tokenizer, self.model = self._whole.tokenizer, self._whole[0].auto_model
        self.longest = max_length or min(
            self._whole.max_seq_length, positions(self.model, self.model.config)
        )
        self._whole.max_seq_length = self.longest
        self.side = str(self.tokenizer.truncation_side)
        self.labels = []

    def lengths(self, inputs: Sequence[str]) -> list[int]:
        """Count the tokens of each input before it is cut."""
        whole = self.tokenizer(self._prompted(inputs), truncation=False)
        return [len(ids) for ids in whole["input_ids"]]

    def encode(self, inputs: Sequence[str]) -> dict[str, np.ndarray]:
        """Make the tensors that the model gets, padded to the longest."""
        make = getattr(self._whole, "preprocess", None) or self._whole.tokenize
        made = make(self._prompted(inputs))
        return {name: value.numpy() for name, value in made.items() if hasattr(value, "numpy")}

    def said(self, inputs: Sequence[str]) -> list[np.ndarray]:
        """Make a vector of each input."""
        said = self._whole.encode(list(inputs), batch_size=BATCH, show_progress_bar=False)
        return list(np.asarray(said, dtype=np.float32))

    def _prompted(self, inputs: Sequence[str]) -> list[str]:
        prompts = getattr(self._whole, "prompts", None) or {}
        prompt = prompts.get(getattr(self._whole, "default_prompt_name", None)) or ""
        return [prompt + text for text in inputs]


def load_library(
    folder: Path, auto_class: str, by_word: bool, max_length: int | None = None
) -> Library:
    """Load a folder with the library that it was made for.

    auto_class: the class of transformers that loads the model.
    by_word: inputs are words that are cut already, and each gets an answer.
    max_length: where to cut, in tokens; None: where the folder says.
    """
    if auto_class == BARE_ENCODER and (folder / "modules.json").is_file():
        return SentenceTransformers(folder, max_length)
    return Transformers(folder, auto_class, by_word, max_length)


def load_tokenizer(folder: Path, by_word: bool) -> Any:  # noqa: ANN401 - of transformers
    """Load the tokenizer as the fine-tuning scripts do, for words that are cut already or not."""
    from transformers import AutoConfig, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, **HERE)
    if not by_word:
        return tokenizer
    config = AutoConfig.from_pretrained(folder, **HERE)
    try:
        is_refused = config.model_type in PREFIXED
        tokenizer(["a"], is_split_into_words=True)
    except Exception:  # noqa: BLE001 - an assertion, or an Exception without a class of its own
        is_refused = True
    if not is_refused:
        return tokenizer
    return AutoTokenizer.from_pretrained(folder, add_prefix_space=True, **HERE)


def positions(model: Any, config: Any) -> int:  # noqa: ANN401 - of torch and transformers
    """Return how many tokens the model has positions for."""
    for module in model.modules():
        table = getattr(module, "position_embeddings", None)
        if isinstance(table, torch.nn.Embedding):
            # Where padding has a position of its own, the others are counted from behind it.
            behind = 0 if table.padding_idx is None else int(table.padding_idx) + 1
            return int(table.num_embeddings) - behind
    return int(getattr(config, "max_position_embeddings", None) or 512)


def mean_pooled(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Take the mean of the tokens' hidden states, and give it length 1."""
    weights = mask[..., None].to(states.dtype)
    mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
    return torch.nn.functional.normalize(mean, dim=1)


def of_words(logits: np.ndarray, word_ids: Sequence[int | None], count: int) -> np.ndarray:
    """Take the logits of each word's first token; NaN for a word that has none."""
    answer = np.full((count, logits.shape[-1]), np.nan, dtype=np.float32)
    last = None
    for place, word in enumerate(word_ids):
        if word is not None and word != last:
            answer[word] = logits[place]
        last = word
    return answer


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Read the rows of a CSV, JSONL or CoNLL file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".csv":
            csv.field_size_limit(16 << 20)
            yield from csv.DictReader(file, strict=True)
        elif path.suffix.lower() == ".jsonl":
            yield from (json.loads(line) for line in file if line.strip())
        else:
            words: list[str] = []
            for line in [*file, "\n"]:
                parts = line.split()
                if parts and parts[0] != "-DOCSTART-":
                    words.append(parts[0])
                elif words:
                    yield {"tokens": words}
                    words = []


def read_inputs(path: Path, columns: Sequence[str], by_word: bool) -> list[Any]:
    """Read the texts, or the words, in these columns: each row's beside each other."""
    values = [row[name] for row in read_rows(path) for name in columns]
    return [words_of(value) for value in values] if by_word else values


def words_of(value: Any) -> list[str]:  # noqa: ANN401 - a cell
    """Return the words of a list, or of the JSON array in a cell."""
    found = json.loads(value) if isinstance(value, str) and value.lstrip()[:1] == "[" else value
    if not isinstance(found, list):
        sys.exit("words are needed as a list, one for each label; how a text is cut is not asked")
    return found


def file_digest(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def answered(library: Library, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
    """Answer all inputs, and take down the tokens that they became."""
    answers: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    lengths: list[int] = []
    for start in range(0, len(inputs), BATCH):
        part = inputs[start : start + BATCH]
        answers += library.answers(part)
        lengths += library.lengths(part)
        encoded = library.encode(part)
        masks = np.asarray(encoded["attention_mask"]) == 1
        ids += [row[mask] for row, mask in zip(encoded["input_ids"], masks, strict=True)]
        print(f"{len(answers)} of {len(inputs)}", file=sys.stderr)
    width = answers[0].shape[-1]
    return {
        "answers": np.concatenate([answer.reshape(-1, width) for answer in answers]),
        "counts": np.array([answer.size // width for answer in answers], dtype=np.int64),
        "ids": np.concatenate(ids).astype(np.int64),
        "id_counts": np.array([len(row) for row in ids], dtype=np.int64),
        "lengths": np.array(lengths, dtype=np.int64),
    }


def versions() -> dict[str, str]:
    """Return the versions of the packages that had a say."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    """Write the answers to all rows of the files, and what they came from."""
    folder = Path(MODEL)
    library = load_library(folder, AUTO_CLASS, BY_WORD, MAX_LENGTH)
    arrays: dict[str, Any] = {}
    for number, name in enumerate(FILES):
        inputs = read_inputs(Path(name), COLUMNS, BY_WORD)
        for key, value in answered(library, inputs).items():
            arrays[f"{number}.{key}"] = value
    about = {
        "format": FORMAT,
        "task": TASK,
        "labels": library.labels,
        "library": library.library,
        "versions": versions(),
        "longest": int(library.longest),
        "truncation_side": library.side,
        "padding_side": str(library.tokenizer.padding_side),
        "weights": {path.name: file_digest(path) for path in sorted(folder.glob("*.safetensors"))},
        "columns": COLUMNS,
        "files": [file_digest(Path(name)) for name in FILES],
    }
    with Path(OUT).open("wb") as file:
        np.savez(file, about=np.array(json.dumps(about, allow_nan=False)), **arrays)
    print(f"{OUT}: written", file=sys.stderr)


if __name__ == "__main__":
    main()
