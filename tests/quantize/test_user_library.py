"""Tags, words and tokens beside the libraries that users know: transformers and tokenizers."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, TokenClassificationPipeline

from edgekit.edge.tasks.tags import TagScheme
from edgekit.edge.tasks.text import load_tokenizer
from edgekit.edge.tasks.words import word_spans
from edgekit.quantize.huggingface import write_task
from tests.families import FAMILIES, make_family

BIO = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_family("bert", "text-classification", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> TokenClassificationPipeline:
    """Make the pipeline without a model: only how it groups labels is asked."""
    made = TokenClassificationPipeline.__new__(TokenClassificationPipeline)
    made.tokenizer = AutoTokenizer.from_pretrained(folder)
    return made


def grouped(pipeline: TokenClassificationPipeline, labels: list[str]) -> list[tuple[str, int, int]]:
    """Return what the pipeline makes of one label for each word."""
    words: list[dict[str, Any]] = [
        {"entity": label, "word": "pump", "score": 1.0, "start": place, "end": place + 1}
        for place, label in enumerate(labels)
    ]
    groups = pipeline.group_entities(words)
    found = [(item["entity_group"], item["start"], item["end"]) for item in groups]
    return [item for item in found if item[0] != "O"]


@settings(max_examples=200, deadline=None)
@given(labels=st.lists(st.sampled_from(BIO), min_size=1, max_size=8))
def test_bio_is_grouped_as_the_pipeline_groups_it(
    pipeline: TokenClassificationPipeline, labels: list[str]
) -> None:
    """Odd sequences, too: an I after an O, or after another kind."""
    assert [tuple(span) for span in TagScheme(BIO).spans(labels)] == grouped(pipeline, labels)


def test_an_end_is_an_entity_to_the_pipeline_and_an_end_to_edgekit(
    pipeline: TokenClassificationPipeline,
) -> None:
    labels = ["B-PER", "L-PER", "U-PER"]
    assert grouped(pipeline, labels) == [("PER", 0, 1), ("PER", 1, 2), ("PER", 2, 3)]
    scheme = TagScheme(["O", "I-PER", *labels])
    assert [tuple(span) for span in scheme.spans(labels)] == [("PER", 0, 2), ("PER", 2, 3)]


@pytest.mark.parametrize("text", ["a [SEP] b", "[CLS][PAD]", "pump [MASK]", "<s> [UNK]", "[sep]"])
def test_control_tokens_in_a_text_are_what_transformers_makes_of_them(
    folder: Path, tmp_path: Path, text: str
) -> None:
    write_task(folder, "text-classification", None, "flag", tmp_path)
    own = load_tokenizer(tmp_path).encode(text).ids
    assert own == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]


BERT: Tokenizer = FAMILIES["bert"][1]()
# Marks behind letters: behind a dot, where no language has them, BERT gives them to what follows.
PARTS = ["pump", "leak", " ", ",", "'", "-", "_", "42", "\u00e9", "e\u0301", "co\u00adop"]
PARTS += ["\u5317", "\u4eac", "\u0939\u093f", "\u0928\u094d", "\u0633\u0651\u064e", "\u0644"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PARTS)).map("".join))
def test_words_give_the_tokens_that_a_bert_makes_of_the_text(text: str) -> None:
    """So a model sees what it was trained on, in any script that BERT itself cuts."""
    words = [text[start:end] for start, end in word_spans(text)]
    assert BERT.encode(words, is_pretokenized=True).ids == BERT.encode(text).ids
