"""Plots as SVG: scales, marks, and labels that keep clear of each other.

Colours are classes, which the page's style sheet fills in: one plot serves light, dark and paper.
Text is escaped by ElementTree, as everything that a user named may hold anything.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree as ET

# pixels of the style sheet's 12 px letters, wide enough for most fonts
CHARACTER, BOLD, LINE = 6.9, 7.8, 14.0
STEPS = (1, 2, 5)
LOG_STEPS = ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), STEPS, (1,))
WIDE, NARROW = 1000.0, 350.0  # pixels: of a page, of a phone


class Scale(NamedTuple):
    """A scale that turns a value into a pixel; what is out of range is drawn at the edge."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 7) -> list[float]:
        """List round values within the range, few enough to be read."""
        if self.is_log and self.high / self.low > 2:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in LOG_STEPS:
                found = [step * 10.0**power for power in powers for step in steps]
                found = [value for value in found if self.low <= value <= self.high]
                if len(found) <= most:
                    break
            return found
        step = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [place * step for place in range(first, math.floor(self.high / step + 1e-9) + 1)]


def nice_step(least: float) -> float:
    """Return the next of 1, 2, 5, 10, ... that is not smaller."""
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (*STEPS, 10) if step * power >= least * (1 - 1e-9))


def tick_label(value: float, step: float = 0.0) -> str:
    """Write a tick's value with as many digits as tell the ticks apart."""
    if step:
        return f"{value:.{max(0, -math.floor(math.log10(step) + 1e-9))}f}"
    return f"{value:g}"


class Picture:
    """An SVG that names itself to those who can't see it."""

    def __init__(self, name: str, title: str, about: str, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.root = ET.Element(
            "svg",
            {
                "viewBox": f"0 0 {width:g} {height:g}",
                "width": f"{width:g}",
                "height": f"{height:g}",
                "role": "img",
                "aria-labelledby": f"{name}-title {name}-about",
            },
        )
        ET.SubElement(self.root, "title", {"id": f"{name}-title"}).text = title
        ET.SubElement(self.root, "desc", {"id": f"{name}-about"}).text = about

    def add(
        self, shape: str, css: str, text: str | None = None, **numbers: float | str
    ) -> ET.Element:
        """Draw one shape; underscores of a name stand for hyphens."""
        attributes = {key.replace("_", "-"): f"{value}" for key, value in numbers.items()}
        element = ET.SubElement(self.root, shape, {"class": css, **attributes})
        element.text = text
        return element

    def line(self, css: str, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draw a straight line."""
        self.add("line", css, x1=x1, y1=y1, x2=x2, y2=y2)

    def text(self, css: str, x: float, y: float, text: str, anchor: str = "start") -> None:
        """Write one line of text, its baseline at y."""
        self.add("text", css, text, x=round(x, 1), y=round(y, 1), text_anchor=anchor)

    def svg(self) -> str:
        """Return the finished element as text."""
        return ET.tostring(self.root, encoding="unicode")


def hover(element: ET.Element, text: str) -> None:
    """Add the text that a pointer which rests on an element is shown."""
    ET.SubElement(element, "title").text = text


def twice(draw: Callable[[str, float], Picture], name: str) -> tuple[str, str]:
    """Draw the SVG for a wide page and the one for a phone.

    Letters that shrink with a plot can't be read.
    """
    return draw(name, WIDE).svg(), draw(f"{name}-narrow", NARROW).svg()


class Box(NamedTuple):
    """A rectangle on the page."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: "Box") -> float:
        """Return the area that both boxes cover, in pixels."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)

    def grown(self, by: float) -> "Box":
        """Return the box with a margin around it."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)


def draw_axes(
    picture: Picture, frame: Box, x: Scale, y: Scale | None, names: tuple[str, str]
) -> None:
    wide = picture.width > 500
    for value in x.ticks(10 if wide else 5):
        picture.line("grid", x(value), frame.top, x(value), frame.bottom)
        picture.text("tick", x(value), frame.bottom + 16, tick_label(value), "middle")
    if y:
        step = nice_step((y.high - y.low) / 7)
        for value in y.ticks(7):
            picture.line("grid", frame.left, y(value), frame.right, y(value))
            picture.text("tick", frame.left - 6, y(value) + 4, tick_label(value, step), "end")
        picture.line("axis", frame.left, frame.top, frame.left, frame.bottom)
        picture.text("axis-name", 0, 12, names[1])
    picture.line("axis", frame.left, frame.bottom, frame.right, frame.bottom)
    picture.text("axis-name", (frame.left + frame.right) / 2, frame.bottom + 36, names[0], "middle")


class Mark(NamedTuple):
    """A point, and the texts that may stand beside it, the best first."""

    x: float
    y: float
    texts: Sequence[str]
    character: float = CHARACTER

    @property
    def box(self) -> Box:
        """The box that the mark covers."""
        return Box(self.x, self.y, self.x, self.y).grown(7)


class Label(NamedTuple):
    """A label's place in a plot.

    text: what it says.
    box: where it stands.
    is_far: whether it is far enough from its mark to need a line to it.
    """

    text: str
    box: Box
    is_far: bool


def place_labels(
    marks: Sequence[Mark], frame: Box, taken: Iterable[Box] = (), soft: Iterable[Box] = ()
) -> list[Label | None]:
    """Find a place for the label of each mark, the first ones first; None where nothing is free.

    taken: what no label may cover.
    soft: what a label may cover if it must, such as error bars.
    """
    taken, soft = [*taken, *(mark.box for mark in marks)], list(soft)
    found: list[Label | None] = []
    for mark in marks:
        label = None
        for text in mark.texts:
            wide = mark.character * len(text)
            places = [
                Label(text, box, is_far)
                for box, is_far in _around(mark, wide, far=text == mark.texts[-1])
            ]
            free = [place for place in places if _is_free(place.box, frame, taken)]
            if free:
                label = min(
                    free, key=lambda place: place.is_far * 150 + sum(map(place.box.overlap, soft))
                )
                taken.append(label.box)
                break
        found.append(label)
    return found


def _is_free(box: Box, frame: Box, taken: Iterable[Box]) -> bool:
    inside = (
        frame.left <= box.left
        and box.right <= frame.right
        and frame.top <= box.top
        and box.bottom <= frame.bottom
    )
    return inside and not any(box.overlap(other) for other in taken)


def _around(mark: Mark, wide: float, *, far: bool) -> Iterator[tuple[Box, bool]]:
    """Yield boxes beside a point: near ones first, far ones only where they may be."""
    for gap in (9.0, 22.0, 38.0, 56.0) if far else (9.0,):
        for dx, dy in ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1)):
            x = mark.x + dx * (gap + wide / 2)
            y = mark.y + dy * (gap + LINE / 2 - (3 if dx == 0 else 0))
            yield Box(x - wide / 2, y - LINE / 2, x + wide / 2, y + LINE / 2), gap > 10
