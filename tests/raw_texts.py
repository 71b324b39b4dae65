"""Make raw texts as people and machines send them, odd ones among them, from a seed."""

import random
import unicodedata
from collections.abc import Callable, Iterator
from typing import Literal

from tests.families import CORPUS, WORLD

WORDS = sorted({word for line in CORPUS for word in line.split()})


def _items(line: str) -> list[str]:
    """Cut a line at its blanks."""
    return line.split(" ")


ACCENTS = _items("café größer señal Ångström naïve Öl ệ ǖ żółć Š e\u0301\u0323")
EMOJI = [
    *_items("😀 🔧 👍🏽 🇩🇪 1️⃣ ⚠️ \u200d \ufe0f"),
    "👩\u200d🔧",
    "👨\u200d👩\u200d👧\u200d👦",
    "❤\ufe0f\u200d🔥",
    "🏴\u200d☠\ufe0f",
]
SPECIAL = _items("[SEP] [CLS] [PAD] [UNK] [MASK] <s> </s> <pad> <unk> <mask> <|endoftext|>")
PIECES = _items("##ing ▁pump Ġhose Ċ <0x0A> ## ▁ Ġ [unused1]")
URLS = [
    *_items("https://plant.example:8080/line/2?pump=P3&state=leak#top mailto:shift@plant.example"),
    *_items("www.example.com/ /var/log/pump.log ftp://[::1]/x 10.0.0.7:502 a@b.c"),
    "C:\\plant\\line2\\pump.log",
]
NUMBERS = _items("1,234.5 12.5 ½ ² ٣٤ １２ 1e-9 -0 +49 0x1F Ⅷ 10\u00a0000 1'000")
MARKUP = [
    *_items("<b>leak</b> <br/> &nbsp;&amp;&#x1F527; <script>alert(1)</script>"),
    "<!-- x -->",
    '<a href="x">hose</a>',
]
QUOTES = _items("\" ' “leak” ‘hot’ «Öl» „warm“ it's don't '' \"\" `x` pump's")
CASES = _items("PUMP İstanbul ıSIK STRAẞE straße ﬁlter ǅ ΣΊΣΥΦΟΣ ŉ ᏣᎳᎩ K")
WIDE = _items("ｐｕｍｐ ＬＥＡＫ！ ㍿ ㎏ ™ ①② ﾎﾟﾝﾌﾟ … ‥")
INVISIBLE = list("\u200b\u200c\u200d\ufeff\u2060\u00ad\u180e\u034f")
DIRECTIONS = list("\u200e\u200f\u202a\u202e\u202c\u2066\u2069\u061c")
CONTROL = [chr(code) for code in (*range(1, 9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))]
BLANKS = list(" \u00a0\u3000\u2003\u2009\u202f\u1680\t\v\x1c\x85")
BREAKS = ["\n", "\r\n", "\r", "\t", "\n\n", "\u2028", "\u2029", "\x0c", " \n "]
PRIVATE = list("\ue000\ufffd\ufffe\uffff\U0010ffff\U000f0000\u0378\ufdd0")
SURROGATES = ["\ud800", "\udfff", "\ud83d", "\ude00", "\ud83dx", "\ude00\ud83d"]
JOINED = [
    *_items("[1,2] null =1+1 $(reboot) %s%n {{7*7}}"),
    '{"inputs": ["leak"]}',
    "Robert'); DROP TABLE pumps;--",
]
Make = Callable[[random.Random], str]


def words(rng: random.Random, least: int = 1, most: int = 12) -> list[str]:
    """Draw words of the corpus."""
    return rng.choices(WORDS, k=rng.randint(least, most))


def plain(rng: random.Random) -> str:
    """Make a text of plain words."""
    return " ".join(words(rng))


def among(items: list[str], glue: str = " ") -> Make:
    """Return what puts some of these between plain words, or makes a text of nothing else."""

    def make(rng: random.Random) -> str:
        if rng.random() < 0.2:
            return glue.join(rng.choices(items, k=rng.randint(1, 4)))
        text = words(rng, 2, 8)
        for _ in range(rng.randint(1, 3)):
            text.insert(rng.randint(0, len(text)), rng.choice(items))
        return glue.join(text) if rng.random() < 0.8 else "".join(text)

    return make


def inside(items: list[str]) -> Make:
    """Return what puts some of these anywhere in a text, within words too."""

    def make(rng: random.Random) -> str:
        text = plain(rng)
        for _ in range(rng.randint(1, 5)):
            place = rng.randint(0, len(text))
            text = text[:place] + rng.choice(items) + text[place:]
        return text

    return make


def script(*names: str) -> Make:
    """Return what cuts a piece out of the corpus's lines in the scripts of these names."""
    lines = [line for line in WORLD if any(_is_of(line, name) for name in names)]

    def make(rng: random.Random) -> str:
        line = rng.choice(lines)
        start = rng.randint(0, max(0, len(line) - 4))
        piece = line[start : start + rng.randint(1, 50)]
        return piece if rng.random() < 0.7 else f"{plain(rng)} {piece}{rng.choice(['', '!', ' 3'])}"

    return make


def _is_of(line: str, name: str) -> bool:
    return any(unicodedata.name(letter, "").startswith(name) for letter in line)


def accented(form: Literal["NFC", "NFD"]) -> Make:
    """Return what writes accents as one character each (NFC), or combining (NFD)."""
    make = among(ACCENTS)
    return lambda rng: unicodedata.normalize(form, make(rng))


def one_character(rng: random.Random) -> str:
    """Draw one character of any kind."""
    letters = "aZ7.,!?-_#@\"'\\/<>[]~^éß漢あ한กमяع\u0301\u200b\u00a0€½😀🔧"
    return rng.choice(letters)


def blank(rng: random.Random) -> str:
    """Draw some white space and nothing else."""
    return "".join(rng.choices(BLANKS + BREAKS, k=rng.randint(1, 4)))


def framed(rng: random.Random) -> str:
    """Put white space before and behind a text, and doubled within."""
    gap = rng.choice(["  ", " \t", "\u00a0 ", "   "])
    return (
        rng.choice(["", " ", "\n", "\t "]) + gap.join(words(rng, 2, 6)) + rng.choice([" ", "\r\n"])
    )


def long_word(rng: random.Random) -> str:
    """Make a word that is longer than any that there is."""
    word = rng.choice(["pump", "x", "ß", "7", "-", "漢"]) * rng.choice([99, 100, 101, 300, 3000])
    return word if rng.random() < 0.5 else f"the {word} leaks"


KINDS: dict[str, Make] = {
    "plain": plain,
    "sentence": lambda rng: " ".join(rng.choices(CORPUS, k=rng.randint(1, 2))),
    "empty": lambda rng: "",
    "blank": blank,
    "one character": one_character,
    "hundreds of words": lambda rng: " ".join(words(rng, 100, 400)),
    "10,000 words": lambda rng: " ".join(rng.choices(WORDS, k=10_000)),
    "200,000 characters": lambda rng: " ".join(rng.choices(WORDS, k=40_000))[:200_000],
    "a very long word": long_word,
    "white space around": framed,
    "line breaks, tabs": inside(BREAKS),
    "emoji": among(EMOJI),
    "control characters": inside(CONTROL),
    "NUL": inside(["\0"]),
    "zero width": inside(INVISIBLE),
    "right to left": script("ARABIC", "HEBREW"),
    "marks of direction": inside(DIRECTIONS),
    "Chinese": script("CJK"),
    "Japanese": script("HIRAGANA", "KATAKANA"),
    "Korean": script("HANGUL"),
    "Korean, in parts": lambda rng: unicodedata.normalize("NFD", script("HANGUL")(rng)),
    "Thai": script("THAI"),
    "Hindi": script("DEVANAGARI"),
    "Cyrillic": script("CYRILLIC"),
    "accents": accented("NFC"),
    "accents, combining": accented("NFD"),
    "case": among(CASES),
    "wide and narrow": among(WIDE),
    "URLs, paths": among(URLS),
    "special tokens": among(SPECIAL),
    "pieces of a vocabulary": among(PIECES),
    "quotes": among(QUOTES),
    "numbers": among(NUMBERS),
    "HTML": among(MARKUP),
    "code": among(JOINED),
    "marks": lambda rng: "".join(rng.choices("!?.,;:-_()[]{}…", k=rng.randint(2, 30))),
    "no characters": inside(PRIVATE),
    "lone surrogates": inside(SURROGATES),
}
FEW = {"empty": 1, "10,000 words": 2, "200,000 characters": 1}  # of which no more are made


def texts(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Make this many texts, no two alike, each with its kind; all kinds are as frequent."""
    rng = random.Random(seed)
    return list(_texts(count, rng))


def _texts(count: int, rng: random.Random) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    made = dict.fromkeys(KINDS, 0)
    while len(seen) < count:
        for kind, make in KINDS.items():
            text = make(rng)
            if len(seen) < count and text not in seen and made[kind] < FEW.get(kind, count):
                seen.add(text)
                made[kind] += 1
                yield kind, text


def sentences(count: int, seed: int = 0) -> list[tuple[str, str | list[str]]]:
    """Make texts as `texts` does, every other one of a kind cut at blanks into a list of words.

    Words may be empty, and may hold line breaks.
    """
    made = dict.fromkeys(KINDS, 0)
    found: list[tuple[str, str | list[str]]] = []
    for kind, text in texts(count, seed):
        made[kind] += 1
        is_cut = made[kind] % 2 == 0
        found.append((f"{kind}, as words", text.split(" ")) if is_cut else (kind, text))
    return found
