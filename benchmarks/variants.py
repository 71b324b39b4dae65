"""Every variant of a model against its onnx-fp32, measured several times.

python benchmarks/variants.py MODEL --calibration C.csv --evaluation E.csv --max-length 64
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

EDGEKIT = str(Path(sys.executable).with_name("edgekit"))


def write_spec(
    folder: Path, model: Path, calibration: Path, evaluation: Path, max_length: int | None
) -> Path:
    """A spec without limits: everything is measured, nothing is rejected."""
    length = f"max_length = {max_length}\n" if max_length else ""
    spec = folder / "edgekit.toml"
    spec.write_text(
        f'[model]\nname = "benchmark"\nsource = "{model.resolve()}"\ntask = "text-classification"\n{length}'
        f'[data]\ncalibration = "{calibration.resolve()}"\nevaluation = "{evaluation.resolve()}"\n'
    )
    return spec


def measure(spec: Path) -> dict[str, dict[str, Any]]:
    """One build with fresh measurements; the artifacts are kept from build to build."""
    shutil.rmtree(spec.parent / "build" / "cache" / "evidence", ignore_errors=True)
    result = subprocess.run([EDGEKIT, "build", str(spec), "--json"], check=True, stdout=subprocess.PIPE)
    return {item["name"]: item for item in json.loads(result.stdout)["variants"]}


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


@click.command()
@click.argument("model", type=click.Path(exists=True, path_type=Path))
@click.option("--calibration", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--evaluation", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--max-length", type=int)
@click.option("--runs", default=3, show_default=True)
def main(model: Path, calibration: Path, evaluation: Path, max_length: int | None, runs: int) -> None:
    """Print a Markdown table: accuracy, and latency and throughput as ratios to onnx-fp32 of the same run."""
    with tempfile.TemporaryDirectory(prefix="edgekit-benchmark-") as folder:
        spec = write_spec(Path(folder), model, calibration, evaluation, max_length)
        measured = [measure(spec) for _ in range(runs)]
    click.echo(
        "| variant | accuracy | agreement | p50 ms | faster than onnx-fp32 | more samples/s | MB | peak MB |"
    )
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, item in measured[0].items():
        if item["p50_ms"] is None:
            click.echo(f"| {name} | {item['status']}: {item['reason']} |")
            continue
        latency = [run["onnx-fp32"]["p50_ms"] / run[name]["p50_ms"] for run in measured]
        speed = [run[name]["samples_per_s"] / run["onnx-fp32"]["samples_per_s"] for run in measured]
        p50 = statistics.median(run[name]["p50_ms"] for run in measured)
        click.echo(
            f"| {name} | {item['metric_value']:.4f} | {item['agreement']:.2%} | {p50:.2f} | {spread(latency)} | "
            f"{spread(speed)} | {item['size_bytes'] / 1e6:.0f} | {item['peak_rss_bytes'] / 1e6:.0f} |"
        )


if __name__ == "__main__":
    main()
