"""Make rows of numbers as JSON and CSV files hold them, odd ones among them, from a seed."""

import random
from collections.abc import Callable, Iterator

FEATURES = ["vibration", "temperature", "pressure", "speed"]
MEANS, SPREADS = (0.5, 60.0, 3.0, 1450.0), (0.4, 15.0, 1.5, 200.0)
Row = list[object] | dict[str, object]
Make = Callable[[random.Random], Row]
NO_NUMBERS = ("", " ", "abc", "1,5", "1.5 bar", "0x1F", "NaN", "inf", "-Infinity")
PYTHONS = ("1_000", "１２", "٣", "1_0.5", "\u00a07", "७")  # read by Python, and by no CSV reader


def ordinary(rng: random.Random) -> list[object]:
    """Draw a row as a machine in service sends it."""
    return [rng.gauss(mean, spread) for mean, spread in zip(MEANS, SPREADS, strict=True)]


def with_one(*values: object) -> Make:
    """Return what puts one of these into an ordinary row."""

    def make(rng: random.Random) -> Row:
        row = ordinary(rng)
        row[rng.randrange(len(row))] = rng.choice(values)
        return row

    return make


def scaled(least: int, most: int) -> Make:
    """Return what makes rows of numbers of these powers of ten."""

    def make(rng: random.Random) -> Row:
        return [rng.choice([-1, 1]) * 10 ** rng.uniform(least, most) for _ in FEATURES]

    return make


def by_name(rng: random.Random) -> Row:
    """Write an ordinary row by its features' names, in any order, with more beside them."""
    pairs: list[tuple[str, object]] = list(zip(FEATURES, ordinary(rng), strict=True))
    rng.shuffle(pairs)
    return dict(pairs)


def lacking(rng: random.Random) -> Row:
    """Leave a feature out."""
    row = dict(zip(FEATURES, ordinary(rng), strict=True))
    del row[rng.choice(FEATURES)]
    return row


def as_text(rng: random.Random) -> Row:
    """Write the numbers as text, as a CSV file holds them."""
    return [rng.choice(["{}", "{:.3f}", "{:e}"]).format(x) for x in ordinary(rng)]


KINDS: dict[str, Make] = {
    "ordinary": ordinary,
    "by name": by_name,
    "whole numbers": lambda rng: [rng.randint(0, 2000) for _ in FEATURES],
    "zeros": lambda rng: [rng.choice([0, 0.0, -0.0]) for _ in FEATURES],
    "negative zero": with_one(-0.0),
    "large": scaled(3, 7),
    "huge": with_one(1e30, -1e30, 1e36, 3e37, -3e37),
    "beyond float32": with_one(3.5e38, 1e39, -1e100, 1.7e308, -1.7e308),
    "beyond any float": with_one(10**400, -(10**400), "1e999"),
    "tiny": with_one(1e-30, -1e-38, 1e-45, 5e-324, 1e-300),
    "many digits": with_one(0.1 + 0.2, 1 / 3, 16777217, 9007199254740993, 123456789.123456789),
    "NaN": with_one(float("nan")),
    "infinite": with_one(float("inf"), float("-inf")),
    "missing": with_one(None),
    "a feature too few": lacking,
    "too few numbers": lambda rng: ordinary(rng)[: rng.randrange(4)],
    "too many numbers": lambda rng: [*ordinary(rng), 1.0],
    "numbers as text": as_text,
    "one number as text": with_one("0.5", "1e3", "-2", "+3", ".5", "5."),
    "blanks around a number": with_one(" 7", "7 ", "\t7.5"),
    "text that is no number": with_one(*NO_NUMBERS),
    "text that Python reads": with_one(*PYTHONS),
    "true and false": with_one(True, False),
    "lists and objects": with_one([1.0], [], {}, {"value": 1.0}),
}


def rows(count: int, seed: int = 0) -> list[tuple[str, Row]]:
    """Make this many rows, each with its kind; all kinds are as frequent."""
    rng = random.Random(seed)
    return list(_rows(count, rng))


def _rows(count: int, rng: random.Random) -> Iterator[tuple[str, Row]]:
    left = count
    while left:
        for kind, make in KINDS.items():
            if left:
                left -= 1
                yield kind, make(rng)
