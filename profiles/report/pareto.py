"""The plot of accuracy against latency, with the limits and the front."""

from collections.abc import Sequence
from typing import NamedTuple

from edgekit.nouns import Figure
from edgekit.profiles.report.plots import (
    BOLD,
    CHARACTER,
    LINE,
    Box,
    Label,
    Mark,
    Picture,
    Scale,
    draw_axes,
    hover,
    place_labels,
)

FAR = 1.5  # times the span of what matters: points further down are drawn at the edge


class Point(NamedTuple):
    """A variant in the plot of accuracy against latency.

    number: the one that the table gives it.
    name: the variant's name.
    metric: the value of its metric.
    worst: the lowest metric that is not ruled out.
    p50_ms: its latency, with an interval.
    status: what the gate and the limits made of it.
    is_chosen: whether it is the chosen one.
    is_on_front: whether it is on the Pareto front.
    """

    number: int
    name: str
    metric: float
    worst: float
    p50_ms: Figure
    status: str
    is_chosen: bool
    is_on_front: bool


class Level(NamedTuple):
    """A value of the metric that a line marks."""

    value: float
    text: str
    css: str


def pareto_plot(
    points: Sequence[Point], levels: Sequence[Level], metric: str, name: str, width: float
) -> Picture:
    """Draw the metric against p50 on a logarithmic scale; up and to the left is better."""
    picture = Picture(
        name,
        f"{metric} against p50 latency",
        "; ".join(
            f"{item.name}: {item.metric:.4f}, {item.p50_ms.value:.2f} ms, {item.status}"
            for item in points
        ),
        width,
        440 if width > 500 else 400,
    )
    frame = Box(56, 24, width - 12, picture.height - 46)
    y = _metric_scale(points, levels, frame)
    x = _latency_scale([item.p50_ms for item in points], frame)
    draw_axes(picture, frame, x, y, ("p50 latency, ms (logarithmic)", metric))
    order = sorted(
        points, key=lambda item: (not item.is_chosen, not item.is_on_front, -item.metric)
    )
    marks = [_mark(item, x, y, width) for item in order]
    written = [_draw_level(picture, frame, y(item.value), item, marks) for item in levels]
    _draw_front(picture, x, y, points)
    bars = [box for item in points for box in _draw_bars(picture, x, y, item)]
    for item, mark in reversed(list(zip(order, marks, strict=True))):
        _draw_mark(picture, mark, item, is_below=item.metric < y.low)
    labels = place_labels(marks, frame, written, bars)
    for item, mark, label in zip(order, marks, labels, strict=True):
        if label:
            _draw_label(picture, mark, label, "label chosen" if item.is_chosen else "label")
    return picture


def _mark(item: Point, x: Scale, y: Scale, width: float) -> Mark:
    """Make the mark of a variant, with its name.

    Where there is no room for the name, it is the number that the table gives the variant. The
    value is added if it lies below the scale.
    """
    value = f" {item.metric:.3f}" if item.metric < y.low else ""
    name, number = f"{item.name}{value}", f"{item.number}{value}"
    texts = [name, number] if width > 500 or item.is_chosen else [number]
    return Mark(x(item.p50_ms.value), y(item.metric), texts, BOLD if item.is_chosen else CHARACTER)


def _draw_label(picture: Picture, mark: Mark, label: Label, css: str) -> None:
    box = label.box
    if label.is_far:
        end = (
            box.bottom
            if box.bottom < mark.y
            else box.top
            if box.top > mark.y
            else (box.top + box.bottom) / 2
        )
        picture.line("leader", mark.x, mark.y, min(max(mark.x, box.left), box.right), end)
    picture.text(css, (box.left + box.right) / 2, box.bottom - 3, label.text, "middle")


def _metric_scale(points: Sequence[Point], levels: Sequence[Level], frame: Box) -> Scale:
    """Return the scale that shows the accepted variants and the limits.

    A variant that lost far more must not press them into one line.
    """
    accepted = [item for item in points if item.status == "accepted"] or points
    values = [value for item in accepted for value in (item.metric, item.worst)]
    values += [level.value for level in levels]
    low, high = min(values), max(values + [item.metric for item in points])
    span = max(high - low, 1e-3)
    near = [
        value for item in points for value in (item.metric, item.worst) if value >= low - FAR * span
    ]
    low = min([low, *near])
    pad = 0.08 * max(high - low, 1e-3)
    return Scale(low - pad, high + pad, frame.bottom, frame.top)


def _latency_scale(figures: Sequence[Figure], frame: Box) -> Scale:
    """Return the scale of latency, with all values in it.

    Of their intervals it has what lies within a factor of two beyond.
    """
    low, high = min(item.value for item in figures), max(item.value for item in figures)
    low = max(low / 2, min(low / 1.2, *(item.low for item in figures)))
    high = min(high * 2, max(high * 1.2, *(item.high for item in figures)))
    return Scale(low / 1.05, high * 1.05, frame.left, frame.right, is_log=True)


def _draw_level(
    picture: Picture, frame: Box, height: float, level: Level, marks: Sequence[Mark]
) -> Box:
    """Draw a dashed line with its text at an end of it; return the place of the text.

    The text keeps clear of the marks if it can.
    """
    picture.line(f"level {level.css}", frame.left, height, frame.right, height)
    wide = CHARACTER * len(level.text) + 4
    places = [
        Box(left, top, left + wide, top + LINE)
        for top in (height + 1, height - LINE - 1)
        for left in (frame.right - wide, frame.left + 4)
    ]
    place = min(places, key=lambda box: sum(box.overlap(mark.box) for mark in marks))
    picture.text(f"level-name {level.css}", place.left, place.bottom - 3, level.text)
    return place


def _draw_front(picture: Picture, x: Scale, y: Scale, points: Sequence[Point]) -> None:
    """Draw the best metric that can be had up to each latency, as steps."""
    best, path = float("-inf"), ""
    front = [item for item in points if item.is_on_front]
    for item in sorted(front, key=lambda item: (item.p50_ms.value, -item.metric)):
        if item.metric > best:
            left, top = x(item.p50_ms.value), y(item.metric)
            path += f"H{left} V{top} " if path else f"M{left} {top} "
            best = item.metric
    if path:
        picture.add("path", "front", d=path.strip())


def _draw_bars(picture: Picture, x: Scale, y: Scale, item: Point) -> list[Box]:
    middle, left, right = x(item.p50_ms.value), x(max(item.p50_ms.low, x.low)), x(item.p50_ms.high)
    top, bottom = y(item.metric), y(item.worst)
    css = f"bar {item.status}" + (" chosen" if item.is_chosen else "")
    picture.line(css, left, top, right, top)
    if bottom > top:
        picture.line(css, middle, top, middle, bottom)
        picture.line(css, middle - 3, bottom, middle + 3, bottom)
    return [Box(left, top - 1, right, top + 1), Box(middle - 1, top, middle + 1, bottom)]


def _draw_mark(picture: Picture, mark: Mark, item: Point, *, is_below: bool) -> None:
    css = f"mark {item.status}" + (" chosen" if item.is_chosen else "")
    if is_below:
        shape = picture.add("path", css, d=f"M{mark.x - 6} {mark.y - 11} h12 l-6 11 z")
    else:
        shape = picture.add("circle", css, cx=mark.x, cy=mark.y, r=7 if item.is_chosen else 5)
    hover(shape, f"{item.name}: {item.metric:.4f}, p50 {item.p50_ms.value:.2f} ms, {item.status}")
