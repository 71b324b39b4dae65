"""Reading a TOML file into a record.

What is wrong is said in one line that names the file and the key.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from edgekit.errors import InputError

T = TypeVar("T", bound=msgspec.Struct)


def read_toml(path: Path, kind: type[T], parts: Mapping[str, type[msgspec.Struct]], hint: str) -> T:
    """Read a TOML file and check it against a record; raises InputError.

    kind: the record of the whole file.
    parts: the record of each table, by the table's name.
    hint: how to get such a file, for the error when there is none.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {hint}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; a TOML file must be") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {_explain(str(error), {'': kind, **parts})}") from None


def toml_string(text: str) -> str:
    """Write a text as TOML does; raises InputError where it is none, as a file's name may be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{text!a}: not UTF-8; give it another name") from None
    # json escapes all that TOML does but DEL, if it leaves other letters as they are
    return json.dumps(text, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")


def _explain(message: str, parts: Mapping[str, type[msgspec.Struct]]) -> str:
    """Return msgspec's message with the key as TOML writes it.

    For a wrong key the nearest right one is added, or all that are known.
    """
    place = re.search(r" - at `\$\.?(.*)`$", message)
    where = place.group(1) if place else ""
    what = message[: place.start()] if place else message
    unknown = re.search(r"unknown field `(.+)`", what)
    if unknown:
        known = parts.get(where, parts[""]).__struct_fields__
        near = difflib.get_close_matches(unknown.group(1), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return f"unknown key {'.'.join(filter(None, (where, unknown.group(1))))!r}; {hint}"
    missing = re.search(r"missing required field `(.+)`", what)
    if missing:
        return f"missing key {'.'.join(filter(None, (where, missing.group(1))))!r}"
    return f"{where}: {what[0].lower()}{what[1:]}"
