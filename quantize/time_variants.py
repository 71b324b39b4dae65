"""One timing session for all candidates of a build: with it each has all of its evidence."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgekit.edge.engines import engine_version, versions_with
from edgekit.edge.tasks import load_task
from edgekit.files import make_folder, write_durably
from edgekit.nouns import Evidence, Measured, Performance, Variant
from edgekit.profiles.session import (
    Contender,
    Plan,
    TimingSession,
    performances,
    run_session,
    write_inputs,
)
from edgekit.quantize.build_context import BuildContext, Candidate, PreparedBuild
from edgekit.quantize.cache import kept, key_of
from edgekit.targets.detect import closest_target


def time_all(
    prepared: PreparedBuild, made: Sequence[Candidate | Variant]
) -> list[Measured | Variant]:
    """Time all candidates in one session, made or found; the other variants stay as they are."""
    candidates = [item for item in made if isinstance(item, Candidate)]
    found = _time(prepared, candidates)
    return [
        item
        if isinstance(item, Variant)
        else _with_evidence(prepared.context, item, found[item.artifact.name])
        for item in made
    ]


def _time(
    prepared: PreparedBuild, candidates: Sequence[Candidate]
) -> Mapping[str, Performance | str]:
    """Return the performance of each candidate by its name, or why it could not be timed."""
    context, limits = prepared.context, prepared.context.spec.limits
    contenders = [
        Contender(
            name=item.artifact.name,
            folder=str(context.artifact_folder(item.artifact)),
            engine=item.artifact.engine,
            setting=item.measured.setting,
        )
        for item in candidates
    ]
    key = key_of(
        "timing",
        context.effort,
        limits.p99_ms is not None,
        prepared.evaluation.sha256,
        prepared.columns,
        context.machine.description,
        [(item.artifact.key, item.measured.setting) for item in candidates],
        {item.engine: engine_version(item.engine) for item in contenders},
    )
    record = make_folder(context.cache / "timing") / f"{key}.json"
    # The inputs are the user's data: they do not go into the cache.
    with tempfile.TemporaryDirectory(prefix="edgekit-inputs-") as scratch:
        inputs = Path(scratch) / "inputs.json"
        write_inputs(load_task(prepared.task_folder), prepared.evaluation.inputs, inputs)
        plan = Plan(
            effort=context.effort,
            cores=context.machine.cores,
            inputs=str(inputs),
            p99_limit_ms=limits.p99_ms,
        )
        session = run_session(
            contenders,
            plan,
            context.run_silently,
            lambda name, step, share: context.listener.step("timing", f"{step}: {name}", share),
            begun=kept(record, TimingSession) or TimingSession(),
            keep=lambda session: write_durably(record, session.to_json()),
        )
    return performances(session, plan)


def _with_evidence(
    context: BuildContext, item: Candidate, found: Performance | str
) -> Measured | Variant:
    """Join what was measured of a candidate; a failed variant where its timing is only a reason."""
    artifact = item.artifact
    if isinstance(found, str):
        return Variant(
            name=artifact.name,
            format=artifact.format,
            precision=artifact.precision,
            engine=artifact.engine,
            status="failed",
            reason=found,
            artifact=artifact,
        )
    evidence = Evidence(
        setting=item.measured.setting,
        quality=item.measured.quality,
        performance=found,
        size_bytes=artifact.size_bytes,
        machine=context.machine.description,
        target=closest_target(context.machine).name,
        versions=versions_with(artifact.engine),
    )
    return Measured(artifact=artifact, evidence=evidence)
