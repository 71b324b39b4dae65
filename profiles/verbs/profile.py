"""`edgekit profile`."""

from pathlib import Path

import click
import msgspec
from rich.markup import escape
from rich.table import Table

from edgekit.console import human_bytes, json_option, note, print_json, print_table, progress_bar
from edgekit.edge.bundle.trust import open_trust
from edgekit.edge.deploy.ssh import Device, parse_device
from edgekit.edge.tasks import load_task
from edgekit.edge.verbs.options import FILE, old_key_option, trust_option
from edgekit.errors import InputError
from edgekit.files import write_durably
from edgekit.nouns import Profile, Profiles
from edgekit.offline import stay_offline
from edgekit.profiles.build_folder import read_build
from edgekit.profiles.estimate import BASE, Estimate, check_base, tokens_of
from edgekit.profiles.estimate import estimate as run_estimate
from edgekit.profiles.intervals import UNBOUNDED
from edgekit.profiles.profile import Wish, collect_inputs, measure
from edgekit.profiles.remote import measure_there, serve_profiles
from edgekit.profiles.report.text import notes_of, with_interval
from edgekit.profiles.scenarios import Name
from edgekit.profiles.subjects import lay_out_any, stage, staging_folder
from edgekit.targets import find_target
from edgekit.targets.detect import detect_machine

MOST_COUNTED = 256  # inputs, for the median length


@click.command()
@click.argument("source", type=FILE, required=False)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    help="Which one; once for each.  [default: the one that would serve]",
)
@trust_option("Public key that signed the bundle, or trust file.")
@old_key_option
@click.option(
    "--data",
    type=FILE,
    help="CSV, JSONL or CoNLL file with inputs like yours.  [default: golden samples]",
)
@click.option("--input", "columns", multiple=True, help="The input column of --data.")
@click.option("--quick", "effort", flag_value="quick", help="Fewer rounds and calls; no p99.")
@click.option("--thorough", "effort", flag_value="thorough", help="MLPerf's counts; takes minutes.")
@click.option(
    "--server",
    is_flag=True,
    help="Also the server scenario: the largest arrival rate that keeps --p99-ms.",
)
@click.option(
    "--p99-ms", type=click.FloatRange(0, min_open=True), help="Limit on p99 of the server scenario."
)
@click.option(
    "--device",
    metavar="ssh://USER@HOST",
    help="Measure there, with the edgekit that is installed there.",
)
@click.option(
    "--estimate",
    metavar="TARGET",
    help="Of a build: an estimate for a device class that is not at hand.",
)
@click.option("--ssh-config", type=FILE, help="Configuration of ssh, instead of ~/.ssh/config.")
@click.option(
    "--remote-edgekit",
    default="edgekit",
    show_default=True,
    help="How edgekit is called on the device.",
)
@click.option(
    "--out", type=FILE, help="Write the measurement to this file; `edgekit bundle attach` signs it."
)
@click.option("--agent", is_flag=True, hidden=True, help="The other end of --device.")
@json_option
def profile(
    source: Path | None,
    variants: tuple[str, ...],
    trust: Path | None,
    data: Path | None,
    columns: tuple[str, ...],
    effort: Name | None,
    server: bool,
    p99_ms: float | None,
    device: str | None,
    estimate: str | None,
    remote_edgekit: str,
    ssh_config: Path | None,
    out: Path | None,
    agent: bool,
    as_json: bool,
) -> None:
    """Measure latency, throughput, memory and energy, here or on a device.

    SOURCE is a bundle, a build or an appliance. Every variant takes its turn in every round, in a
    fresh process. A machine that was disturbed is noticed, the round is repeated, and what stays
    disturbed is marked.

    \b
    Example:
      edgekit profile tickets.tar --trust release.pub --data tickets.csv --input text
      edgekit profile tickets.tar --trust release.pub --device ssh://me@box
      edgekit profile build/ --estimate jetson-orin-nano
    """
    stay_offline()
    if agent:
        serve_profiles()
        return
    if source is None:
        raise click.UsageError(
            "Missing argument 'SOURCE': a bundle, a build folder or an appliance folder."
        )
    if estimate:
        given = {
            "--variant": variants,
            "--trust": trust,
            f"--{effort}": effort,
            "--server": server,
            "--p99-ms": p99_ms,
            "--device": device,
            "--ssh-config": ssh_config,
            "--out": out,
        }
        if useless := [name for name, value in given.items() if value]:
            raise click.UsageError(
                f"--estimate measures nothing, so it does not go with {', '.join(useless)}"
            )
        _estimate(source, estimate, data, columns, as_json=as_json)
        return
    if server and p99_ms is None:
        raise InputError("--server needs a limit: --p99-ms")
    wish = Wish(
        variants=tuple(dict.fromkeys(variants)),
        effort=effort or "default",
        with_server=server,
        p99_limit_ms=p99_ms,
    )
    place = parse_device(device, remote_edgekit, ssh_config) if device else None
    found = _measure(source, trust, wish, data, columns, place)
    if out:
        write_durably(out, found.to_json())
    if as_json:
        print_json(found)
        return
    _show(found)


def _measure(
    source: Path,
    trust: Path | None,
    wish: Wish,
    data: Path | None,
    columns: tuple[str, ...],
    place: Device | None,
) -> Profiles:
    with progress_bar() as progress, staging_folder() as work:
        line = progress.add_task("staging", total=100)
        shown = ""

        def tell(what: str, step: str, share: float) -> None:
            nonlocal shown
            progress.update(
                line, description=escape(f"{what}: {step}"), completed=round(100 * share)
            )
            if step != shown and not progress.console.is_terminal:
                note(step)
            shown = step

        if place is None:
            staged = stage(source, wish.variants, open_trust(trust) if trust else None, work)
            inputs, said = collect_inputs(staged[0], data, columns, work)
            return measure(staged, wish, inputs, said, work, tell)
        if trust is None:
            raise InputError(
                f"{source}: to be sent to a device a bundle needs its key: --trust KEY.pub"
            )
        wire: Path | None = None
        said = ""
        if data:
            wire, said = collect_inputs(
                lay_out_any(source, open_trust(trust), work / "any"), data, columns, work
            )
        return measure_there(place, source, trust, wish, wire, said, tell)


def _estimate(
    build: Path, name: str, data: Path | None, columns: tuple[str, ...], *, as_json: bool
) -> None:
    target = find_target(name, "--estimate")
    found = read_build(build)
    check_base(found, build)
    (staged,) = stage(build, (BASE,), None, build)
    with staging_folder() as work:
        wire, said = collect_inputs(staged, data, columns, work)
        task = load_task(staged.folder)
        values = [
            task.parse(value) for value in msgspec.json.decode(wire.read_bytes())[:MOST_COUNTED]
        ]
    tokens = tokens_of(task, values)
    estimates = run_estimate(found, build.resolve(), target, detect_machine(), tokens)
    if as_json:
        print_json(
            {
                "kind": "estimated",
                "target": name,
                "tokens": tokens,
                "inputs": said,
                "estimates": estimates,
            }
        )
        return
    table = Table(
        title=f"ESTIMATE for {target.title}: nothing was measured there", title_justify="left"
    )
    for column in ("variant", "p50 ms, estimated", "at peak rates", "slower than that here"):
        table.add_column(column, justify="left" if column == "variant" else "right", no_wrap=True)
    for item in estimates:
        table.add_row(
            escape(item.variant),
            _estimated(item),
            f"{item.ideal_ms:.3f}",
            f"{item.factor:.1f} times",
        )
    print_table(table)
    click.echo(_error(estimates[0]))
    click.echo(
        f"Inputs: {tokens} tokens, the median of {said}. Peak rates:"
        f" {target.peak.source if target.peak else '-'}"
    )


def _estimated(item: Estimate) -> str:
    if item.p50_ms.high >= UNBOUNDED:
        return f"{item.p50_ms.value:.2f} (error not known)"
    return with_interval(item.p50_ms, 2)


def _error(item: Estimate) -> str:
    if item.p50_ms.high >= UNBOUNDED:
        return (
            "How wrong the estimate may be is not known: the build has one measured variant, and"
            " its error is the spread among several."
        )
    error = item.p50_ms.high / item.p50_ms.value
    return (
        f"One factor for all variants would be wrong here by up to {error:.1f} times: that is the"
        " interval."
    )


def _show(found: Profiles) -> None:
    table = Table(
        title=f"{escape(found.machine)}; times with their 95 % interval", title_justify="left"
    )
    for name in (
        "variant",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "samples/s",
        "load ms",
        "cold",
        "peak memory",
        "J/input",
    ):
        table.add_column(name, justify="left" if name == "variant" else "right", no_wrap=True)
    for item in found.profiles:
        table.add_row(escape(item.variant), *_figures(item))
    print_table(table)
    for line in notes_of({item.variant: item.performance for item in found.profiles}):
        click.echo(line)
    for item in found.profiles:
        if figure := item.performance.server:
            click.echo(
                f"{item.variant}: serves {figure.queries_per_s:.0f} queries/s arriving at random"
                f" with p99 {with_interval(figure.p99_ms, 1)} ms, of at most {figure.limit_ms:g} ms"
                f" ({figure.queries} queries, HTTP not counted)"
            )
    for name, reason in found.failed.items():
        click.echo(f"{name}: failed: {reason}")
    click.echo(f"Inputs: {found.profiles[0].inputs}")


def _figures(item: Profile) -> list[str]:
    performance = item.performance
    cold, energy = performance.cold_load_ms, performance.energy_j
    return [
        with_interval(performance.p50_ms, 2),
        with_interval(performance.p90_ms, 2),
        with_interval(performance.p99_ms, 2) if performance.p99_ms else "-",
        with_interval(performance.samples_per_s, 0),
        f"{performance.load_ms:.0f}",
        "-" if cold is None else f"{cold:.0f}",
        human_bytes(performance.peak_rss_bytes),
        f"{energy.value:.3g}" if energy else "-",
    ]
