"""Records grow: what a later version adds is ignored, unless the record calls it critical."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit import __version__
from edgekit.edge.bundle.oci import Measurement, Statement
from edgekit.nouns import (
    MAX_DEPTH,
    AnyNoun,
    Build,
    Golden,
    Noun,
    Part,
    Profiles,
    Record,
    Slot,
    Unreadable,
    canonical,
    read_json,
)
from tests import make_schema
from tests.conftest import ROOT, edgekit

RECORDS: set[type[Record]] = {Slot, Golden, Statement, Measurement, Profiles, Build}
PROFILES = ROOT / "tests" / "released" / "0.1.0" / "profiles.json"
GOLDEN: dict[str, Any] = {"inputs": ["a"], "answers": [[1.0]]}


def golden(**more: object) -> Golden:
    return read_json(json.dumps(GOLDEN | more).encode(), Golden)


def test_every_record_that_leaves_the_machine_carries_the_number_of_its_format() -> None:
    kinds = {kind for kind in make_schema.kinds_within(Record) if "edgekit" in kind.__module__}
    assert kinds - {Record} == RECORDS
    for kind in RECORDS:
        number = {item.name: item.default for item in msgspec.structs.fields(kind)}
        assert number["format_version"] == kind.FORMAT == 1
    written = json.loads(golden().to_json())
    assert written["format_version"] == 1
    assert written.keys() == {"format_version", "inputs", "answers", "labels"}


def test_whatever_lies_inside_of_a_record_grows_as_well() -> None:
    """A strict noun in a record would refuse what the record itself may ignore."""
    seen: set[str] = set()
    _, components = msgspec.json.schema_components(
        RECORDS - {Build}, schema_hook=lambda _: {"title": "any"}
    )
    known = {kind.__name__: kind for kind in make_schema.kinds_within(AnyNoun)}
    for name in components:
        seen.add(name)
        assert issubclass(known[name], Part), name
        assert not issubclass(known[name], Noun), name
    assert {"Slot", "Setting", "File", "Quality", "Paired", "Performance", "Figure"} <= seen


def test_a_field_that_is_not_known_is_ignored_unless_it_is_critical() -> None:
    assert golden(note=1).inputs == ["a"]
    assert golden(note=1, critical=["labels"]).inputs == ["a"]
    with pytest.raises(Unreadable, match=r"^its field 'note' is critical, and not known here$"):
        golden(note=1, critical=["note"])
    with pytest.raises(Unreadable, match=r"critical.*; edgekit 7\.1 or later reads it$"):
        golden(critical=["note"], needs_edgekit="7.1")


def test_the_error_of_a_critical_field_is_one_short_line() -> None:
    with pytest.raises(Unreadable) as caught:
        golden(critical=["a\n\x1b[31m" * 1000])
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_newer_format_is_refused_with_the_version_that_reads_it() -> None:
    with pytest.raises(Unreadable, match=r"^format 2, this edgekit reads up to 1; edgekit 7\.0\.0"):
        golden(format_version=2, needs_edgekit="7.0.0", inputs=7)
    with pytest.raises(Unreadable, match="a later edgekit reads it"):
        golden(format_version=2)
    with pytest.raises(msgspec.ValidationError, match="format 2 is above 1"):
        msgspec.convert(GOLDEN | {"format_version": 2}, Golden)


@pytest.mark.processes
def test_a_file_of_profiles_from_a_later_edgekit(tmp_path: Path) -> None:
    found = json.loads(PROFILES.read_bytes())
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps(found | {"weather": "calm"}))
    assert edgekit("compare", PROFILES, newer, "--json").json
    newer.write_text(json.dumps(found | {"weather": "calm", "critical": ["weather"]}))
    said = edgekit("compare", PROFILES, newer, code=2).err
    assert "'weather' is critical" in said
    newer.write_text(json.dumps(found | {"format_version": 2, "needs_edgekit": "7.0.0"}))
    said = edgekit("compare", PROFILES, newer, code=2).err
    assert "edgekit 7.0.0 or later reads it" in said
    assert said.count("\n") == 1
    assert __version__ < "7"


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a": 1}',
        b"1e5",
        b"-0",
        b"0.10",
        b'"\\/"',
        b"[1,2] ",
    ],
)
def test_canonical_form_is_that_of_the_value(data: bytes) -> None:
    written = canonical(data)
    assert written != data
    assert canonical(written) == written


@pytest.mark.parametrize(
    "data",
    [
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"18446744073709551616",
        b"-9223372036854775809",
        b'"\\ud800"',
        b'"\xff"',
        b"9" * 5000,
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 100_000,
        b"01",
        b"",
    ],
)
def test_what_has_no_canonical_form(data: bytes) -> None:
    with pytest.raises(Unreadable):
        canonical(data)


def test_canonical_form_takes_what_it_may() -> None:
    for data in (
        b"18446744073709551615",
        b"-9223372036854775808",
        b"-0.0",
        b"1.0",
        b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
        '{"\uffee":1,"\U0001f527":"\x7f"}'.encode(),
    ):
        assert canonical(data) == data


def test_every_field_in_the_schema_is_described() -> None:
    """The schema describes each field, and each record in a whole sentence."""
    fields = 0
    for name, record in json.loads(make_schema.schema())["$defs"].items():
        assert record["description"].partition("\n")[0].endswith("."), name
        assert record["additionalProperties"] == ("format_version" in record["properties"]) or (
            record["additionalProperties"] and "critical" in record["properties"]
        )
        for field, value in record["properties"].items():
            assert len(value["description"]) > 5, (name, field)
            fields += 1
    assert fields > 150
