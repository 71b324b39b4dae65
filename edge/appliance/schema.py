"""The schema of an appliance folder: what it is made of, and what a cut-off write leaves there."""

from collections.abc import Iterator
from pathlib import Path

from edgekit.edge.appliance.pointers import Pointers
from edgekit.errors import InputError
from edgekit.files import write_durably

SCHEMA = "2"
READABLE = ("1", SCHEMA)  # what a pointer of an older schema lacks has a default
FOLDERS = ("trust", "blobs/sha256", "slots", "models", "watch")
SWITCHED = (".schema.*", "models/.*", "watch/.*")  # what a switch may leave behind
FILES = ("schema", "lock", "reserve", "policy.toml", "trust.json", "counters.json")


def read_schema(root: Path) -> str:
    """Return the schema of an appliance folder; raises InputError where it has none."""
    try:
        return (root / "schema").read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        raise InputError(
            f"{root}: not an appliance folder; make one with: edgekit deploy BUNDLE"
            f" {root} --trust KEY.pub"
        ) from None


def check_schema(root: Path) -> None:
    """Raise InputError unless this is an appliance folder that this version understands."""
    schema = read_schema(root)
    if schema not in READABLE:
        raise InputError(
            f"{root}: its schema is {schema!r} and this edgekit knows {SCHEMA!r}; update edgekit"
        )


def write_schema(root: Path) -> None:
    """Note that everything in the folder has today's form."""
    write_durably(root / "schema", SCHEMA.encode())


def upgrade(root: Path, pointers: Pointers) -> None:
    """Write every pointer in today's form, then the schema: cut off in between, it is done again.

    Call it with the pointers' lock held.
    """
    if read_schema(root) == SCHEMA:
        return
    for model in pointers.models():
        if pointer := pointers.read_sound(model):
            pointers.point(pointer)
    write_schema(root)


def is_foreign(root: Path) -> bool:
    """Tell whether a folder holds something else than an appliance.

    The beginnings of an appliance, whose making was cut off, are not foreign, nor is a policy with
    the keys beside it that it names.
    """
    if not root.exists() or (root / "schema").exists():
        return False
    ours = {*FILES, *(name.split("/")[0] for name in FOLDERS), "lost+found"}
    has_policy = (root / "policy.toml").is_file()
    return any(
        path.name not in ours
        and not path.name.startswith(".schema.")
        and not (has_policy and path.is_file())
        for path in root.iterdir()
    )


def leftovers(root: Path) -> Iterator[Path]:
    """Yield the files whose writing was cut off, except those of a switch.

    Call it with the store's lock held.
    """
    for name in FILES:
        if name != "schema":
            yield from root.glob(f".{name}.*")
    for name in ("blobs/sha256", "trust"):
        yield from (root / name).glob(".*")


def leftovers_of_a_switch(root: Path) -> Iterator[Path]:
    """Yield the files of a switch whose writing was cut off.

    Call it with the pointers' lock held.
    """
    for pattern in SWITCHED:
        yield from root.glob(pattern)
