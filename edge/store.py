"""The store of an appliance: one folder.

    schema                      "1"
    lock                        held by whoever changes the store
    trust/*.pub                 the public keys whose bundles are accepted
    blobs/sha256/<hex>          every file once, read only
    slots/<model>/<hex>/        hard links to blobs under the files' real names, slot.json among them
    models/<model>.json         the pointer: which slot serves, and which served before

The pointer is the only thing that decides what serves. It is replaced atomically, after everything that it points to
is durable, so that a power cut leaves the old model or the new one.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from securesystemslib.signer import Key

from edgekit.edge.bundle.keys import load_public_key
from edgekit.errors import InputError
from edgekit.files import lock, make_folder, sync_folder, write_durably
from edgekit.nouns import Noun, Unreadable, read_json

SCHEMA = "1"


class SlotRef(Noun, frozen=True, kw_only=True):
    """A slot that was activated."""

    manifest: str  # digest of the variant's manifest in its bundle
    slot_sha256: str  # of slot.json, which holds the digests of the slot's other files
    version: str
    variant: str


class Pointer(Noun, frozen=True, kw_only=True):
    """Which slot of a model serves, and which served before it."""

    model: str
    current: SlotRef
    previous: SlotRef | None = None


class Store:
    """Paths and pointers. Whoever changes anything does it inside `changing`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Hold the store's lock; makes the store if the folder is new or empty."""
        if self._is_foreign():
            raise InputError(f"{self.root}: not an appliance folder, and not empty; name a new one")
        make_folder(self.root)
        with lock(self.root / "lock", what):
            for name in ("trust", "blobs/sha256", "slots", "models"):
                make_folder(self.root / name)
            for path in (self.root / "blobs" / "sha256").glob(".*"):
                path.unlink()  # a copy that was cut off
            if not (self.root / "schema").exists():
                write_durably(self.root / "schema", SCHEMA.encode())
            self.check()
            yield

    def _is_foreign(self) -> bool:
        """Whether the folder holds something, and not a store, nor the beginnings of one that was cut off."""
        if not self.root.exists() or (self.root / "schema").exists():
            return False
        ours = ("lock", "trust", "blobs", "slots", "models")
        return any(
            path.name not in ours and not path.name.startswith(".schema.") for path in self.root.iterdir()
        )

    def check(self) -> None:
        """Raise InputError unless this is a store that this version understands."""
        try:
            schema = (self.root / "schema").read_text().strip()
        except FileNotFoundError:
            raise InputError(
                f"{self.root}: not an appliance folder; make one with: edgekit deploy BUNDLE {self.root} --trust KEY.pub"
            ) from None
        if schema != SCHEMA:
            raise InputError(
                f"{self.root}: its schema is {schema!r} and this edgekit knows {SCHEMA!r}; update edgekit"
            )

    def trusted_keys(self) -> list[Key]:
        """The keys in trust/."""
        return [load_public_key(path) for path in sorted((self.root / "trust").glob("*.pub"))]

    def trust(self, key: Path) -> None:
        """Copy a public key into trust/."""
        identity = load_public_key(key).keyid
        write_durably(self.root / "trust" / f"{identity[:16]}.pub", key.read_bytes())

    def models(self) -> list[str]:
        """The names of all models that were ever activated."""
        return sorted(path.stem for path in (self.root / "models").glob("*.json"))

    def pointer(self, model: str) -> Pointer | None:
        """What serves under this name, or None."""
        path = self.root / "models" / f"{model}.json"
        try:
            return read_json(path.read_bytes(), Pointer)
        except FileNotFoundError:
            return None
        except Unreadable as error:
            raise InputError(f"{path}: damaged: {error}; deploy the model again") from None

    def only_model(self, name: str | None) -> Pointer:
        """The pointer of the named model, or of the only one; raises InputError."""
        self.check()
        models = self.models()
        if name is None and len(models) != 1:
            held = (
                f"holds {', '.join(models)}; name one with --model"
                if models
                else "holds no model yet; deploy one"
            )
            raise InputError(f"{self.root}: {held}")
        pointer = self.pointer(name or models[0])
        if pointer is None:
            raise InputError(f"{self.root}: holds no model {name!r}; it holds: {', '.join(models) or 'none'}")
        return pointer

    def slot_folder(self, model: str, slot: SlotRef) -> Path:
        """Where a slot's files are."""
        return self.slot_by_digest(model, slot.manifest)

    def slot_by_digest(self, model: str, manifest: str) -> Path:
        """Where the slot of a variant's manifest is, or would be."""
        return self.root / "slots" / model / manifest.removeprefix("sha256:")[:32]

    def blob(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def point(self, pointer: Pointer) -> None:
        """Switch. Everything that the pointer names must be durable by now."""
        write_durably(
            self.root / "models" / f"{pointer.model}.json", msgspec.json.format(pointer.to_json(), indent=2)
        )

    def collect(self) -> None:
        """Remove slots that no pointer names, then blobs that no slot links to."""
        kept = set()
        for model in self.models():
            pointer = self.pointer(model)
            refs = (pointer.current, pointer.previous) if pointer else ()
            kept |= {self.slot_folder(model, ref) for ref in refs if ref}
        for folder in (self.root / "slots").glob("*/*"):
            if folder not in kept:
                shutil.rmtree(folder)
        blobs = self.root / "blobs" / "sha256"
        for path in blobs.iterdir():
            if path.name.startswith(".") or os.stat(path).st_nlink == 1:  # noqa: PTH116 - nlink reads best this way
                path.unlink()
        sync_folder(blobs)
