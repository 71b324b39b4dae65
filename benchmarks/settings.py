"""Show what the sweep is worth: a variant with the setting it found, beside the engine's default.

python benchmarks/settings.py BUILD --data test.csv --input text --variant openvino-int8 --variant
openvino-int8-buckets

All are timed in turns by edgekit's own session. "default": one stream and as many threads as the
engine likes, in batches of 8 and of 32.
"""

import tempfile
from pathlib import Path

import click
import msgspec

from edgekit.edge.tasks import load_task
from edgekit.job import run_job
from edgekit.nouns import Performance, Setting
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.profiles.data import input_columns, read_inputs
from edgekit.profiles.intervals import paired_ratio
from edgekit.profiles.report.text import with_interval
from edgekit.profiles.session import Contender, Plan, performances, run_session, write_inputs
from edgekit.targets.detect import detect_machine

DEFAULTS = {f"default, batch {size}": Setting(batch_size=size) for size in (8, 32)}


def contenders_of(build: Path, names: tuple[str, ...]) -> list[Contender]:
    """List each variant with its found setting and with the defaults."""
    variants = {item.name: item for item in read_build(build).variants}
    found = []
    for name in names:
        item = variants.get(name)
        if item is None or item.artifact is None or item.evidence is None:
            raise click.ClickException(f"--variant {name}: {build} has none that was measured")
        folder = str(model_folder(build.resolve(), item.name))
        for what, setting in {"found": item.evidence.setting, **DEFAULTS}.items():
            found.append(
                Contender(
                    name=f"{name}, {what}", folder=folder, engine=item.engine, setting=setting
                )
            )
    return found


@click.command()
@click.argument("build", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--input", "columns", multiple=True)
@click.option("--variant", "names", multiple=True, required=True)
def main(build: Path, data: Path, columns: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Print samples a second of each variant, round by round.

    Beside it stands the ratio to the first variant's better default.
    """
    contenders = contenders_of(build, names)
    task = load_task(Path(contenders[0].folder))
    inputs = read_inputs(data, task, input_columns(data, task, list(columns) or None, "label"))
    with tempfile.TemporaryDirectory() as work:
        wire = Path(work) / "inputs.json"
        write_inputs(task, inputs, wire)
        plan = Plan(effort="default", cores=detect_machine().cores, inputs=str(wire))
        session = run_session(
            contenders,
            plan,
            lambda function, request, what: run_job(
                function, msgspec.to_builtins(request), Path(work) / "log"
            ),
            lambda what, stage, share: click.echo(f"{stage}: {what}", err=True),
        )
    found = {
        name: item
        for name, item in performances(session, plan).items()
        if isinstance(item, Performance)
    }
    defaults = [found[f"{names[0]}, {what}"] for what in DEFAULTS]
    base = max(defaults, key=lambda item: item.samples_per_s.value)
    click.echo(
        "| variant and setting | samples/s | times the default | |\n| --- | --- | --- | --- |"
    )
    for contender in contenders:
        item = found[contender.name]
        ratio = paired_ratio(item.round_samples_per_s, base.round_samples_per_s)
        setting = contender.setting
        said = (
            f"{setting.streams} streams of {setting.threads or 'any'} threads, batch"
            f" {setting.batch_size}"
        )
        row = (contender.name, with_interval(item.samples_per_s, 0), with_interval(ratio, 2), said)
        click.echo(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
