"""The output folder of `edgekit build`, as packing and reporting find it."""

from pathlib import Path

from edgekit.digests import digest_bytes
from edgekit.errors import InputError
from edgekit.nouns import Artifact, Build, Setting, Unreadable, read_json


def read_build(folder: Path) -> Build:
    """The `build.json` of a build's output folder; raises InputError."""
    path = folder / "build.json"
    try:
        return read_json(path.read_bytes(), Build)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{folder}: no build.json in it; make one with: edgekit build edgekit.toml"
        ) from None
    except Unreadable as error:
        raise InputError(f"{path}: {error}; build it again") from None


def golden_file(out: Path, artifact: Artifact, setting: Setting) -> Path:
    """Where a build keeps a variant's own answers to the golden samples, given with the setting
    that was found.
    """
    return out / "cache" / "golden" / f"{artifact.key}-{digest_bytes(setting.to_json())[7:19]}.json"


def artifact_folder(out: Path, artifact: Artifact) -> Path:
    """Where a build keeps the files of an artifact."""
    return out / "cache" / "artifacts" / artifact.key
