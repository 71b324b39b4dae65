"""Texts that are longer than their model: flagged, refused, or read in windows; none in silence."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.edge.tasks import Task, load_task, token_classification
from edgekit.edge.tasks.predictions import TRUNCATED
from edgekit.edge.tasks.windows import answered_words
from edgekit.errors import InputError
from tests.null_model import MAX_LENGTH, WORDS, tokenizer, write_text

ROOM = MAX_LENGTH - 2  # beside the special tokens
TASKS = ("text-classification", "token-classification", "feature-extraction")


def task(folder: Path, name: str, on_too_long: str | None, **more: Any) -> Task[Any]:  # noqa: ANN401
    """Return a task; on_too_long: None for a task.json of before it was asked."""
    config = {"on_too_long": on_too_long} if on_too_long else {}
    return load_task(
        write_text(folder, task=name, config={**config, **more.pop("config", {})}, **more)
    )


def tagger(folder: Path, **more: Any) -> Task[Any]:  # noqa: ANN401
    return task(folder, "token-classification", "window", **more)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("has_template", [True, False])
def test_what_is_cut_is_marked_and_nothing_else(
    tmp_path: Path, name: str, has_template: bool
) -> None:
    """A task.json that says nothing, as those of older bundles, flags."""
    for on_too_long in ("flag", None):
        found = task(tmp_path / str(on_too_long), name, on_too_long, has_template=has_template)
        room = ROOM if has_template else MAX_LENGTH
        texts = [" ".join(["pump"] * count) for count in (1, room, room + 1, 50 * room)]
        feeds = found.encode([found.parse(text) for text in texts])
        assert feeds[TRUNCATED].tolist() == [False, False, True, True]
        assert feeds["input_ids"].shape == (4, MAX_LENGTH)
        alone = [found.encode([found.parse(text)])[TRUNCATED].tolist() for text in texts]
        assert alone == [[False], [False], [True], [True]]


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("has_template", [True, False])
def test_a_refusal_has_both_numbers(tmp_path: Path, name: str, has_template: bool) -> None:
    found = task(tmp_path, name, "refuse", has_template=has_template)
    specials = 2 if has_template else 0
    for words in (MAX_LENGTH - specials + 1, 40, 999):
        with pytest.raises(InputError) as caught:
            found.encode([found.parse("pump"), found.parse(" ".join(["pump"] * words))])
        assert (
            str(caught.value)
            == f"the text has {words + specials} tokens, and the model takes at most {MAX_LENGTH}"
        )
    fits = found.parse(" ".join(["pump"] * (MAX_LENGTH - specials)))
    assert not found.encode([fits])[TRUNCATED].any()
    for value in found.made_inputs(16, 20):
        found.encode([found.parse(value)])


@pytest.mark.parametrize("name", ["text-classification", "feature-extraction"])
def test_one_answer_for_a_whole_text_is_not_made_of_windows(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="on_too_long"):
        task(tmp_path, name, "window")


@pytest.mark.parametrize("has_template", [True, False])
def test_every_word_is_answered_once_where_it_has_most_context(
    tmp_path: Path, has_template: bool
) -> None:
    found = tagger(tmp_path, has_template=has_template)
    room = MAX_LENGTH - (2 if has_template else 0)
    rng = random.Random(1)
    documents = [
        [rng.choice(WORDS[:8]) + rng.choice(["", "s"]) for _ in range(count)]
        for count in (0 if has_template else 1, 1, 9, 10, 11, 12, 13, 25, 80, 333)
    ]
    feeds = found.encode([found.parse(words) for words in documents])
    assert TRUNCATED not in feeds
    # The logits of a token are its window and its place, so that an answer says where it is from.
    rows, width = feeds["input_ids"].shape
    from_row, from_place = np.indices((rows, width))
    logits = np.stack([from_row, from_place, from_place], axis=-1).astype(np.float32)
    answers = found.answers({"logits": logits}, feeds)
    assert [len(answer) for answer in answers] == [len(words) for words in documents]
    for owner, (words, answer) in enumerate(zip(documents, answers, strict=True)):
        windows = np.flatnonzero(feeds["owners"] == owner)
        token = 0
        for word, (row, place, _) in zip(words, answer.astype(int), strict=True):
            assert feeds["input_ids"][row, place] == tokenizer().token_to_id(word.removesuffix("s"))
            best = _best_context(token, len(windows), _tokens(words), room)
            length = int(feeds["attention_mask"][row].sum()) - (MAX_LENGTH - room)
            inside = place - (1 if has_template else 0)
            assert min(inside, length - 1 - inside) == best
            token += 1 + word.endswith("s")


def _tokens(words: list[str]) -> int:
    return sum(1 + word.endswith("s") for word in words)


def _best_context(token: int, windows: int, tokens: int, room: int) -> int:
    """Try every window: how many tokens stand on the poorer side of a token, at best."""
    step = room - room // 4
    spans = [(number * step, min(number * step + room, tokens)) for number in range(windows)]
    assert spans[-1][1] == tokens, "the windows end where the document does"
    return max(min(token - start, end - 1 - token) for start, end in spans if start <= token < end)


def test_a_word_that_is_longer_than_a_window_hides_no_other(tmp_path: Path) -> None:
    found = tagger(tmp_path)
    words = ["pump", "belt" + "s" * 60, "hose", "slip"]
    feeds = found.encode([found.parse(words)])
    assert len(feeds["owners"]) > 5
    logits = np.repeat(feeds["input_ids"][..., np.newaxis], 3, axis=2).astype(np.float32)
    [answer] = found.answers({"logits": logits}, feeds)
    firsts = [tokenizer().token_to_id(word) for word in ("pump", "belt", "hose", "slip")]
    assert answer[:, 0].tolist() == firsts


def test_a_document_that_fits_is_read_as_it_would_be_without_windows(tmp_path: Path) -> None:
    windows, flags = tagger(tmp_path / "a"), task(tmp_path / "b", "token-classification", "flag")
    for words in ([], ["pumps"] * 5, ["pump"] * ROOM):
        ours, plain = (item.encode([item.parse(words)]) for item in (windows, flags))
        assert plain.pop(TRUNCATED).tolist() == [False]
        assert {name: value.tolist() for name, value in ours.items()} == {
            name: value.tolist() for name, value in plain.items()
        }


def test_windows_of_one_token_are_windows_too() -> None:
    small = tokenizer()
    small.enable_truncation(max_length=3)
    found = small.encode(["pump", "belts", "hose"], is_pretokenized=True)
    rows = answered_words([found, *found.overflowing], 1)
    assert [row.tolist() for row in rows] == [[-1, 0, -1], [-1, 1, -1], [-1, -1, -1], [-1, 2, -1]]


@pytest.mark.parametrize("name", TASKS)
def test_a_text_without_a_token_is_refused_alone_and_beside_others(
    tmp_path: Path, name: str
) -> None:
    """Where the tokenizer adds no special tokens, an empty text is nothing; else it is two."""
    with_template = task(tmp_path / "a", name, "flag")
    assert with_template.encode([with_template.parse("")])["input_ids"].tolist() == [[2, 3]]
    without = task(tmp_path / "b", name, "flag", has_template=False)
    for text in ("", " \t\n", "\x00\x01"):
        for others in ([], ["pump"]):
            with pytest.raises(InputError, match="no token that the model could read"):
                without.encode([without.parse(value) for value in [*others, text]])


def test_a_document_is_bounded_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_classification, "MAX_WORDS", 40)
    found = tagger(tmp_path)
    for value in ("pump " * 41, ["pump"] * 41, "!" * 90_000):
        with pytest.raises(InputError, match="at most 40 words"):
            found.parse(value)
    assert found.length(found.parse("pump " * 40)) == 40
    found.encode([found.parse(["pump"] * 38)])  # and two special tokens
    with pytest.raises(InputError, match="has 42 tokens, and a document may have at most 40"):
        found.encode([found.parse(["pumps"] * 20)])
    with pytest.raises(InputError, match="at most 100000 characters"):
        found.parse(["x" * 60_000, "y" * 60_000])
    with pytest.raises(InputError, match="must be a text"):
        found.parse(["pump", 5])


def test_no_room_beside_the_special_tokens_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="max_length = 2 leaves no room"):
        tagger(tmp_path, config={"max_length": 2})
