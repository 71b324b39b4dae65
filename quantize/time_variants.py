"""One timing session for all variants of a build: with it a candidate becomes a variant with
evidence.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgekit.edge.engines import engine_version, versions_with
from edgekit.edge.tasks import load_task
from edgekit.files import make_folder, write_durably
from edgekit.nouns import Evidence, Performance, Variant
from edgekit.profiles.build_folder import artifact_folder
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


def time_all(bench: Bench, candidates: Sequence[Candidate]) -> list[Variant]:
    """The candidates' variants with their evidence: one timing session for all of them, made or
    found.
    """
    shop, limits = bench.shop, bench.shop.spec.limits
    contenders = [
        Contender(
            name=item.variant.name,
            folder=str(artifact_folder(shop.out, item.variant.artifact)),
            engine=item.variant.engine,
            setting=item.judged.setting,
        )
        for item in candidates
        if item.variant.artifact and item.judged
    ]
    key = key_of(
        "timing",
        shop.effort,
        limits.p99_ms is not None,
        bench.evaluation.sha256,
        bench.columns,
        shop.machine.description,
        [
            (item.variant.artifact.key, item.judged.setting)
            for item in candidates
            if item.variant.artifact and item.judged
        ],
        {item.engine: engine_version(item.engine) for item in contenders},
    )
    record = make_folder(shop.cache / "timing") / f"{key}.json"
    with tempfile.TemporaryDirectory(
        prefix="edgekit-inputs-"
    ) as scratch:  # the user's data: not into the cache
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
    found = performances(session, plan)
    return [_with_evidence(shop, item, found.get(item.variant.name)) for item in candidates]


def _with_evidence(shop: Workshop, item: Candidate, found: Performance | str | None) -> Variant:
    """A variant with its evidence; with its reason where there is none."""
    variant, judged = item.variant, item.judged
    if judged is None or variant.artifact is None or found is None:
        return variant
    if isinstance(found, str):
        return msgspec.structs.replace(variant, reason=found)
    evidence = Evidence(
        setting=judged.setting,
        quality=judged.quality,
        performance=found,
        size_bytes=variant.artifact.size_bytes,
        machine=shop.machine.description,
        target=closest_target(shop.machine).name,
        versions=versions_with(variant.engine),
    )
    return msgspec.structs.replace(variant, evidence=evidence)
