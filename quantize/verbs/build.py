"""`edgekit build`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.progress import Progress

from edgekit.console import human_bytes, human_seconds, json_option, note, progress_bar
from edgekit.errors import NoVariant
from edgekit.nouns import Variant
from edgekit.offline import stay_offline
from edgekit.profiles.scenarios import Name
from edgekit.profiles.verbs.report import show_build

if TYPE_CHECKING:
    from edgekit.quantize.build_context import Candidate


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), default="edgekit.toml")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Output folder.  [default: build/ beside the spec]",
)
@click.option(
    "--quick",
    "effort",
    flag_value="quick",
    help="Measure briefly: fewer rounds and calls, and p99 only if a limit asks for it.",
)
@click.option("--thorough", "effort", flag_value="thorough", help="Measure with MLPerf's counts.")
@json_option
def build(spec: Path, out: Path | None, effort: Name | None, as_json: bool) -> None:
    """Quantize, compile and measure every variant, and choose the best under your limits.

    What is already built and measured is re-used, also after Ctrl-C or a full disk. Exit code 4: no
    variant keeps every limit.

    \b
    Example:
      edgekit build edgekit.toml --quick
    """
    from edgekit.quantize.pipeline import build as run

    stay_offline()
    with progress_bar() as progress:
        result = run(
            spec, out or spec.parent / "build", effort=effort or "default", listener=Bars(progress)
        )
    show_build(result, as_json=as_json)
    if result.choice.chosen is None:
        raise NoVariant(result.choice.reason)


class Bars:
    """The progress of a build on the screen.

    A terminal shows two lines: the build with its time to go, and the step at work. Elsewhere each
    step is a line.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._whole = progress.add_task("build", total=None)
        self._step = progress.add_task("starting", total=None)
        self._steps: dict[str, str] = {}
        self._started = time.monotonic()

    def step(self, what: str, step: str, share: float) -> None:
        """Move the lower bar."""
        heading = step.partition(":")[0]
        if self._steps.get(what) != heading and not self._progress.console.is_terminal:
            note(f"{what}: {heading}")
        self._steps[what] = heading
        self._progress.update(
            self._step, description=f"{what}: {step}", completed=round(100 * share), total=100
        )

    def done(self, made: "Candidate | Variant", number: int, total: int) -> None:
        """Move the upper bar, and say what making and measuring took."""
        self._progress.update(self._whole, completed=number, total=total)
        name = made.name if isinstance(made, Variant) else made.artifact.name
        if name in self._steps:  # not when all was re-used
            left = (time.monotonic() - self._started) / number * (total - number)
            to_go = f"; about {human_seconds(left)} to go" if number < total else ""
            note(f"[{number}/{total}] {name}: {_outcome(made)}{to_go}")

    def say(self, text: str) -> None:
        """Print what was found out on a line of its own."""
        note(text)

    def warn(self, text: str) -> None:
        """Print a warning on a line of its own."""
        note(text)


def _outcome(made: "Candidate | Variant") -> str:
    """Say what the memory peaks were, or why there is nothing to measure."""
    peaks = {"making": made.artifact.peak_rss_bytes if made.artifact else 0}
    if not isinstance(made, Variant):
        peaks["judging"] = made.measured.peak_rss_bytes
    memory = [f"peak memory {what} it {human_bytes(peak)}" for what, peak in peaks.items() if peak]
    return ", ".join(memory) or (made.reason if isinstance(made, Variant) else "")
