"""The report: one file that needs nothing, whatever the labels.

It has the same content as text and as JSON.
"""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgekit.nouns import Artifact, Build, Conditions, Counts, Figure, Paired, Variant
from edgekit.profiles.intervals import figure
from edgekit.profiles.report.cost import Prices, cost_sheet
from edgekit.profiles.report.page import page
from edgekit.profiles.report.plots import Box, Mark, Scale, place_labels
from edgekit.profiles.report.text import with_interval
from tests.conftest import edgekit
from tests.evidence import build, variant, write_build

HOSTILE = "<script>alert(1)</script>\"'&"
ARTIFACT = Artifact(
    name="a",
    format="onnx",
    precision="int8",
    method="none",
    engine="onnxruntime",
    key="",
    files=(),
    contents={"[/h]": 1},
)
VOID = {"meta", "line", "circle", "path", "rect", "br"}


class Balanced(HTMLParser):
    """Notes every tag and attribute; fails on a tag that is not closed in its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def made() -> Build:
    """Three variants, one of them hostile and rejected, and one that was skipped."""
    quiet = Conditions(
        others=0.01, governor="powersave", mhz=(3000, 2000, 2900), celsius=(50, 70, 66)
    )
    classes = {
        "leak": Counts(found=30, missed=10, false=5),
        HOSTILE: Counts(found=9, missed=1, false=0),
    }
    better = {
        "leak": Counts(found=36, missed=4, false=4),
        HOSTILE: Counts(found=9, missed=1, false=0),
    }
    common: dict[str, Any] = {
        "conditions": (quiet,) * 3,
        "machine": "a box",
        "versions": {"onnxruntime": "1.23.4"},
    }
    spread = Figure(value=2.5, low=2.25, high=2.75)
    chosen = variant(
        "onnx-int8",
        p50_ms=2.5,
        p90_ms=spread,
        metric_value=0.899,
        classes=classes,
        evaluation_sha256="sha256:cafe",
        comparison=Paired(samples=3000, lost=6, gained=3),
        round_p50_ms=(2.4, 2.5, 2.6),
        skipped=("p99: 2000 calls are few",),
        **common,
    )
    slow = variant(
        "onnx-fp32", "fp32", p50_ms=7.0, classes=better, round_p50_ms=(6.9, 7.0, 7.1),
        disturbed=("round 2: other processes took 31% of the CPU time",), **common,
    )  # fmt: skip
    bad = variant(
        HOSTILE, metric_value=0.5, comparison=Paired(samples=3000, lost=1200, gained=0), **common
    )
    skipped = Variant(
        name="gguf-q8_0",
        format="gguf",
        precision="int8",
        engine="llamacpp",
        status="skipped",
        reason=f"needs {HOSTILE}",
    )
    return build(chosen, slow, bad, skipped)


@pytest.fixture(scope="module")
def html(made: Build) -> str:
    return page(made, cost_sheet(made, Prices()))


def test_it_needs_nothing_from_elsewhere(html: str) -> None:
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    parsed = Balanced()
    parsed.feed(html)
    assert not parsed.open
    for tag, attributes in parsed.seen:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert "src" not in attributes
        assert not (attributes.get("href") or "#").lstrip("#").count("/")
        assert not [name for name in attributes if name.startswith("on")]


def test_hostile_text_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 6  # the table, the plots, the classes, the reason


def test_figures_and_reasons_are_there(html: str) -> None:
    for text in (
        "Ship onnx-int8",
        "Why: lowest p50 latency at batch 1, 2.50 ms",
        "2.80 times as fast as onnx-fp32",
        "2.25 – 2.75",
        "+0.0010",
        "max_accuracy_drop",
        "a box",
        "powersave",
        "1.23.4",
        "sha256:cafe",
        "2000 – 3000",
        "50 – 70",
        "p99: 2000 calls are few",
        "round 2: other processes took 31% of the CPU time",
        "30 of 40; was 0.900",
        "-0.150",
        "--requests-per-day",
        "the clock frequency fell from 3000 to 2000 MHz",
    ):
        assert text in html, text


def test_plots_name_themselves(html: str) -> None:
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    labelled = re.findall(r'aria-labelledby="([^"]+)"', html)
    assert len(labelled) == 6  # three plots, for a wide page and for a phone
    assert {name for pair in labelled for name in pair.split()} <= set(ids)


def test_a_build_with_nothing_measured_has_a_page_too() -> None:
    failed = Variant(
        name="a",
        format="onnx",
        precision="int8",
        engine="onnxruntime",
        status="failed",
        reason="broke",
    )
    empty = build(failed)
    text = page(empty, cost_sheet(empty, Prices()))
    assert "Nothing to ship" in text
    assert "broke" in text


def test_a_single_round_has_no_spread() -> None:
    alone = figure([3.0])
    assert with_interval(alone, 2) == "3.00 (one round)"
    made = build(variant("a", p90_ms=alone, round_p50_ms=(3.0,)))
    text = page(made, cost_sheet(made, Prices()))
    assert "one round" in text
    assert "e+308" not in text
    assert len(max(text.split(), key=len)) < 300


@pytest.mark.processes
def test_text_and_json_say_the_same(made: Build, tmp_path: Path) -> None:
    folder = write_build(tmp_path / "build", made)
    text, found = edgekit("report", folder).out, edgekit("report", folder, "--json").json
    assert "onnx-int8 ◆ ◄" in text
    assert "Not measured: p99: 2000 calls are few" in text
    assert found["not_measured"] == ["p99: 2000 calls are few"]
    assert found["disturbed"] == {
        "onnx-fp32": ["round 2: other processes took 31% of the CPU time"]
    }
    assert found["chosen"] == "onnx-int8"
    assert [item["pareto"] for item in found["variants"]] == [True, True, False, False]
    assert found["variants"][0]["p50_ms"]["value"] == 2.5


@pytest.mark.processes
def test_text_in_brackets_is_no_markup(tmp_path: Path) -> None:
    """A name in brackets, as in the version "2.0 [/final]", is shown as it was written.

    The library that draws tables raises no error over it.
    """
    odd = variant("int8 [/a]", metric="f1 [/b]", metric_value=0.5)
    odd = msgspec.structs.replace(
        odd, artifact=msgspec.structs.replace(ARTIFACT, name=odd.artifact.name)
    )
    made = build(odd, model="[/c]", version="2.0 [/final]", target="[/d]", reference="[/e]")
    made = msgspec.structs.replace(
        made, variants=(msgspec.structs.replace(made.variants[0], reason="[/f]"),)
    )
    folder = write_build(tmp_path / "build", made)
    out = edgekit("report", folder, "--requests-per-day", 1000, "--currency", "[/g]").out
    for text in (
        "[/a]",
        "[/b]",
        "[/c] 2.0 [/final] on [/d]",
        "[/e]",
        "[/f]",
        "energy [/g]",
        "[/h] 100%",
    ):
        assert text in " ".join(out.split()), text


@pytest.mark.processes
def test_a_page_is_written_and_nothing_else_printed(made: Build, tmp_path: Path) -> None:
    folder = write_build(tmp_path / "build", made)
    ran = edgekit("report", folder, "--html", tmp_path / "report.html")
    assert not ran.out
    assert (tmp_path / "report.html").read_text().lstrip().startswith("<!doctype html>")
    ran = edgekit("report", folder, "--html", tmp_path / "none" / "report.html", code=2)
    assert "there is no folder" in ran.err


@pytest.mark.processes
def test_what_is_alike_is_said_once(tmp_path: Path) -> None:
    made = build(
        *(
            variant(name, skipped=(f"p99: {calls} calls",))
            for name, calls in (("a", 300), ("b", 310))
        )
    )
    found = edgekit("report", write_build(tmp_path, made), "--json").json
    assert found["not_measured"] == ["p99: 300 calls (a; 1 more alike)"]


def test_labels_keep_clear_of_each_other_and_of_marks() -> None:
    frame = Box(0, 0, 800, 400)
    marks = [
        Mark(400 + 9 * (place % 5), 200 + 7 * (place // 5), [f"variant-{place}", f"{place}"])
        for place in range(25)
    ]
    boxes = [label.box for label in place_labels(marks, frame) if label]
    assert len(boxes) >= 12
    for place, box in enumerate(boxes):
        assert box.overlap(frame) == pytest.approx(box.overlap(box))
        assert not any(
            box.overlap(other) for other in [*boxes[:place], *(mark.box for mark in marks)]
        )


@pytest.mark.parametrize(("low", "high"), [(1.1, 2.0), (2.0, 9.0), (0.1, 300.0), (1.9, 2.0)])
def test_scales_have_ticks_that_can_be_read(low: float, high: float) -> None:
    ticks = Scale(low, high, 0, 100, is_log=True).ticks()
    assert 2 <= len(ticks) <= 8
    assert all(low <= tick <= high * (1 + 1e-9) for tick in ticks)


def test_a_variant_that_lost_far_more_does_not_flatten_the_rest(made: Build) -> None:
    """A variant that lost far more stands at the edge of the plot, with its value."""
    html = page(made, cost_sheet(made, Prices()))
    wide = html[html.index('aria-labelledby="pareto-title') :].split("</svg>")[0]
    ticks = [
        float(text) for text in re.findall(r'class="tick" [^>]*text-anchor="end">([\d.]+)<', wide)
    ]
    assert min(ticks) > 0.85
    assert " 0.500<" in wide


def test_a_tie_of_all_metrics_still_draws() -> None:
    same = build(variant("a"), variant("b"))
    evidence = same.measured[0].evidence
    quality = msgspec.structs.replace(
        evidence.quality, comparison=Paired(samples=3000, lost=0, gained=0)
    )
    assert quality.comparison.drop == 0
    assert "<svg" in page(same, cost_sheet(same, Prices()))
