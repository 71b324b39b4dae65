"""`edgekit targets` and `edgekit targets detect`."""

import click
import msgspec
from rich.table import Table

from edgekit.console import human_bytes, json_option, print_json, print_table
from edgekit.targets import all_targets
from edgekit.targets.detect import closest_target, detect_machine


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def targets(ctx: click.Context, as_json: bool) -> None:
    """List the device classes that edgekit builds for.

    \b
    Example:
      edgekit targets
      edgekit targets detect --json
    """
    if ctx.invoked_subcommand:
        return
    if as_json:
        print_json(list(all_targets().values()))
        return
    table = Table("target", "what it is", "CPU", "engines", "last compile step")
    for target in all_targets().values():
        cpu = f"{target.architecture}: {' '.join(target.isa)}"
        table.add_row(
            target.name,
            target.title,
            cpu,
            ", ".join(target.engines),
            target.compile_on_device or "-",
        )
    print_table(table)
    for target in all_targets().values():
        if target.not_run:
            click.echo(f"{target.name}: {target.not_run}")


@targets.command()
@json_option
def detect(as_json: bool) -> None:
    """Describe this machine and name the device class it belongs to."""
    machine = detect_machine()
    target = closest_target(machine)
    if as_json:
        print_json({"target": target.name, **msgspec.to_builtins(machine)})
        return
    click.echo(f"target        {target.name} ({target.title})")
    click.echo(f"CPU           {machine.cpu}, {machine.cores} cores, {machine.architecture}")
    click.echo(f"features      {' '.join(machine.isa)}")
    click.echo(f"memory        {human_bytes(machine.memory_bytes)}")
    click.echo(f"board         {machine.board or '-'}")
    click.echo(f"accelerators  {', '.join(machine.accelerators) or 'none'}")
