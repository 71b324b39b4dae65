"""Which rule a column of labels is written by, from all its values and the model's labels.

Never from one value: of "0" alone nobody can say whether it is the model's first label or the one
with the name "0". A column that both readings fit, and that means something else in each, is
refused.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgekit.errors import InputError
from edgekit.profiles.evaluations.label_rule import (
    SEPARATORS,
    SHOWN,
    LabelRule,
    Labels,
    items_of,
    may_be_flags,
)
from edgekit.spec import LabelsAre

DOUBTFUL = (-1,)  # numbers that are labels, if they are indices at all; no rule with them fits


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How well a column can be read.

    rule: the best way to read it.
    fitting: the share of its cells that can be read so.
    """

    rule: LabelRule
    fitting: float


def fit_one(cells: Iterable[object], labels: Labels, wanted: LabelsAre | None = None) -> Fit:
    """Decide how a column is read whose cells hold one label each; see `_best`."""
    rules = [LabelRule(are=are) for are in _readings(wanted)]

    def read(cell: object, rule: LabelRule) -> tuple[int, ...] | None:
        index = labels.index(cell, rule)
        return None if index is None else (index,)

    return _best(cells, rules, read, labels)


def fit_several(cells: Iterable[object], labels: Labels, wanted: LabelsAre | None = None) -> Fit:
    """Decide how a column is read whose cells hold any number of labels; see `_best`."""
    rules = [
        LabelRule(are=are, separator=separator)
        for are in _readings(wanted)
        for separator in (*SEPARATORS, "")
    ]

    def read(cell: object, rule: LabelRule) -> tuple[int, ...] | None:
        try:
            items = items_of(cell, rule.separator)
        except InputError:
            return None
        found: list[int] = []
        for item in items:
            index = labels.index(item, rule)
            if index is None:
                return None
            found.append(index)
        is_doubtful = rule.are != "names" and may_be_flags(items, found, len(labels.names))
        return DOUBTFUL if is_doubtful else tuple(sorted(set(found)))

    return _best(cells, rules, read, labels)


def _readings(wanted: LabelsAre | None) -> tuple[LabelsAre, ...]:
    return (wanted,) if wanted else ("names", "indices from 0")


def _best(
    cells: Iterable[object],
    rules: Sequence[LabelRule],
    read: Callable[[object, LabelRule], tuple[int, ...] | None],
    labels: Labels,
) -> Fit:
    """Choose the rule that fits the most cells, the first of several that read all alike.

    Raises InputError where two rules fit all cells and one cell means two things.
    """
    distinct: dict[str, object] = {}
    often = Counter[str]()
    for cell in cells:
        key = (
            f"{type(cell).__name__} {cell}"
            if not isinstance(cell, list)
            else json.dumps(cell, allow_nan=False)
        )
        distinct.setdefault(key, cell)
        often[key] += 1
    found = {rule: {key: read(cell, rule) for key, cell in distinct.items()} for rule in rules}
    fitting = [rule for rule in rules if not {None, DOUBTFUL} & set(found[rule].values())]
    if not fitting:
        counts = {
            rule: sum(often[key] for key, value in found[rule].items() if value is not None)
            for rule in rules
        }
        best = max(rules, key=lambda rule: counts[rule])
        return Fit(rule=best, fitting=counts[best] / often.total())
    for other in fitting[1:]:
        for key, cell in distinct.items():
            both = found[fitting[0]][key], found[other][key]
            if both[0] != both[1]:
                raise InputError(_ambiguous(cell, (fitting[0], other), both, labels))
    # nothing is cut where nothing need be
    whole = [rule for rule in fitting if rule.are == fitting[0].are and not rule.separator]
    return Fit(rule=(whole or fitting)[0], fitting=1.0)


def _ambiguous(
    cell: object,
    rules: tuple[LabelRule, LabelRule],
    both: tuple[tuple[int, ...] | None, tuple[int, ...] | None],
    labels: Labels,
) -> str:
    """Write the error over a column that can be read in two ways."""
    first, second = (
        f"{' with '.join(repr(labels.names[i]) for i in said or ()) or 'none'} as {rule}"
        for rule, said in zip(rules, both, strict=True)
    )
    way_out = (
        "write JSON arrays"
        if rules[0].are == rules[1].are
        else f'set data.labels_are to "{rules[0].are}" or "{rules[1].are}"'
    )
    return f"can be read in two ways: {str(cell)[:SHOWN]!r} is {first} and {second}; {way_out}"
