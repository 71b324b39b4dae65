"""The condition of an appliance: for each model whether it serves as it should, told cheaply.

Nothing is hashed but the slots' records, so a monitoring system can ask every minute;
`edgekit fsck` looks at every byte.

well    what serves has proven itself
watched what serves is in its watch window
staged  no version ever served; the policy lets one be profiled
ill     it serves, and something is not as it should be
down    it does not serve, or will not once its server starts again
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgekit.digests import digest_bytes
from edgekit.edge.appliance.pointer import Pointer, SlotRef
from edgekit.edge.appliance.store import Store
from edgekit.edge.model.slot import read_slot
from edgekit.errors import EdgekitError
from edgekit.nouns import Noun

ModelState = Literal["well", "watched", "staged", "ill", "down"]
State = Literal["well", "ill", "down"]


class Finding(Noun, frozen=True, kw_only=True):
    """Something that is not as it should be.

    model: which model it concerns, "" for the whole appliance.
    state: what it makes of that model, or of the appliance.
    text: what is wrong and what to do, one line.
    """

    model: str
    state: Literal["ill", "down"]
    text: str


class Condition(Noun, frozen=True, kw_only=True):
    """The condition of an appliance, as `edgekit status` found it.

    state: of the whole appliance: down if a model does not serve, ill if anything else is wrong. A
        damaged pointer makes it down only if no other model serves.
    models: the state of each model, by name.
    findings: everything that is not as it should be.
    """

    state: State
    models: dict[str, ModelState]
    findings: tuple[Finding, ...]


def condition_of(store: Store) -> Condition:
    """Look at every pointer and slot, the keys and the counters, without hashing any model."""
    damaged = store.pointers.damaged()
    findings = [*_of_trust(store), *(_of_damage(store, model) for model in damaged)]
    models: dict[str, ModelState] = dict.fromkeys(damaged, "down")
    for pointer in store.pointers.sound():
        found = list(_of_model(store, pointer))
        models[pointer.model] = _model_state(pointer, found)
        findings += found
    something_serves = any(state in ("well", "watched", "ill") for state in models.values())
    is_down = any(
        state == "down" and not (model in damaged and something_serves)
        for model, state in models.items()
    )
    return Condition(
        state="down" if is_down else "ill" if findings else "well",
        models=dict(sorted(models.items())),
        findings=tuple(findings),
    )


def _model_state(pointer: Pointer, findings: list[Finding]) -> ModelState:
    """Return the state of a model whose pointer is sound."""
    if any(finding.state == "down" for finding in findings):
        return "down"
    if findings:
        return "ill"
    if pointer.current is None:
        return "staged"
    return "watched" if pointer.is_watched else "well"


def _of_trust(store: Store) -> Iterator[Finding]:
    """Yield what keeps every deploy out: keys or counters that can't be read."""
    try:
        store.trusted.trust()
        store.trusted.check_counters()
    except EdgekitError as error:
        yield Finding(model="", state="ill", text=f"nothing can be deployed: {error}")


def _of_damage(store: Store, model: str) -> Finding:
    """Return what is to be said of a model whose pointer can't be read."""
    text = f"{store.pointers.file(model)}: damaged; deploy the model again, or: edgekit uninstall"
    return Finding(model=model, state="down", text=text)


def _of_model(store: Store, pointer: Pointer) -> Iterator[Finding]:
    """Yield what is not as it should be with a model whose pointer is sound."""
    model, given_up = pointer.model, pointer.given_up
    for role, slot in pointer.slots().items():
        if path := missing_of(store.slot_folder(model, slot), slot):
            yield Finding(
                model=model,
                state="down" if role == "current" else "ill",
                text=f"{path}: gone, or changed since it was deployed ({model} {slot.version},"
                f" {role}); deploy {slot.version} again" + _or_rollback(pointer, role),
            )
    if given_up and pointer.is_given_up:
        yield Finding(
            model=model,
            state="down",
            text=f"{model} {given_up.slot.version} ({given_up.slot.variant}) was given up, and"
            f" nothing is before it: {given_up.reason}; deploy another version",
        )
    elif given_up:
        yield Finding(
            model=model,
            state="ill",
            text=f"{model} {given_up.slot.version} ({given_up.slot.variant}) was given up:"
            f" {given_up.reason}; the version before it serves; deploy a better one",
        )


def _or_rollback(pointer: Pointer, role: str) -> str:
    """Return a second way out where the current slot has rotted and another one served before."""
    return ", or: edgekit rollback" if role == "current" and pointer.previous else ""


def missing_of(folder: Path, slot: SlotRef) -> Path | None:
    """Return the first file of a slot that is gone or has another size, None where there is none.

    slot.json is small and holds the sizes, so that is hashed.
    """
    record = folder / "slot.json"
    try:
        if digest_bytes(record.read_bytes()) != slot.slot_sha256:
            return record
        files = read_slot(folder).files
    except (OSError, EdgekitError):
        return record
    for file in files:
        path = folder / file.path
        if not path.is_file() or path.stat().st_size != file.size:
            return path
    return None
