"""The forms of record, and how one is read: strict nouns, and records that may grow.

There are two kinds, and the base class says which:

    Noun    strict: an unknown field is an error. What users write (spec, policy, task.json), what
            our own processes say to each other, and what a signature or OCI pins down to the byte.
    Record  grows: a file or a signed payload that leaves the machine and is read by other versions
            of edgekit. An unknown field is ignored, unless the record calls it critical. What lies
            inside of a record is a Part of it, under the same rule.
"""

import math
import re
from typing import Annotated, ClassVar, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

T = TypeVar("T")

Names = Annotated[tuple[str, ...], Meta(min_length=1, extra_json_schema={"uniqueItems": True})]
MAX_DEPTH = 64  # of lists and objects in each other, in a record that another version may have made
WHOLE = range(-(1 << 63), 1 << 64)  # the whole numbers that such a record may hold
VERSION = r"^[0-9]{1,9}(\.[0-9]{1,9}){0,3}\Z"  # of edgekit


class AnyNoun(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen record that is also a JSON object: what Noun and Part have in common."""

    def to_json(self) -> bytes:
        """Encode as canonical JSON (sorted keys, no white space): equal records, equal bytes.

        Raises ValueError for NaN and infinity, which would be written as null.
        """
        data = msgspec.json.encode(self, order="sorted")
        if b"null" in data:
            _check_finite(msgspec.to_builtins(self), "")
        return data


class Noun(AnyNoun, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A strict noun: unknown fields and wrong types are refused when it is read back."""


class Part(AnyNoun, frozen=True, kw_only=True):
    """An object inside of a record: unknown fields are ignored, except those it calls critical.

    critical: the fields of this object that a reader must know, or refuse it; left out if none.
    """

    critical: Names | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse what this version may not ignore; msgspec calls it for each object that it reads.

        Raises ValueError, which msgspec turns into its own error, with the place.
        """
        if isinstance(self.critical, UnsetType):
            return
        known = (*self.__struct_encode_fields__, self.__struct_config__.tag_field)
        for name in self.critical:
            if name not in known:
                raise ValueError(f"its field {name[:60]!r} is critical, and not known here")
        if len(set(self.critical)) != len(self.critical):
            raise ValueError("it calls a field critical twice")


class Record(Part, frozen=True, kw_only=True):
    """A file or a signed payload that other versions of edgekit read.

    FORMAT: the highest format number that this version reads, and the one that it writes.
    format_version: the number of the record's format; without one it is 1.
    needs_edgekit: the oldest edgekit that reads it, for the error of an older one.
    """

    FORMAT: ClassVar[int] = 1

    format_version: Annotated[int, Meta(ge=1)] = 1
    needs_edgekit: Annotated[str, Meta(pattern=VERSION)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse a newer format, however the record is read, and what is critical and unknown."""
        super().__post_init__()
        if self.format_version > self.FORMAT:
            raise ValueError(f"format {self.format_version} is above {self.FORMAT}")


class Unreadable(ValueError):
    """Bytes that are not the JSON of a noun; the text says where they go wrong."""


class _Head(msgspec.Struct, frozen=True):
    """What a record says about its own format, whatever else is in it."""

    format_version: object = 1
    needs_edgekit: object = ""


def read_json(data: bytes, kind: type[T]) -> T:
    """Read a noun from its JSON; raises Unreadable, whatever is in the bytes.

    The format number of a record is looked at first, since a newer one may mean anything.
    """
    newest = getattr(kind, "FORMAT", None)
    later = _refuse_newer(data, newest) if newest is not None else ""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{error}{later}") from None


def _refuse_newer(data: bytes, newest: int) -> str:
    """Raise Unreadable for a format above `newest`; else say which edgekit the record asks for."""
    try:
        head = msgspec.json.decode(data, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""  # the reader itself says what is wrong
    needs = head.needs_edgekit
    is_version = isinstance(needs, str) and re.match(VERSION, needs)
    number = head.format_version
    if isinstance(number, int) and not isinstance(number, bool) and number > newest:
        reader = f"edgekit {needs} or later" if is_version else "a later edgekit"
        shown = number if number in WHOLE else "of many digits"
        raise Unreadable(f"format {shown}, this edgekit reads up to {newest}; {reader} reads it")
    return f"; edgekit {needs} or later reads it" if is_version else ""


def canonical(data: bytes) -> bytes:
    """Write any JSON value again in canonical form; raises Unreadable where it has none.

    It knows no types: a record is canonical or not whether its reader knows all its fields or not.
    """
    value = read_json(data, object)
    try:
        _check_value(value, MAX_DEPTH)
        return msgspec.json.encode(value, order="sorted")
    except (RecursionError, OverflowError) as error:
        raise Unreadable(str(error)) from None


def _check_finite(value: object, place: str) -> None:
    """Raise ValueError for a number that JSON has not, with the place where it stands."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place.lstrip('.')} is not a finite number")
    if isinstance(value, dict | list | tuple):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            _check_finite(item, f"{place}.{key}")


def _check_value(value: object, depth: int) -> None:
    """Raise Unreadable for what not every reader of JSON could hold."""
    if isinstance(value, int) and value not in WHOLE:
        raise Unreadable("a whole number of more than 64 bits")
    if not isinstance(value, dict | list):
        return
    if depth == 0:
        raise Unreadable(f"more than {MAX_DEPTH} lists and objects in each other")
    for item in value.values() if isinstance(value, dict) else value:
        _check_value(item, depth - 1)
