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
    Session,
    performances,
    run_session,
    write_inputs,
)
from edgekit.quantize.build_context import Bench, Candidate, Workshop
from edgekit.quantize.cache import kept, key_of
from edgekit.targets.detect import closest_target


def time_all(bench: Bench, made: Sequence[Candidate | Variant]) -> list[Measured | Variant]:
    """Time all candidates in one session, made or found; the other variants stay as they are."""
    candidates = [item for item in made if isinstance(item, Candidate)]
    found = _time(bench, candidates)
    return [
        item
        if isinstance(item, Variant)
        else _with_evidence(bench.shop, item, found[item.artifact.name])
        for item in made
    ]


def _time(bench: Bench, candidates: Sequence[Candidate]) -> Mapping[str, Performance | str]:
    """Return the performance of each candidate by its name, or why it could not be timed."""
    shop, limits = bench.shop, bench.shop.spec.limits
    contenders = [
        Contender(
            name=item.artifact.name,
            folder=str(shop.artifact_folder(item.artifact)),
            engine=item.artifact.engine,
            setting=item.judged.setting,
        )
        for item in candidates
    ]
    key = key_of(
        "timing",
        shop.effort,
        limits.p99_ms is not None,
        bench.evaluation.sha256,
        bench.columns,
        shop.machine.description,
        [(item.artifact.key, item.judged.setting) for item in candidates],
        {item.engine: engine_version(item.engine) for item in contenders},
    )
    record = make_folder(shop.cache / "timing") / f"{key}.json"
    # The inputs are the user's data: they do not go into the cache.
    with tempfile.TemporaryDirectory(prefix="edgekit-inputs-") as scratch:
        inputs = Path(scratch) / "inputs.json"
        write_inputs(load_task(bench.task_folder), bench.evaluation.inputs, inputs)
        plan = Plan(
            effort=shop.effort,
            cores=shop.machine.cores,
            inputs=str(inputs),
            p99_limit_ms=limits.p99_ms,
        )
        session = run_session(
            contenders,
            plan,
            shop.run_silently,
            lambda name, stage, share: shop.watch.step("timing", f"{stage}: {name}", share),
            begun=kept(record, Session) or Session(),
            keep=lambda session: write_durably(record, session.to_json()),
        )
    return performances(session, plan)


def _with_evidence(shop: Workshop, item: Candidate, found: Performance | str) -> Measured | Variant:
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
        setting=item.judged.setting,
        quality=item.judged.quality,
        performance=found,
        size_bytes=artifact.size_bytes,
        machine=shop.machine.description,
        target=closest_target(shop.machine).name,
        versions=versions_with(artifact.engine),
    )
    return Measured(artifact=artifact, evidence=evidence)
