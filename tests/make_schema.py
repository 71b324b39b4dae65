"""docs/bundle.schema.json: every record of a bundle, its fields, types, bounds and defaults.
`python -m tests.make_schema` writes it.
"""

import json
from pathlib import Path

import msgspec

from edgekit.edge.bundle.oci import Index, Manifest, Measurement, Release, Statement
from edgekit.nouns import Slot

FILE = Path(__file__).parents[1] / "docs" / "bundle.schema.json"
RECORDS = (Index, Manifest, Release, Slot, Statement, Measurement)


def schema() -> str:
    """As JSON Schema 2020-12."""
    _, components = msgspec.json.schema_components(RECORDS, ref_template="#/$defs/{name}")
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": components}
    return json.dumps(whole, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(schema())
