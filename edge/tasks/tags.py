"""Tags: how a model's labels spell where an entity begins, goes on and ends.

The scheme is found from the whole set of labels, since one label alone says little: "S-BAHN" may be
a kind, or a single word of the kind "BAHN". The letter before a dash (or behind it) is a role where
the letters of all labels together are those of one scheme, and one of them begins an entity or goes
on with it. Otherwise each label is a kind by itself.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal, NamedTuple

Role = Literal["begin", "inside", "end", "single"]

OUTSIDE = ("O", "o")
UNNAMED = "entity"  # the kind where labels are roles alone: "B", "I", "O"
# The letters of each scheme, as what they mean. IOB1, IOE and IO use some of the letters of others.
SCHEMES: dict[str, dict[str, Role]] = {
    "BIO": {"B": "begin", "I": "inside"},
    "BIOES": {"B": "begin", "I": "inside", "E": "end", "S": "single"},
    "BILOU": {"B": "begin", "I": "inside", "L": "end", "U": "single"},
    "BMES": {"B": "begin", "M": "inside", "E": "end", "S": "single"},
    "BMEWO": {"B": "begin", "M": "inside", "E": "end", "W": "single"},
}
PREFIX = re.compile(r"(?P<letter>[A-Za-z])[-_/:.](?P<kind>.+)", re.DOTALL)
SUFFIX = re.compile(r"(?P<kind>.+)[-_/:.](?P<letter>[A-Za-z])", re.DOTALL)
PLAIN = "plain kinds"


class Span(NamedTuple):
    """An entity: neighbouring words that belong together.

    kind: what it is, as the labels name it beside their role.
    start, end: its first word, and the one behind its last.
    """

    kind: str
    start: int
    end: int


class Tag(NamedTuple):
    """What one label says of a word.

    kind: "" outside of any entity. role: of the word in its entity.
    """

    kind: str
    role: Role = "inside"


class TagScheme:
    """The meaning of a model's labels.

    name: the scheme's, "plain kinds" where labels have no roles.
    outside: the label of words that belong to no entity; None where the model has none.
    doubt: what a user should know about how the labels are read; "" where there is no doubt.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.outside = next((label for label in OUTSIDE if label in labels), None)
        self._tags = {label: Tag(label) for label in labels}
        self.name, named = _read([label for label in labels if label != self.outside])
        self._tags.update(named)
        if self.outside is not None:
            self._tags[self.outside] = Tag("")
        self.kinds = tuple(dict.fromkeys(tag.kind for tag in self._tags.values() if tag.kind))
        self.doubt = self._doubt(labels)

    def spans(self, labels: Iterable[str]) -> list[Span]:
        """Read the entities that a sequence of labels spells, as conlleval does.

        An entity begins where a label begins one or stands for a single word, after a label that
        ends one, and wherever the kind differs from the one before. So an "inside" after an
        "outside" begins an entity.
        """
        pieces: list[tuple[str, int]] = []  # the kind of each word and the number of its entity
        number, before = 0, Tag("")
        for label in labels:
            tag = self._tags[label]
            has_ended = before.role in ("end", "single")
            if has_ended or tag.kind != before.kind or tag.role in ("begin", "single"):
                number += 1
            pieces.append((tag.kind, number))
            before = tag
        spans, place = [], 0
        for (kind, _), group in groupby(pieces):
            size = len(list(group))
            if kind:
                spans.append(Span(kind, place, place + size))
            place += size
        return spans

    def _doubt(self, labels: Sequence[str]) -> str:
        if self.outside is None:
            return f"no label is 'O', so every word belongs to an entity; read as {self.name}"
        lone = [label for label in labels if self._tags[label] == Tag(label)]
        if self.name != PLAIN and lone:
            return (
                f"{lone[0]!r} is no tag of the scheme {self.name}, and is read as a kind by itself"
            )
        letters = {letter for roles in SCHEMES.values() for letter in roles}
        odd = [
            label
            for label in lone
            for found in (PREFIX.fullmatch(label), SUFFIX.fullmatch(label))
            if found and found["letter"].upper() in letters
        ]
        if odd:
            return (
                f"{odd[0]!r} and the others fit no scheme of tags: each label is read as a kind by"
                " itself, and neighbouring words of one kind as one entity"
            )
        return ""


def _read(labels: Sequence[str]) -> tuple[str, dict[str, Tag]]:
    """Return the scheme of the labels that are not the outside one, and what each of them says.

    Labels that it has no place for are left out.
    """
    for pattern in (PREFIX, SUFFIX):
        found = {label: pattern.fullmatch(label) for label in labels}
        pairs = {label: (m["letter"].upper(), m["kind"]) for label, m in found.items() if m}
        if scheme := _scheme(list(pairs.values()), are_all=len(pairs) == len(labels)):
            return scheme, _as_tags(pairs, scheme)
    bare = {label: (label.upper(), UNNAMED) for label in labels if len(label) == 1}
    # One letter alone may as well be a kind.
    if len(labels) > 1 and (
        scheme := _scheme(list(bare.values()), are_all=bare.keys() == set(labels))
    ):
        return scheme, _as_tags(bare, scheme)
    return PLAIN, {}


def _scheme(pairs: Sequence[tuple[str, str]], *, are_all: bool) -> str | None:
    """Return the first scheme that has all these letters; None where none has, or it is doubtful.

    pairs: letter and kind of each label. are_all: no other label is there but the outside one.
    """
    letters = {letter for letter, _ in pairs}
    fitting = next((name for name, roles in SCHEMES.items() if letters <= set(roles)), None)
    if fitting is None or not letters & {"B", "I"}:
        return None
    # Several letters that never share a kind are no roles: "B-52" and "I-95".
    is_shared = len({kind for _, kind in pairs}) < len(pairs)
    return fitting if is_shared or (are_all and len(letters) == 1) else None


def _as_tags(pairs: dict[str, tuple[str, str]], scheme: str) -> dict[str, Tag]:
    roles = SCHEMES[scheme]
    return {label: Tag(kind, roles[letter]) for label, (letter, kind) in pairs.items()}
