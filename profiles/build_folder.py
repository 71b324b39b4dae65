"""The output folder of `edgekit build`, as packing, profiling and reporting find it.

build.json              what was found out
golden.json             the golden samples with the reference's answers
variants/NAME/model/    the files of a measured variant
variants/NAME/golden.json   the golden samples with the variant's own answers
cache/                  makes the next build fast; nothing but a build reads it
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgekit.digests import fast_digest
from edgekit.errors import InputError
from edgekit.files import make_folder, new_folder, sync_folder, write_durably
from edgekit.nouns import Build, File, Unreadable, read_json

VARIANTS = "variants"
NEW, OLD = ".new-", ".old-"  # names of folders on their way in and out


class VariantFiles(NamedTuple):
    """The files of a variant where a build has made them.

    folder: holds the files.
    files: their paths, sizes and digests.
    golden: the JSON of the golden samples with the variant's own answers.
    """

    folder: Path
    files: tuple[File, ...]
    golden: bytes


def read_build(folder: Path) -> Build:
    """Read the `build.json` of a build's output folder; raises InputError."""
    path = folder / "build.json"
    try:
        return read_json(path.read_bytes(), Build)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder}: no build.json in it; make one with: edgekit build edgekit.toml"
        ) from None
    except Unreadable as error:
        raise InputError(f"{path}: {error}; build it again") from None


def model_folder(out: Path, name: str) -> Path:
    """Return where a build keeps the files of a measured variant."""
    return out / VARIANTS / name / "model"


def golden_file(out: Path, name: str) -> Path:
    """Return where a build keeps a variant's own answers to the golden samples."""
    return out / VARIANTS / name / "golden.json"


def write_build(
    out: Path, build: Build, golden: bytes, variants: Mapping[str, VariantFiles]
) -> None:
    """Write everything that packing, profiling and reporting read: variants/ and build.json.

    golden: the golden samples with the reference's answers.
    variants: the files of each measured variant, by its name.

    A build that is killed while it copies leaves what the last one wrote, whole; files of recipes
    that are gone from the spec go last.
    """
    folder = make_folder(out / VARIANTS)
    for old in folder.glob(".*"):  # of a build that was killed
        shutil.rmtree(old)
    changed = [name for name, made in variants.items() if not _is_current(folder / name, made)]
    for name in changed:
        _prepare(folder / f"{NEW}{name}", variants[name])
    for name in changed:
        if (folder / name).exists():
            (folder / name).rename(folder / f"{OLD}{name}")
        (folder / f"{NEW}{name}").rename(folder / name)
    sync_folder(folder)
    write_durably(out / "golden.json", golden)
    write_durably(out / "build.json", msgspec.json.format(build.to_json(), indent=2))
    for path in list(folder.iterdir()):
        if path.name not in variants:
            shutil.rmtree(path)


def _is_current(place: Path, made: VariantFiles) -> bool:
    """Whether a variant's folder holds just these files, by their digests, and these answers."""
    model, golden = place / "model", place / "golden.json"
    if not golden.is_file() or golden.read_bytes() != made.golden:
        return False
    held = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    return held == {file.path for file in made.files} and all(
        fast_digest(model / file.path) == file.blake3 for file in made.files
    )


def _prepare(place: Path, made: VariantFiles) -> None:
    """Lay a variant out under a hidden name: links to the cache, or copies where links can't be."""
    with new_folder(place) as work:
        for file in made.files:
            target = work / "model" / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(made.folder / file.path, target)
        (work / "golden.json").write_bytes(made.golden)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # this file system has no links, or they may not be made here
        shutil.copyfile(source, target)
