"""Measuring staged variants on the machine that this runs on: one session for all of them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgekit.edge.engines import versions_with
from edgekit.edge.model.health import read_golden
from edgekit.edge.tasks import load_task
from edgekit.errors import InputError, JobFailed
from edgekit.job import run_job
from edgekit.nouns import Noun, Performance, Profile, Profiles
from edgekit.profiles.data import input_columns, read_inputs, refused_rows
from edgekit.profiles.scenarios import Name
from edgekit.profiles.session import (
    MOST_INPUTS,
    Contender,
    Plan,
    Tell,
    performances,
    run_session,
    write_inputs,
)
from edgekit.profiles.subjects import Subject
from edgekit.targets.detect import Machine, closest_target, detect_machine


class Wish(Noun, frozen=True, kw_only=True):
    """What the user asked `edgekit profile` for."""

    variants: tuple[str, ...] = ()
    effort: Name = "default"
    with_server: bool = False
    p99_limit_ms: float | None = None


def collect_inputs(
    first: Subject, data: Path | None, columns: Sequence[str], work: Path
) -> tuple[Path, str]:
    """Write the inputs that are measured with; returns the file and what they are, with its hash.
    Raises InputError.
    """
    path = work / "inputs.json"
    said = _collect(first, data, columns, path)
    return (
        path,
        f"{said} (sha256 of these inputs: {hashlib.sha256(path.read_bytes()).hexdigest()[:8]})",
    )


def _collect(first: Subject, data: Path | None, columns: Sequence[str], path: Path) -> str:
    task = load_task(first.folder)
    if data is None:
        golden = read_golden(first.golden)
        path.write_bytes(msgspec.json.encode(golden.inputs))
        return (
            f"{len(golden.inputs)} golden samples, made up: their lengths are not those of your"
            " data (--data)"
        )
    inputs = read_inputs(data, task, input_columns(data, task, list(columns) or None, "label"))
    if not inputs:
        raise InputError(f"{data}: holds no rows; it needs at least one input")
    refused = refused_rows(task, [[value] for value in inputs])
    if len(refused) == len(inputs):
        raise InputError(f"{data}: the model refuses every row: {next(iter(refused.values()))}")
    inputs = [value for index, value in enumerate(inputs) if index not in refused]
    write_inputs(task, inputs, path)
    drawn = (
        f"{MOST_INPUTS}, drawn from {len(inputs)},"
        if len(inputs) > MOST_INPUTS
        else f"{len(inputs)}"
    )
    left_out = f", without {len(refused)} that the model refuses" if refused else ""
    return f"{drawn} of {data.name}{left_out}"


def measure(
    staged: Sequence[Subject], wish: Wish, inputs: Path, said: str, work: Path, tell: Tell
) -> Profiles:
    """Time every staged variant in turns; raises JobFailed if not one of them runs."""
    machine = detect_machine()
    plan = Plan(
        effort=wish.effort,
        cores=machine.cores,
        inputs=str(inputs),
        p99_limit_ms=wish.p99_limit_ms,
        with_server=wish.with_server,
    )
    contenders = [
        Contender(name=item.name, folder=str(item.folder), engine=item.engine, setting=item.setting)
        for item in staged
    ]
    session = run_session(
        contenders,
        plan,
        lambda function, request, what: run_job(
            function, msgspec.to_builtins(request), work / "log"
        ),
        tell,
    )
    found = performances(session, plan)
    failed = {name: reason for name, reason in found.items() if isinstance(reason, str)}
    if len(failed) == len(found):
        raise JobFailed("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
    target = closest_target(machine).name
    profiles = tuple(
        _profile(item, performance, said, machine, target)
        for item in staged
        if isinstance(performance := found[item.name], Performance)
    )
    return Profiles(machine=machine.description, profiles=profiles, failed=failed)


def _profile(
    item: Subject, performance: Performance, said: str, machine: Machine, target: str
) -> Profile:
    return Profile(
        model=item.model,
        version=item.version,
        variant=item.name,
        manifest=item.manifest,
        setting=item.setting,
        performance=performance,
        inputs=said,
        machine=machine.description,
        target=target,
        versions=versions_with(item.engine),
    )
