"""Subjects: the variants that are measured, laid out in a folder where nothing serves from.

A subject from a bundle has passed the same verdict and the same golden samples as a deployed one.
It is in no store, and no pointer names it, so nothing can serve it.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.edge.appliance.policy import GOLDEN_SECONDS
from edgekit.edge.appliance.store import Store
from edgekit.edge.bundle.layout import Layout, open_layout
from edgekit.edge.bundle.trust import Trust
from edgekit.edge.bundle.verify import VerifiedVariant, read_blob, verify
from edgekit.edge.deploy.fit import misfit
from edgekit.edge.deploy.golden import check_golden
from edgekit.edge.model.device_compile import compile_slot, needs_device_compile
from edgekit.edge.model.slot import read_slot
from edgekit.errors import Busy, InputError, Misfit
from edgekit.locks import lock
from edgekit.nouns import Setting
from edgekit.profiles.build_folder import model_folder, read_build
from edgekit.targets.detect import detect_machine

PREFIX = "edgekit-staged-"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A variant that can be measured.

    model: the model's name.
    version: the release's version.
    name: the variant's name.
    manifest: its digest, or "" of a variant of a build.
    folder: the files of the variant.
    golden: the folder that holds golden.json.
    engine: the engine that runs it.
    setting: the engine's setting.
    """

    model: str
    version: str
    name: str
    manifest: str
    folder: Path
    golden: Path
    engine: str
    setting: Setting


@contextmanager
def staging_folder() -> Iterator[Path]:
    """Make a temporary folder that holds all temporary files while it is in use.

    What killed processes left behind is removed first.
    """
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(Busy, OSError), lock(old / "lock", "removing"):
            shutil.rmtree(old)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX) as name,
        lock(Path(name) / "lock", "edgekit profile"),
        _temporary_files_in(name),
    ):
        yield Path(name)


@contextmanager
def _temporary_files_in(folder: str) -> Iterator[None]:
    """Put the temporary files of this process and of its jobs into the folder.

    An interrupt may come just when one was made and nobody knows of it yet.
    """
    before = {key: os.environ[key] for key in ("TMPDIR",) if key in os.environ}
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    try:
        yield
    finally:
        del os.environ["TMPDIR"]
        os.environ.update(before)
        tempfile.tempdir = None  # to be found anew


def stage(source: Path, names: Sequence[str], trust: Trust | None, work: Path) -> list[Subject]:
    """Find the named variants of a bundle, a build folder or an appliance folder.

    Without names it is the one that would serve. Raises Refused, Misfit, InputError.
    """
    if (source / "build.json").is_file():
        return _of_build(source, names)
    if (source / "schema").is_file():
        return _of_appliance(source, names)
    if trust is None:
        raise InputError(
            f"{source}: a bundle is measured only if its signature holds: name the key with"
            " --trust KEY.pub"
        )
    return _of_bundle(open_layout(source), names, trust, work)


def _of_build(out: Path, names: Sequence[str]) -> list[Subject]:
    build = read_build(out)
    measured = {item.name: item for item in build.measured}
    chosen = list(names) or [build.choice.chosen or next(iter(measured), "")]
    found = []
    for name in chosen:
        item = measured.get(name)
        if item is None:
            raise InputError(
                f"--variant {name}: {out} has none that was measured; it has: {', '.join(measured)}"
            )
        found.append(
            Subject(
                model=build.model,
                version=build.version,
                name=name,
                manifest="",
                golden=out,
                folder=model_folder(out.resolve(), name),
                engine=item.engine,
                setting=item.evidence.setting,
            )
        )
    return found


def _of_appliance(root: Path, names: Sequence[str]) -> list[Subject]:
    """Find the slots that serve, and those that are staged; names are of models here."""
    store = Store(root)
    store.check()
    found = []
    for name in names or store.pointers.models():
        pointer = store.pointer_of(name)
        model = pointer.model
        if slot := pointer.current:
            found.append(_of_slot(store.slot_folder(model, slot).resolve(), slot.manifest))
        if pointer.staged:
            slot = pointer.staged.slot
            staged = _of_slot(store.slot_folder(model, slot).resolve(), slot.manifest)
            found.append(replace(staged, name=f"{staged.name} (staged)"))
    if not found:
        raise InputError(f"{root}: holds no model yet; deploy one")
    return found


def _of_slot(folder: Path, manifest: str) -> Subject:
    slot = read_slot(folder)
    return Subject(
        model=slot.model,
        version=slot.version,
        name=slot.variant,
        manifest=manifest,
        folder=folder,
        golden=folder,
        engine=slot.engine,
        setting=slot.setting,
    )


def _of_bundle(layout: Layout, names: Sequence[str], trust: Trust, work: Path) -> list[Subject]:
    verified = verify(layout, trust)
    variants = {item.slot.variant: item for item in verified.variants}
    unknown = [name for name in names if name not in variants]
    if unknown:
        raise InputError(f"--variant {unknown[0]}: {layout.where} holds: {', '.join(variants)}")
    machine = detect_machine()
    reasons = {
        name: reason for name in names or variants if (reason := misfit(variants[name], machine))
    }
    chosen = list(names) or [name for name in variants if name not in reasons][:1]
    if not chosen or set(chosen) & set(reasons):
        said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        raise Misfit(
            f"{verified.release.model} {verified.release.version} does not fit this device: {said}"
        )
    return [_extract(layout, variants[name], work / name) for name in chosen]


def _extract(layout: Layout, variant: VerifiedVariant, folder: Path) -> Subject:
    _lay_out(layout, variant, folder)
    digest = variant.layers["slot.json"].digest
    if needs_device_compile(variant.slot):
        compile_slot(folder, digest, lambda stage, share: None)
    check_golden(folder, digest, GOLDEN_SECONDS)
    return _of_slot(folder, variant.descriptor.digest)


def lay_out_any(source: Path, trust: Trust, folder: Path) -> Subject:
    """Lay out the first variant of a bundle, only to look at: it need not fit this machine."""
    layout = open_layout(source)
    variant = verify(layout, trust).variants[0]
    _lay_out(layout, variant, folder)
    return _of_slot(folder, variant.descriptor.digest)


def _lay_out(layout: Layout, variant: VerifiedVariant, folder: Path) -> None:
    folder.mkdir()
    for name, item in variant.layers.items():
        with (folder / name).open("wb") as file:
            read_blob(layout, item, file.write)
