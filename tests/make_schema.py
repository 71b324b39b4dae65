"""docs/bundle.schema.json: every record of a bundle, its fields, types, bounds and defaults.

`python -m tests.make_schema` writes it. Descriptions are the docstrings of the records: the text
before the first field describes the record, each line `name: text` one field. A field that is
inherited (format_version, critical) is described where it is defined.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from edgekit.edge.bundle.oci import Index, Manifest, Measurement, Release, Statement
from edgekit.nouns import AnyNoun, Golden, Part, Profiles, Slot

FILE = Path(__file__).parents[1] / "docs" / "bundle.schema.json"
RECORDS = (Index, Manifest, Release, Slot, Golden, Statement, Measurement, Profiles)
LINE = re.compile(r"^(\w+): (.+)$")


def described(kind: type) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a record says of it, and of each of its fields."""
    about: list[str] = []
    fields: dict[str, str] = {}
    for line in inspect.cleandoc(kind.__doc__ or "").splitlines():
        if (match := LINE.match(line)) and match[1] in kind.__annotations__:
            fields[match[1]] = match[2]
        elif not fields:
            about.append(line)
    return "\n".join(about).strip(), fields


def every_field(kind: type) -> dict[str, str]:
    """Return the description of each field of a record by its name in JSON; fails for one without.

    A type's tag has no line of its own, since it is no field.
    """
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        found |= described(base)[1] if issubclass(base, AnyNoun) else {}
    names = {item.name: item.encode_name for item in msgspec.structs.fields(kind)}
    missing = names.keys() - found.keys()
    assert not missing, f"{kind.__name__} describes no {', '.join(sorted(missing))}"
    return {names[name]: text for name, text in found.items() if name in names}


def kinds_within(kind: type[AnyNoun]) -> list[type[AnyNoun]]:
    """Return every kind of record in edgekit's bundles."""
    return [kind, *(found for sub in kind.__subclasses__() for found in kinds_within(sub))]


def schema() -> str:
    """Return the whole as JSON Schema 2020-12."""
    _, components = msgspec.json.schema_components(
        RECORDS,
        schema_hook=lambda _: {"title": "any JSON value"},  # object, the one foreign type
        ref_template="#/$defs/{name}",
    )
    known = {kind.__name__: kind for kind in kinds_within(AnyNoun)}
    for name, record in components.items():
        _describe(record, known[name])
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": components}
    text = json.dumps(whole, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    return text.replace(r"\\Z", "$")  # in JSON Schema, whose patterns are ECMA's, $ is the end


def _describe(record: dict[str, Any], kind: type[AnyNoun]) -> None:
    record["description"] = described(kind)[0]
    record["additionalProperties"] = issubclass(kind, Part)
    fields = every_field(kind)
    tag = kind.__struct_config__.tag_field
    for name, value in record["properties"].items():
        value["description"] = "which kind of comparison it is" if name == tag else fields[name]
    if "format_version" in record["properties"]:
        record["properties"]["format_version"]["maximum"] = kind.FORMAT  # type: ignore[attr-defined]


if __name__ == "__main__":
    FILE.write_text(schema())
