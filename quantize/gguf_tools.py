"""llama.cpp's reference converter, out of the source of the llama-cpp-python that is installed.

The wheel lacks it. pip gets the source distribution from the index that this machine uses; only the
converter is unpacked, into the user's cache, and nothing is compiled.
"""

import hashlib
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

from edgekit.errors import EdgekitError, InputError, MissingPackage
from edgekit.files import new_folder
from edgekit.nouns import Noun

PACKAGE = "llama-cpp-python"
COMMAND = "edgekit setup gguf"
# SHA-256 of the source distributions that we have looked at.
KNOWN = {"0.3.36": "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"}
PARTS = ("convert_hf_to_gguf.py", "conversion/", "gguf-py/gguf/", "LICENSE")


class Converter(Noun, frozen=True, kw_only=True):
    """The converter on this machine.

    checked: what its source's hash was compared with; None if it was here already.
    """

    version: str
    folder: str
    checked: Literal["edgekit's table", "--sha256", "the package index"] | None


def find_converter() -> Path:
    """Return the folder that holds `conversion` and `gguf-py`.

    Raises MissingPackage with the command that gets it.
    """
    folder = _folder(_installed())
    if not folder.is_dir():
        raise MissingPackage(f"llama.cpp's converter is not here; get it with: {COMMAND}")
    return folder


def set_up(sdist: Path | None = None, sha256: str | None = None) -> Converter:
    """Put the converter into the cache, unless it is there.

    sdist: the source distribution as a file, for a machine without a package index.
    sha256: its hash in hex, for a version that edgekit's table lacks.

    Raises EdgekitError if there is no way to get it, InputError if `sdist` is not what it should
    be.
    """
    version = _installed()
    folder = _folder(version)
    if folder.is_dir():
        return Converter(version=version, folder=str(folder), checked=None)
    expected = sha256 or KNOWN.get(version)
    checked: Literal["edgekit's table", "--sha256", "the package index"] = (
        "--sha256" if sha256 else "edgekit's table" if expected else "the package index"
    )
    if sdist and not expected:
        raise InputError(
            f"{sdist}: edgekit knows no hash of {PACKAGE} {version}; name it with --sha256"
        )
    with tempfile.TemporaryDirectory(prefix="edgekit-setup-") as scratch:
        path = sdist or _download(version, expected, Path(scratch))
        if expected:
            check_hash(path, expected)
        unpack(path, version, folder)
    return Converter(version=version, folder=str(folder), checked=checked)


def _installed() -> str:
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise MissingPackage.of(PACKAGE, "gguf") from None


def _folder(version: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "edgekit" / f"gguf-{version}"


def _download(version: str, sha256: str | None, scratch: Path) -> Path:
    """Let pip get the source distribution.

    Where we know the hash, pip checks it before it looks into the file. Raises EdgekitError.
    """
    wanted = scratch / "requirements.txt"
    wanted.write_text(
        f"{PACKAGE}=={version}" + (f" --hash=sha256:{sha256}" if sha256 else "") + "\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
            "--no-binary",
            PACKAGE,
            "--requirement",
            str(wanted),
            "--dest",
            str(scratch),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    found = sorted(scratch.glob("*.tar.gz"))
    if done.returncode or not found:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [
            "pip gave no reason"
        ]
        reason = next(
            (line for line in lines if line.startswith("ERROR: ")), lines[-1]
        ).removeprefix("ERROR: ")
        raise EdgekitError(
            f"pip can't get the source of {PACKAGE} {version} ({reason[:200]}); on a machine"
            f" without an index: {COMMAND} --sdist FILE"
        )
    return found[0]


def check_hash(path: Path, expected: str) -> None:
    """Check that the file has this SHA-256, in hex; raises InputError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != expected.lower():
        raise InputError(
            f"{path}: its SHA-256 is {digest}, not {expected}; get it again from the package index"
        )


def unpack(sdist: Path, version: str, folder: Path) -> None:
    """Unpack the converter out of a source distribution, whole or not at all.

    Nothing else of it is unpacked. Raises InputError for another version's archive or a malicious
    one.
    """
    root = f"{PACKAGE.replace('-', '_')}-{version}/vendor/llama.cpp/"
    try:
        with new_folder(folder) as work, tarfile.open(sdist) as archive:
            for member in archive:
                part = member.name.removeprefix(root)
                if part != member.name and part.startswith(PARTS) and member.isfile():
                    archive.extract(member.replace(name=part, deep=False), work, filter="data")
            if not (work / "conversion" / "base.py").is_file():
                raise InputError(
                    f"{sdist}: holds no converter under {root}; {PACKAGE} {version} is installed, "
                    "and its own source distribution is needed"
                )
    except tarfile.TarError as error:
        raise InputError(f"{sdist}: not a sound archive: {error}") from None
