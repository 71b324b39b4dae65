"""The verb `edgekit status`."""

from pathlib import Path

import click
import msgspec
from rich.table import Table

from edgekit.console import json_option, leave, print_json, print_table
from edgekit.edge.appliance.condition import Condition, ModelState, State, condition_of
from edgekit.edge.appliance.pointer import Pointer
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.trust import NEVER, Trust
from edgekit.edge.verbs.deploy import APPLIANCE
from edgekit.edge.verbs.showing import slot_name, warn_of_age
from edgekit.errors import EdgekitError

EXIT_CODES: dict[State, int] = {"well": 0, "ill": 6, "down": 8}
SUMMARY: dict[State, str] = {
    "well": "All is well.",
    "ill": "What serves goes on serving, and something is to be looked at.",
    "down": "A model does not serve.",
}
SHOWN: dict[ModelState, str] = {
    "well": "proven",
    "watched": "in its watch window",
    "staged": "only staged",
    "ill": "not as it should be",
    "down": "does not serve",
}


@click.command()
@APPLIANCE
@json_option
def status(appliance: Path, as_json: bool) -> None:
    """Show what an appliance folder holds: for each model what serves and what served before.

    The exit code is for monitoring. Nothing is hashed but the slots' records, so it is cheap;
    edgekit fsck looks at every byte.

    \b
      0  all is well; also where a model is only staged, or none was deployed yet
      6  something serves and is not as it should be: a version was given up and the one
         before it serves, a version to go back to has files that are gone, one of several
         models has a damaged pointer, keys or counters can't be read
      8  a model does not serve: its files are gone, it was given up with nothing before it,
         or its pointer is damaged and no other model serves
      2  this is not an appliance folder, or a newer edgekit made it

    \b
    Example:
      edgekit status /var/lib/edgekit --json
    """
    store = Store(appliance)
    store.check()
    condition, trust = condition_of(store), _trust(store)
    for finding in condition.findings:
        if not finding.model:
            click.echo(f"warning: {finding.text}", err=True)
    if as_json:
        print_json(_record(appliance, store, condition, trust))
    else:
        _show(appliance, store, condition)
    if code := EXIT_CODES[condition.state]:
        leave(code)


def _trust(store: Store) -> Trust | None:
    """Return who may sign, None where that can't be read; warns of a trust file's age."""
    try:
        trust = store.trusted.trust()
    except EdgekitError:
        return None  # a finding says why
    warn_of_age(trust)
    return trust


def _record(
    appliance: Path, store: Store, condition: Condition, trust: Trust | None
) -> dict[str, object]:
    """Return what --json prints."""
    pointers = {pointer.model: pointer for pointer in store.pointers.sound()}
    return {
        "appliance": str(appliance),
        "state": condition.state,
        "findings": condition.findings,
        "trust_version": trust.version if trust else None,
        "trust_expires": trust.expires if trust and trust.expires != NEVER else None,
        "trust": (
            {"release": trust.release.shown(), "evidence": trust.evidence.shown()}
            if trust
            else None
        ),
        "models": [
            {**_fields(name, pointers.get(name)), "state": state}
            for name, state in condition.models.items()
        ],
        "damaged": {name: str(store.pointers.file(name)) for name in store.pointers.damaged()},
    }


def _fields(model: str, pointer: Pointer | None) -> dict[str, object]:
    """Return the pointer of a model as JSON; of a damaged one nothing is known but the name."""
    found: dict[str, object] = msgspec.to_builtins(pointer or Pointer(model=model, current=None))
    return found


def _show(appliance: Path, store: Store, condition: Condition) -> None:
    """Print a table of what serves, and what is wrong in plain words."""
    pointers = store.pointers.sound()
    table = Table(
        "model", "serves", "variant", "state", "before", title=str(appliance), title_justify="left"
    )
    for pointer in pointers:
        slot = pointer.current
        table.add_row(
            pointer.model,
            slot.version if slot else "-",
            slot.variant if slot else "-",
            SHOWN[condition.models[pointer.model]],
            slot_name(pointer.previous),
        )
    for name in store.pointers.damaged():
        table.add_row(name, "?", "?", "its pointer is damaged", "?")
    print_table(table)
    for pointer in pointers:
        if pointer.staged:
            name = slot_name(pointer.staged.slot)
            click.echo(f"{pointer.model} {name} is staged: {pointer.staged.reason}")
    for finding in condition.findings:
        if finding.model:
            click.echo(finding.text)
    click.echo(SUMMARY[condition.state] if condition.models else "No model was deployed yet.")
