"""Count how often the same build chooses the same variant when it is timed anew, ten times.

Each time the build's timing is thrown away and made again.

python benchmarks/choices.py edgekit.toml --out build
"""

import collections
import json
import shutil
import subprocess
import sys
from pathlib import Path

import click


@click.command()
@click.argument("spec", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Kept, all but the timing."
)
@click.option("--repeats", default=10, show_default=True)
@click.option("--quick", is_flag=True)
def main(spec: Path, out: Path, repeats: int, quick: bool) -> None:
    """Print each choice with its ties, and how often the chosen one was chosen or tied."""
    sets: list[set[str]] = []
    for number in range(1, repeats + 1):
        shutil.rmtree(out / "cache" / "timing", ignore_errors=True)
        command = [sys.executable, "-m", "edgekit", "build", str(spec), "--out", str(out), "--json"]
        done = subprocess.run(
            [*command, *["--quick"] * quick], stdout=subprocess.PIPE, text=True, check=True
        )
        found = json.loads(done.stdout)
        sets.append({found["chosen"], *found["ties"]})
        click.echo(f"{number}: {found['chosen']}; ties: {', '.join(found['ties']) or 'none'}")
    name, times = collections.Counter(name for names in sets for name in names).most_common(1)[0]
    click.echo(f"{name} is chosen, or named as a tie, in {times} of {repeats}")


if __name__ == "__main__":
    main()
