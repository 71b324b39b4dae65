"""A finished build as one HTML file that needs nothing else: no network, no fonts, no scripts.

Jinja2 escapes all text; only the plots are put in as they are, and ElementTree has escaped what is
in them.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from edgekit.confidence import upper_bound
from edgekit.errors import MissingPackage
from edgekit.nouns import Build
from edgekit.profiles.report.cost import CostSheet
from edgekit.profiles.report.pareto import Level, Point, pareto_plot
from edgekit.profiles.report.plots import twice
from edgekit.profiles.report.strip_plots import Change, Spread, change_plot, latency_plot
from edgekit.profiles.report.summary import chosen_of, in_words, tiles
from edgekit.profiles.report.tables import (
    COLUMNS,
    ClassRow,
    class_rows,
    condition_rows,
    origins,
    variant_rows,
)
from edgekit.profiles.report.text import (
    again,
    cost_cells,
    disturbed_in,
    left_out,
    measured_in,
    not_measured,
    warnings_in,
)

TEMPLATE = Path(__file__).with_name("page.html")
MOST_CLASSES = 20  # in the plot; the table has all


class Drawn(NamedTuple):
    """A plot for a wide page and for a phone."""

    wide: str
    narrow: str


def page(build: Build, cost: CostSheet) -> str:
    """Write the whole HTML file of the report."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingPackage.of("Jinja2", "report") from None
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        _content(build, cost)
    )


def _content(build: Build, cost: CostSheet) -> dict[str, Any]:
    evidence = [item.evidence for item in build.measured]
    measured = measured_in(build)
    against, classes = class_rows(build)
    metric = evidence[0].quality.metric if evidence else "metric"
    return {
        "build": build,
        "chosen": chosen_of(build),
        "words": list(in_words(build)),
        "tiles": tiles(build),
        "metric": metric,
        "effort": evidence[0].performance.effort if evidence else None,
        "rounds": evidence[0].performance.rounds if evidence else 0,
        "pareto": _pareto(build, metric) if evidence else None,
        "columns": (metric, *COLUMNS, "weights"),
        "rows": list(variant_rows(build)),
        "latency": _latency(build) if evidence else None,
        "against": against,
        "classes": classes,
        "class_plot": _classes(classes),
        "cost": cost,
        "cost_rows": [(line.variant, cost_cells(line)) for line in cost.variants],
        "not_measured": not_measured(measured),
        "disturbed": disturbed_in(measured),
        "again": next((again(item) for item in measured.values()), ""),
        "warnings": [*left_out(build), *warnings_in(measured)],
        "energy_sources": list(dict.fromkeys(item.energy_source for item in measured.values())),
        "machines": list(dict.fromkeys(item.machine for item in evidence)),
        "conditions": list(condition_rows(build)),
        "origins": list(origins(build)),
    }


def _pareto(build: Build, metric: str) -> Drawn:
    points = []
    numbers = {item.name: number for number, item in enumerate(build.variants, 1)}
    for item in build.measured:
        quality = item.evidence.quality
        doubt = upper_bound(quality.comparison, build.tested_confidence) - quality.comparison.drop
        points.append(
            Point(
                number=numbers[item.name],
                name=item.name,
                metric=quality.metric_value,
                worst=quality.metric_value - doubt,
                p50_ms=item.evidence.performance.p50_ms,
                status=item.status,
                is_chosen=item.name == build.choice.chosen,
                is_on_front=item.name in build.choice.pareto,
            )
        )
    draw = partial(pareto_plot, points, _levels(build), metric)
    return Drawn(*twice(draw, "pareto"))


def _levels(build: Build) -> list[Level]:
    """Return the levels that the plot marks: the reference, and the limits on the metric."""
    reference = build.measured[0].evidence.quality.reference_value
    levels = [Level(reference, f"{build.reference}: {reference:.4f}", "reference")]
    drop, floor = build.limits.max_accuracy_drop, build.limits.min_metric
    if drop is not None:
        levels.append(Level(reference - drop, f"limit: {drop:g} below", "limit"))
    if floor is not None:
        levels.append(Level(floor, f"limit: at least {floor:g}", "limit"))
    return levels


def _latency(build: Build) -> Drawn | None:
    spreads = [
        Spread(name, item.latency_quantiles, name == build.choice.chosen)
        for name, item in sorted(measured_in(build).items(), key=lambda pair: pair[1].p50_ms.value)
        if len(item.latency_quantiles) == 101
    ]
    return Drawn(*twice(partial(latency_plot, spreads), "latency")) if spreads else None


def _classes(rows: list[ClassRow]) -> Drawn | None:
    """Draw the classes whose recall changed most.

    Without a variant to compare with, the classes with the lowest recall are drawn.
    """
    known = [row for row in rows if row.after is not None]
    if not any(row.change for row in known):
        known.sort(key=lambda row: row.after or 0.0)
    changes = [
        Change(row.name, row.before, row.after, f"recall {row.recall.text}, {row.recall.small}")
        for row in known[:MOST_CLASSES]
        if row.after is not None
    ]
    return Drawn(*twice(partial(change_plot, changes, "recall"), "classes")) if changes else None
