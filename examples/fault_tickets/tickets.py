"""Fault tickets of a factory that does not exist, with the root cause as their label.

A ticket names a machine, one to three signs, and often a guess, what was tried, or a second fault
that followed from the first. What makes real tickets hard makes these hard: signs that related
faults share, wrong guesses, two faults in one ticket, rare faults, typos, abbreviations, missing
words. What can go wrong is in faults.toml.
"""

import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MORE_SIGNS = 0.5  # of the faults are told by two signs instead of one
VAGUE = 0.12  # of the signs only say which family the fault is from
GUESSED = 0.4  # of the tickets hold a guess
RIGHT_GUESSES = 0.45  # the other guesses name a related fault
RULED_OUT = 0.1  # of the tickets name a related fault that it is not
SECOND_FAULT = 0.22  # of the tickets describe a fault of another family that followed
MISSING_WORDS = 0.03
TYPOS = 0.04  # of the words

GUESSES = (
    "{I think|think it is|prob|maybe} {name}",
    "{name}?",
    "{shift lead|operator|colleague} {says|suspects} {name}",
    "{looks|sounds} like {name} {to me|again}",
    "could be {name}",
)
DENIALS = (
    "{not|can't be} {name}, {checked|changed|looked at} {that|it} {already|last week|today}",
    "first {thought|suspected} {name} but {that is ok|no}", "{name} {checked, ok|ruled out}",
)  # fmt: skip
# {cause} is what the label says; {effect} came of it.
PAIRS = (
    "{cause}. {since then|now also|after that}: {effect}",
    "{effect}, {because of|comes from|caused by} {cause}",
    "{effect}. {turned out|root cause|real reason}: {cause}",
    "{cause}, which led to {effect}",
    "{started with|first} {cause}, {then|later|now} {effect}",
    "{effect} {only after|since} {cause}",
)
FILLERS = (
    "restarted {twice|it}, {no change|same again}",
    "{night|early|late} shift {reported it|has it too}",
    "line {down|stopped} {20|45|90} min",
    "{pls|please} {check|send someone} {asap|today}",
    "{third|second} time this {week|month}",
    "{spare|new part} ordered",
    "running at {half|60 percent} speed for now",
    "see {ticket|order} {4711|20833|9150}",
    "{reset|acknowledged} and {running|went on}, came back",
    "nobody {touched|changed} anything",
)
PLACES = (
    "{machine} {number}:",
    "{machine}{number} -",
    "{machine} {number}",
    "on {machine} {number}",
)
STOPS = (". ", ", ", " / ", "; ", " ")
CHAT = (
    "hi, ",
    "hello all, ",
    "sorry to bother you again but ",
    "as discussed at the morning meeting, ",
    "when I came in ",
    "don't know if this matters, but ",
    "same story as last time, ",
)
SHORT = {
    "machine": "mach",
    "motor": "mot",
    "temperature": "temp",
    "pressure": "press",
    "vibration": "vib",
    "again": "agn",
    "hydraulic": "hyd",
    "conveyor": "conv",
    "bearing": "brg",
    "cylinder": "cyl",
    "position": "pos",
    "with": "w/",
    "without": "w/o",
    "minutes": "min",
    "coolant": "cool.",
    "compressor": "compr",
    "signal": "sig",
    "checked": "chkd",
    "replaced": "repl",
    "sensor": "sens",
    "because": "bc",
    "and": "&",
    "please": "pls",
    "level": "lvl",
    "station": "stn",
    "vacuum": "vac",
    "current": "curr",
    "picture": "pic",
    "reading": "rdg",
    "roller": "rlr",
    "spindle": "spdl",
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Describe a class of faults. `signs` point to it, `vague` ones only to its family."""

    label: str
    family: str
    share: float
    machines: Sequence[str]
    names: Sequence[str]
    signs: Sequence[str]
    vague: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """Hold one labelled text."""

    text: str
    label: str


def read_faults(path: Path) -> list[Fault]:
    """Read the fault classes in `path`, in its order."""
    families = tomllib.loads(path.read_text("utf-8"))["family"]
    return [
        Fault(family=str(number), machines=family["machines"], vague=family["vague"], **fault)
        for number, family in enumerate(families)
        for fault in family["fault"]
    ]


def make_tickets(faults: Sequence[Fault], count: int, seed: int) -> list[Ticket]:
    """Make `count` tickets, no two of which have the same words."""
    author = Author(faults, seed)
    tickets: dict[str, Ticket] = {}
    while len(tickets) < count:
        ticket = author.ticket()
        tickets.setdefault(" ".join(ticket.text.casefold().split()), ticket)
    return list(tickets.values())


class Author:
    """Write tickets that differ in style."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._faults = faults
        self._random = random.Random(seed)

    def ticket(self) -> Ticket:
        """Make the next ticket."""
        fault = self._random.choices(self._faults, [item.share for item in self._faults])[0]
        rambling = self._happens(0.2)
        rest = [*self._guess(fault), *self._denial(fault), *self._filler(0.6 if rambling else 0.1)]
        self._random.shuffle(rest)
        # Most people begin with what they saw; some bury it.
        rest.insert(0 if self._happens(0.7) else len(rest), self._story(fault))
        opening = self._random.choice(CHAT) if rambling else ""
        text = f"{opening}{self._place(fault)} {self._random.choice(STOPS).join(rest)}"
        return Ticket(text=self._noise(text), label=fault.label)

    def _happens(self, share: float) -> bool:
        return self._random.random() < share

    def _fill(self, choices: Sequence[str], **slots: str) -> str:
        """Choose one of the texts, and fill its slots and alternatives."""

        def replace(match: re.Match[str]) -> str:
            return slots.get(match[1]) or self._random.choice(match[1].split("|"))

        return re.sub(r"\{([^{}]*)\}", replace, self._random.choice(choices))

    def _place(self, fault: Fault) -> str:
        machine, number = self._random.choice(fault.machines), self._random.randint(1, 19)
        return self._fill(PLACES, machine=machine, number=str(number))

    def _story(self, fault: Fault) -> str:
        if not self._happens(SECOND_FAULT):
            return self._signs(fault)
        other = self._random.choice([item for item in self._faults if item.family != fault.family])
        return self._fill(PAIRS, cause=self._signs(fault), effect=self._signs(other))

    def _signs(self, fault: Fault) -> str:
        vague = [self._happens(VAGUE) for _ in range(1 + self._happens(MORE_SIGNS))]
        signs = self._random.sample(fault.signs, vague.count(False))
        signs += self._random.sample(fault.vague, vague.count(True))
        return ", ".join(self._fill([sign]) for sign in signs)

    def _guess(self, fault: Fault) -> list[str]:
        if not self._happens(GUESSED):
            return []
        guessed = fault if self._happens(RIGHT_GUESSES) else self._related(fault)
        return [self._fill(GUESSES, name=self._fill(guessed.names))]

    def _denial(self, fault: Fault) -> list[str]:
        if not self._happens(RULED_OUT):
            return []
        return [self._fill(DENIALS, name=self._fill(self._related(fault).names))]

    def _related(self, fault: Fault) -> Fault:
        return self._random.choice(
            [item for item in self._faults if item.family == fault.family and item != fault]
        )  # fmt: skip

    def _filler(self, share: float) -> list[str]:
        return [self._fill(FILLERS)] if self._happens(share) else []

    def _noise(self, text: str) -> str:
        """Return the text with the mistakes that hurry makes."""
        words = [word for word in text.split() if not self._happens(MISSING_WORDS)]
        shortens = self._happens(0.4)
        words = [SHORT.get(word, word) if shortens else word for word in words]
        words = [self._mistype(word) if self._happens(TYPOS) else word for word in words]
        text = " ".join(words)
        return text.upper() if self._happens(0.05) else text

    def _mistype(self, word: str) -> str:
        """Return the word with two letters swapped, one lost, or one doubled."""
        if len(word) < 4:
            return word
        place = self._random.randrange(len(word) - 1)
        first, second = word[place], word[place + 1]
        middle = self._random.choice((second + first, second, first + first + second))
        return word[:place] + middle + word[place + 2 :]
