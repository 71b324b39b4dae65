"""How a text is cut into words, in any script: what a tagger gives a label.

The rule is that of Unicode's word boundaries (UAX 29) with fewer exceptions, as models are trained:

* letters, digits and "_" side by side are a word, with the marks on them (accents, vowel signs of
  Devanagari, points of Hebrew and Arabic) and what is invisible between them (soft hyphens,
  joiners);
* a character of a script that is written without spaces is a word by itself, as BERT has it for
  Chinese: Han, Hiragana, Thai, Lao, Khmer, Myanmar, Tai;
* any other sign is a word by itself, an apostrophe or a hyphen within a word, too, as BERT has it;
  an emoji is one sign, however many code points it is made of.

White space, control characters and what is invisible by itself belong to no word.
"""

import re
import unicodedata
from functools import cache

# Code points of scripts that are written without spaces: the first and the last of each block.
SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, signs of Khmer
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x3041, 0x309F),  # Hiragana
    (0x3400, 0x4DBF),  # Han, here and below
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Myanmar
    (0xAA60, 0xAADF),  # Myanmar, Tai Viet
    (0xF900, 0xFAFF),
    (0x1B000, 0x1B16F),  # Hiragana
    (0x20000, 0x3FFFF),
)
# Where marks and invisible characters lie: everywhere else there are none.
LOOKED_AT = (range(0x300, 0x20000), range(0xE0000, 0xE0200))
ASCII = re.compile(r"\w+|[^\w\s\x00-\x1f\x7f]", re.ASCII)


def word_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return for each word of a text the characters from and to."""
    pattern = ASCII if text.isascii() else _any_script()
    return tuple(match.span() for match in pattern.finditer(text))


@cache
def _any_script() -> re.Pattern[str]:
    marks, invisible = _class("Mn", "Mc", "Me"), _class("Cf") + "\u00ad"
    alone = "".join(f"{chr(first)}-{chr(last)}" for first, last in SPACELESS)
    letter = rf"(?:[^\W{alone}][{marks}]*)"
    single = rf"(?:(?=\w)[{alone}][{marks}]*)"
    # Skin tones and the flags' tag letters belong to the emoji before them.
    sign = rf"(?:[^\w\s\x00-\x1f\x7f-\x9f{invisible}{marks}][{marks}\U0001f3fb-\U0001f3ff]*"
    sign += r"[\U000e0020-\U000e007f]*)"
    flag = r"[\U0001f1e6-\U0001f1ff]{2}"
    word = rf"[{marks}]*{letter}(?:[{invisible}]*{letter})*"
    return re.compile(rf"{word}|{single}|{flag}|{sign}(?:\u200d{sign})*|[{marks}]+")


def _class(*categories: str) -> str:
    """Return the characters of some categories, as a class of a regular expression lists them."""
    return "".join(
        chr(code)
        for codes in LOOKED_AT
        for code in codes
        if unicodedata.category(chr(code)) in categories
    )
