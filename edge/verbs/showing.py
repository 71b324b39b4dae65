"""Lines that several verbs of an appliance print in the same way."""

from datetime import UTC, datetime

import click

from edgekit.console import print_json
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.bundle.trust import Trust


def slot_name(slot: SlotRef | None) -> str:
    """Return version and variant of a slot, "-" for none."""
    return f"{slot.version} ({slot.variant})" if slot else "-"


def show_pointer(pointer: Pointer, *, as_json: bool) -> None:
    """Print what serves of a model after a deploy or a rollback."""
    if as_json:
        print_json(pointer)
        return
    if pointer.current:
        before = f"; before: {pointer.previous.version}" if pointer.previous else ""
        click.echo(f"{pointer.model} {slot_name(pointer.current)} serves now{before}")
    if pointer.staged:
        click.echo(
            f"{pointer.model} {slot_name(pointer.staged.slot)} is staged, to be profiled and not to"
            f" serve: {pointer.staged.reason}"
        )


def warn_of_age(trust: Trust) -> None:
    """Warn on standard error of a trust file that was to be renewed by now."""
    if said := trust.overdue(datetime.now(UTC)):
        click.echo(f"warning: {said}", err=True)
