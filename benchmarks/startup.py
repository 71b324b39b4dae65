"""How long `edgekit --help` takes, against the least that any click program can take.

python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

import click

EDGEKIT = str(Path(sys.executable).with_name("edgekit"))
COMMANDS = {
    'python -c "import click"': [sys.executable, "-c", "import click"],
    "edgekit --help": [EDGEKIT, "--help"],
}


def seconds(command: list[str]) -> float:
    """Return the wall time of one run, in seconds."""
    before = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


@click.command()
@click.option("--runs", default=31, show_default=True, help="Runs of each, in turns.")
def main(runs: int) -> None:
    """Print both medians and the ratio of each pair of runs: median, lowest, highest."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            times[name].append(seconds(command))
    for name, values in times.items():
        click.echo(f"{name:28} {1e3 * statistics.median(values):7.1f} ms")
    base, ours = times.values()
    ratios = sorted(mine / least for mine, least in zip(ours, base, strict=True))
    click.echo(
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {runs} pairs)"
    )


if __name__ == "__main__":
    main()
