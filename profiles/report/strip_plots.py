"""Plots with a row for each variant or class: how latencies spread, what became of a class."""

from collections.abc import Sequence
from typing import NamedTuple

from edgekit.profiles.report.plots import BOLD, Box, Picture, Scale, draw_axes, hover


class Spread(NamedTuple):
    """A variant's latencies: ms at 0, 1, ... 100 %."""

    name: str
    quantiles: Sequence[float]
    is_chosen: bool


class Change(NamedTuple):
    """A share (such as a class's recall) before and after."""

    name: str
    before: float | None
    after: float
    text: str


def latency_plot(spreads: Sequence[Spread], name: str, width: float) -> Picture:
    """Draw a strip for each variant that shows how its latencies spread.

    The middle half is dark, 5 to 95 % and 1 to 99 % are lighter, and a line reaches to the
    extremes.
    """
    rows = _Rows([item.name for item in spreads], width)
    about = "; ".join(
        f"{item.name}: half of the calls between {item.quantiles[25]:.2f} and"
        f" {item.quantiles[75]:.2f} ms"
        for item in spreads
    )
    picture = Picture(name, "How the latencies of single calls spread", about, width, rows.height)
    slow = max(item.quantiles[99] for item in spreads)
    low, high = (
        min(item.quantiles[0] for item in spreads),
        min(max(item.quantiles[100] for item in spreads), 2 * slow),
    )
    x = Scale(low / 1.05, high * 1.05, rows.frame.left, rows.frame.right, is_log=True)
    draw_axes(picture, rows.frame, x, None, ("latency of one call, ms (logarithmic)", ""))
    for place, item in enumerate(spreads):
        middle, chosen = rows.middle(place), " chosen" if item.is_chosen else ""
        rows.write(picture, place, chosen)
        at = [x(value) for value in item.quantiles]
        picture.line(f"extremes{chosen}", at[0], middle, at[100], middle)
        for css, first, last, half in (
            ("outer", 1, 99, 4.0),
            ("most", 5, 95, 6.0),
            ("half", 25, 75, 8.0),
        ):
            picture.add(
                "rect",
                f"strip {css}{chosen}",
                x=at[first],
                y=middle - half,
                width=max(1.0, round(at[last] - at[first], 1)),
                height=2 * half,
            )
        picture.line("median", at[50], middle - 9, at[50], middle + 9)
    return picture  # fmt: skip


def change_plot(changes: Sequence[Change], what: str, name: str, width: float) -> Picture:
    """Draw a line from before (hollow) to after (filled) for each class."""
    rows = _Rows([item.name for item in changes], width)
    picture = Picture(
        name,
        f"{what} by class",
        "; ".join(f"{item.name}: {item.text}" for item in changes),
        width,
        rows.height,
    )
    values = [value for item in changes for value in (item.before, item.after) if value is not None]
    low = max(0.0, min(values) - 0.05)
    x = Scale(low, 1.0, rows.frame.left, rows.frame.right - 6)
    draw_axes(picture, rows.frame, x, None, (what, ""))
    for place, item in enumerate(changes):
        middle = rows.middle(place)
        rows.write(picture, place, "")
        if item.before is not None:
            picture.line(
                "change worse" if item.after < item.before else "change",
                x(item.before),
                middle,
                x(item.after),
                middle,
            )
            picture.add("circle", "mark before", cx=x(item.before), cy=middle, r=5)
        hover(
            picture.add("circle", "mark accepted", cx=x(item.after), cy=middle, r=4),
            f"{item.name}: {item.text}",
        )
    return picture  # fmt: skip


class _Rows:
    """The rows of a plot, with a name each: left of a wide plot, above the row in a narrow one."""

    def __init__(self, names: Sequence[str], width: float) -> None:
        self._beside = width > 500
        most = 38 if self._beside else 48
        self._names = [name if len(name) <= most else f"{name[: most - 1]}…" for name in names]
        self._each = 26.0 if self._beside else 42.0
        left = BOLD * max(len(name) for name in self._names) + 20 if self._beside else 16.0
        self.frame = Box(left, 4, width - 12, 8 + self._each * len(names))
        self.height = self.frame.bottom + 46

    def middle(self, place: int) -> float:
        """Return the height of the middle of a row's strip."""
        return self.frame.top + self._each * place + (self._each / 2 + 2 if self._beside else 29)

    def write(self, picture: Picture, place: int, css: str) -> None:
        """Write the name of a row."""
        if self._beside:
            picture.text(
                f"label{css}",
                self.frame.left - 10,
                self.middle(place) + 4,
                self._names[place],
                "end",
            )
        else:
            picture.text(
                f"label{css}", self.frame.left, self.middle(place) - 14, self._names[place]
            )
