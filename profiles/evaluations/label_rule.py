"""How a file writes labels: by their names or by their numbers, one rule for a whole column.

The rule is decided in label_fit.py, and a cell is read by it here.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

from edgekit import strict_json
from edgekit.errors import InputError
from edgekit.nouns import Noun

# "1.0", too: pandas writes whole numbers so in a column that has an empty cell. Nine digits at
# most, so that no value is too long for a number.
WHOLE = re.compile(r"([+-]?)0*([0-9]{1,9})(\.0*)?", re.ASCII)
UNNAMED = re.compile(r"LABEL_[0-9]+")  # what transformers calls a label without a name
SEPARATORS = {",": "commas", ";": "semicolons", "|": "vertical bars", " ": "blanks"}
BOOLEANS = {"true": "True", "True": "true", "false": "False", "False": "false"}
SHOWN = 60  # characters of a label, in an error


class LabelRule(Noun, frozen=True, kw_only=True):
    """How the labels of a column are read.

    are: what they are; "numbers" where the model has no labels and the column says how much.
    separator: what stands between the labels of a cell; "" where a cell holds one, or an array.
    """

    are: Literal["names", "indices from 0", "indices from 1", "numbers"]
    separator: str = ""

    def __str__(self) -> str:
        """Say it in words."""
        between = SEPARATORS.get(self.separator)
        return f"{self.are}, with {between} between them" if between else self.are

    @property
    def first(self) -> int:
        """The number of the first label."""
        return 1 if self.are == "indices from 1" else 0


NAMES = LabelRule(are="names")


class Labels:
    """The labels of a model, found by what a file writes."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._exact = {name: index for index, name in enumerate(self.names)}

    @cached_property
    def _stripped(self) -> Mapping[str, int]:
        """Find labels by their names without blanks around them, where those are distinct."""
        stripped = [name.strip() for name in self.names]
        often = Counter(stripped)
        return {name: index for index, name in enumerate(stripped) if often[name] == 1}

    def index(self, value: object, rule: LabelRule) -> int | None:
        """Return the index of the label that one value is, by the column's rule; None for none."""
        if value is None or isinstance(value, list | dict):
            return None
        number = whole_number(value)
        if rule.are != "names":
            is_there = number is not None and rule.first <= number < rule.first + len(self.names)
            return number - rule.first if number is not None and is_there else None
        text = str(value)
        if text in self._exact:
            return self._exact[text]
        stripped = text.strip()
        # JSON's true is Python's True
        for written in (stripped, BOOLEANS.get(stripped, stripped), str(number)):
            if written in self._stripped:
                return self._stripped[written]
        return None

    def find(self, value: object, rule: LabelRule) -> int:
        """Return the index of the label that one value is; raises InputError where it is none."""
        index = self.index(value, rule)
        if index is not None:
            return index
        if isinstance(value, list | dict):
            raise InputError("one label is wanted, not an array or an object")
        text = "" if value is None else str(value).strip()
        if not text:
            raise InputError(f"its label is empty; {self._known()}")
        number = whole_number(value)
        if rule.are == "names":
            what = f"no label {text[:SHOWN]!r}"
        elif number is None:
            what = f"no label {text[:SHOWN]!r} where labels are read as {rule.are}"
        else:
            last = rule.first + len(self.names) - 1
            what = f"no label number {number}; labels are read as {rule.are}, to {last}"
        raise InputError(f"the model has {what}; {self._known()}{self._hint(text, rule)}")

    def _known(self) -> str:
        return f"it has: {', '.join(self.names[:5])}" + (", ..." if len(self.names) > 5 else "")

    def _hint(self, text: str, rule: LabelRule) -> str:
        """Say what is likely meant by what is no label."""
        number = whole_number(text)
        if rule.are == "indices from 0" and number == len(self.names):
            return '; where the column counts from 1, set data.labels_are = "indices from 1"'
        if rule.are != "names" or number is not None:
            return "; one rule holds for the whole column: all names, or all indices"
        if all(map(UNNAMED.fullmatch, self.names)):
            return "; give the labels their names in the model's folder, or write their numbers"
        if UNNAMED.fullmatch(text):
            return "; that is what a label without a name is called, and this model's have names"
        folded = {" ".join(name.split()).casefold(): name for name in self.names}
        near = difflib.get_close_matches(" ".join(text[:SHOWN].split()).casefold(), folded, 1)
        return f"; did you mean {folded[near[0]]!r}?" if near else ""


def whole_number(value: object) -> int | None:
    """Return the whole number that a value is or spells, None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    # a number of thousands of digits has no text
    too_large = isinstance(value, int) and abs(value) > 10**9
    match = None if too_large else WHOLE.fullmatch(str(value).strip())
    return int(match[1] + match[2]) if match else None


def labels_of(value: object, rule: LabelRule, labels: Labels) -> tuple[int, ...]:
    """Read the labels of a cell that may hold any number of them; raises InputError.

    An empty one holds none.
    """
    items = items_of(value, rule.separator)
    found = tuple(labels.find(item, rule) for item in items)
    if rule.are != "names" and may_be_flags(items, found, len(labels.names)):
        raise InputError(
            "its numbers can be one for each label, or the indices of those that apply; write the"
            " names of those that apply"
        )
    return tuple(sorted(set(found)))


def may_be_flags(items: Sequence[object], found: Sequence[int], labels: int) -> bool:
    """Tell whether numbers may be no indices but a 0 or 1 for each label."""
    is_flags = len(items) == labels and set(map(whole_number, items)) <= {0, 1}
    return is_flags or len(set(found)) < len(found)


def items_of(value: object, separator: str) -> list[object]:
    """Cut a cell into its labels; raises InputError where it is no text, number or array."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = strict_json.loads(text)
            except (ValueError, RecursionError):
                raise InputError("its labels are not a JSON array") from None
        elif separator:
            parts = text.split(None if separator == " " else separator)
            return [part for part in parts if part.strip()]
        else:
            return [value] if text else []
    if isinstance(value, bool | int | float):
        return [value]
    if not isinstance(value, list):
        raise InputError("its labels must be a JSON array, or names with commas between them")
    return value
