"""What the check at every load costs: BLAKE3 beside SHA-256, on one core and on all, in turns.

python benchmarks/hashing.py --megabytes 512
"""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from blake3 import blake3


def sha256(path: Path) -> None:
    """Hash a file by hashlib, as the verdict does it while it copies."""
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")


WAYS: dict[str, Callable[[Path], object]] = {
    "SHA-256, one core": sha256,
    "BLAKE3, one core": lambda path: blake3(max_threads=1).update_mmap(path).digest(),
    "BLAKE3, all cores": lambda path: blake3(max_threads=blake3.AUTO).update_mmap(path).digest(),
}


@click.command()
@click.option("--megabytes", default=512, show_default=True)
@click.option("--rounds", default=9, show_default=True)
def main(megabytes: int, rounds: int) -> None:
    """Print GB/s of each way of hashing, the median and the range over the rounds.

    The file is in the page cache.
    """
    speeds: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.NamedTemporaryFile() as file:
        block = bytes(range(256)) * 4096
        for _ in range(megabytes):
            file.write(block)
        file.flush()
        for _ in range(rounds):
            for name, way in WAYS.items():
                start = time.perf_counter()
                way(Path(file.name))
                speeds[name].append(megabytes * len(block) / 1e9 / (time.perf_counter() - start))
    base = speeds["SHA-256, one core"]
    click.echo("| | GB/s | times SHA-256 |\n| --- | --- | --- |")
    for name, found in speeds.items():
        ratios = [mine / other for mine, other in zip(found, base, strict=True)]
        said = [
            f"{statistics.median(item):.2f} ({min(item):.2f}-{max(item):.2f})"
            for item in (found, ratios)
        ]
        click.echo(f"| {name} | {' | '.join(said)} |")


if __name__ == "__main__":
    main()
