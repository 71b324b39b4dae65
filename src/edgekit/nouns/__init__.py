"""The nouns of edgekit, in the order in which the main job makes them.

    Source × Recipe ─► Artifact ─► Evidence ─► Variant ─► Choice ─► Build ─► (bundle) ─► Slot

Each is frozen and passed on whole. Spec is in edgekit.spec, Target in edgekit.targets, Recipe in
edgekit.quantize.recipes: each beside the code that reads it.

    records.py      the forms of record, and how one is read
    artifact.py     the files of a variant, and how an engine runs them
    quality.py      what the gate measures of its answers
    performance.py  how fast it runs on a device
    variant.py      what became of a recipe, and the limits
    build.py        what a build found out, and the slot that a device holds
"""

from edgekit.nouns.artifact import Artifact, File, Option, Setting
from edgekit.nouns.build import Build, BundledName, Choice, Golden, Slot
from edgekit.nouns.performance import (
    Conditions,
    Figure,
    Performance,
    Profile,
    Profiles,
    ServerFigure,
)
from edgekit.nouns.quality import (
    Comparison,
    Counts,
    Paired,
    Quality,
    Reliability,
    Resampled,
    Standing,
)
from edgekit.nouns.records import (
    MAX_DEPTH,
    AnyNoun,
    Noun,
    Part,
    Record,
    Unreadable,
    canonical,
    read_json,
)
from edgekit.nouns.variant import (
    Broken,
    Evidence,
    Limits,
    Measured,
    MeasuredVariant,
    Status,
    Variant,
    measured,
)

__all__ = [
    "MAX_DEPTH",
    "AnyNoun",
    "Artifact",
    "Broken",
    "Build",
    "BundledName",
    "Choice",
    "Comparison",
    "Conditions",
    "Counts",
    "Evidence",
    "Figure",
    "File",
    "Golden",
    "Limits",
    "Measured",
    "MeasuredVariant",
    "Noun",
    "Option",
    "Paired",
    "Part",
    "Performance",
    "Profile",
    "Profiles",
    "Quality",
    "Record",
    "Reliability",
    "Resampled",
    "ServerFigure",
    "Setting",
    "Slot",
    "Standing",
    "Status",
    "Unreadable",
    "Variant",
    "canonical",
    "measured",
    "read_json",
]
