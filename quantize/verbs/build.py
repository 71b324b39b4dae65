"""`edgekit build`."""

from pathlib import Path

import click

from edgekit.console import json_option, note, progress_bar
from edgekit.errors import NoVariant
from edgekit.offline import stay_offline
from edgekit.profiles.verbs.report import show_build


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), default="edgekit.toml")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Output folder.  [default: build/ beside the spec]"
)
@click.option(
    "--quick", is_flag=True, help="Measure briefly: fewer calls, and p99 only if a limit asks for it."
)
@json_option
def build(spec: Path, out: Path | None, quick: bool, as_json: bool) -> None:
    """Quantize, compile and measure every variant, and choose the best under your limits.

    What is already built and measured is re-used, also after Ctrl-C or a full disk. Exit code 4: no variant keeps
    every limit.

    \b
    Example:
      edgekit build edgekit.toml --quick
    """
    from edgekit.quantize.pipeline import build as run

    stay_offline()
    with progress_bar() as progress:
        line = progress.add_task("starting", total=None)
        stages: dict[str, str] = {}

        def watch(what: str, stage: str, share: float) -> None:
            if stages.get(what) != stage and not progress.console.is_terminal:
                note(f"{what}: {stage}")
            stages[what] = stage
            progress.update(line, description=f"{what}: {stage}", completed=round(100 * share), total=100)

        result = run(spec, out or spec.parent / "build", quick=quick, watch=watch, warn=note)
    show_build(result, as_json=as_json)
    if result.choice.chosen is None:
        raise NoVariant(result.choice.reason)
