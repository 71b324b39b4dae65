"""Words: where a text of any script is cut, and that nothing of it is lost on the way."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.edge.tasks.words import word_spans

DECOMPOSED = unicodedata.normalize("NFD", "한국어 café")
BLANK = ("Cc", "Cf", "Zl", "Zp", "Zs")


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the pump, line_2", ["the", "pump", ",", "line_2"]),
        ("don't 3.5 a-b", ["don", "'", "t", "3", ".", "5", "a", "-", "b"]),
        ("O\u2019Brien", ["O", "\u2019", "Brien"]),
        ("co\u00adop \u200fשלום\u200f", ["co\u00adop", "שלום"]),  # soft hyphen, direction marks
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs and virama are marks
        ("क्\u200dष", ["क्\u200dष"]),  # a joiner within a conjunct
        ("தமிழ் বাংলা", ["தமிழ்", "বাংলা"]),
        ("السَّلَامُ عَلَيْكُم", ["السَّلَامُ", "عَلَيْكُم"]),
        ("שָׁלוֹם", ["שָׁלוֹם"]),
        ("北京 v2", ["北", "京", "v2"]),
        ("東京タワーに", ["東", "京", "タワー", "に"]),
        ("か\u3099\u304d", ["か\u3099", "き"]),  # a voicing mark of its own
        ("ไทยก็", ["ไ", "ท", "ย", "ก็"]),
        ("한국어", ["한국어"]),
        (DECOMPOSED, DECOMPOSED.split()),
        ("👩\u200d👩\u200d👧 👍🏽🇩🇪🇫🇷", ["👩\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇫🇷"]),
        ("1\ufe0f\u20e3 ❤\ufe0f", ["1\ufe0f\u20e3", "❤\ufe0f"]),
        ("\ufeffpump\x00leak\u200b", ["pump", "leak"]),
        (" \u0301 \u0301x", ["\u0301", "\u0301x"]),
        ("", []),
        (" \t\n\u3000", []),
    ],
)  # fmt: skip
def test_texts_are_cut(text: str, expected: list[str]) -> None:
    assert words(text) == expected


ODD = "ab1_'-. \u0301\u00ad\u200d\u200c\u0939\u093f\u094d\u5317\u3042\u30a2\u0e01\u0e47"
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text(ODD + "\u0644\u064e👩🏽🇩")


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_nothing_but_blanks_lies_between_words(text: str) -> None:
    before = 0
    for start, end in [*word_spans(text), (len(text), len(text))]:
        assert before <= start
        assert all(unicodedata.category(char) in BLANK for char in text[before:start])
        before = end
    assert all(words(word) == [word] for word in words(text))


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_composed_and_decomposed_texts_have_the_same_words(text: str) -> None:
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert [unicodedata.normalize("NFC", word) for word in words(apart)] == [
        unicodedata.normalize("NFC", word) for word in words(composed)
    ]
