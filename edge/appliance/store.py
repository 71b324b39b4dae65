"""The store of an appliance: one folder.

    schema                      "2"
    lock                        held for longer work on the store: deploy, fsck, gc, uninstall
    reserve                     64 KiB of nothing, given up when a pointer must be written and the
                                disk is full
    policy.toml                 what this device demands, if the site wrote one
                                (see edgekit.edge.appliance.policy)
    trust.json, trust/*.pub     a root of trust (see edgekit.edge.bundle.trust), or bare keys
    counters.json               the highest release counter that was activated, by model and by key
    blobs/sha256/<hex>          every file once, read only
    slots/<model>/<hex>/        hard links to blobs under the files' real names, with slot.json
    models/<model>.json         the pointer: which slot serves, which served before, which is only
                                staged; the folder is a lock, held while a pointer is replaced
    watch/<model>.json          how often a new model's worker was started in its watch window

The pointer is the only thing that decides what serves. It is replaced atomically, after everything
that it points to is durable, so that a power cut leaves the old model or the new one.
"""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgekit.edge.appliance.pointer import Pointer, SlotRef, WatchCounts
from edgekit.edge.appliance.policy import Policy, load_policy, policy_trust
from edgekit.edge.bundle.envelope import load_public_key
from edgekit.edge.bundle.trust import Chain, Trust, bare, read_trust, verdict
from edgekit.errors import InputError
from edgekit.files import make_folder, sync_folder, write_durably
from edgekit.locks import brief_lock, lock
from edgekit.nouns import Unreadable, read_json

SCHEMA = "2"
RESERVE = 64 << 10  # bytes
READABLE = ("1", SCHEMA)  # what a pointer of an older schema lacks has a default
FOLDERS = ("trust", "blobs/sha256", "slots", "models", "watch")
SWITCHED = (".schema.*", "models/.*", "watch/.*")  # what a switch may leave behind
FILES = ("schema", "lock", "reserve", "policy.toml", "trust.json", "counters.json")


class Serving(NamedTuple):
    """What serves: a model, its slot, and where that lies."""

    model: str
    slot: SlotRef
    folder: Path


class Store:
    """Paths, pointers and counters. Longer work is done inside `changing`, and any pointer replaced
    inside `switching`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def changing(self, what: str) -> Iterator[None]:
        """Hold the store's lock for as long as it takes; makes the store if the folder is new or
        empty.
        """
        if self._is_foreign():
            raise InputError(f"{self.root}: not an appliance folder, and not empty; name a new one")
        make_folder(self.root)
        with lock(self.root / "lock", what):
            for name in FOLDERS:
                make_folder(self.root / name)
            if not (self.root / "schema").exists():
                write_durably(self.root / "schema", SCHEMA.encode())
            for path in self._leftovers():
                path.unlink()
            with self.switching():
                self._keep_reserve()
            yield

    @contextmanager
    def switching(self) -> Iterator[None]:
        """Hold the pointers' lock for a moment; brings an older store up to date.

        So a rollback, or the end of a watch window, waits for no deploy. These only drop slots from
        a pointer, or exchange them: whoever does longer work meanwhile may look at a pointer that
        is a moment old.
        """
        self.check()
        with brief_lock(self.root / "models"):
            for pattern in SWITCHED:
                for path in self.root.glob(pattern):  # whose writing was cut off
                    path.unlink()
            self._upgrade()
            yield

    def _is_foreign(self) -> bool:
        """Whether the folder holds something, and not a store, nor the beginnings of one that was
        cut off.
        """
        if not self.root.exists() or (self.root / "schema").exists():
            return False
        ours = {*FILES, *(name.split("/")[0] for name in FOLDERS), "lost+found"}
        has_policy = (self.root / "policy.toml").is_file()  # and the keys that it names, beside it
        return any(
            path.name not in ours
            and not path.name.startswith(".schema.")
            and not (has_policy and path.is_file())
            for path in self.root.iterdir()
        )

    def _leftovers(self) -> Iterator[Path]:
        """Files whose writing was cut off, but for those of a switch."""
        for name in FILES:
            if name != "schema":
                yield from self.root.glob(f".{name}.*")
        for name in ("blobs/sha256", "trust"):
            yield from (self.root / name).glob(".*")

    def check(self) -> None:
        """Raise InputError unless this is a store that this version understands."""
        schema = self._schema()
        if schema not in READABLE:
            raise InputError(
                f"{self.root}: its schema is {schema!r} and this edgekit knows {SCHEMA!r}; update"
                " edgekit"
            )

    def _schema(self) -> str:
        try:
            return (self.root / "schema").read_text("utf-8", "replace").strip()
        except FileNotFoundError:
            raise InputError(
                f"{self.root}: not an appliance folder; make one with: edgekit deploy BUNDLE"
                f" {self.root} --trust KEY.pub"
            ) from None

    def _upgrade(self) -> None:
        """Write every pointer in today's form, then the schema: cut off in between, it is done
        again.
        """
        if self._schema() == SCHEMA:
            return
        for model in self.models():
            if pointer := self.sound_pointer(model):
                self.point(pointer)
        write_durably(self.root / "schema", SCHEMA.encode())

    def policy(self) -> Policy:
        """What this device demands."""
        return load_policy(self.root)

    def chain(self) -> Chain | None:
        """The root of trust, or None where keys are bare."""
        path = self.root / "trust.json"
        return read_trust(path) if path.exists() else None

    def trust(self) -> Trust:
        """Who may sign what: the root of trust, or else the policy's keys, or else those in
        trust/.
        """
        chain, named = self.chain(), policy_trust(self.root, self.policy())
        self.check_one_trust(has_root=chain is not None)
        if chain is not None:
            return verdict(chain, self.root / "trust.json", None)
        return named or bare(
            [load_public_key(path) for path in sorted((self.root / "trust").glob("*.pub"))]
        )

    def check_one_trust(self, *, has_root: bool) -> None:
        """Raise InputError where two places say who may sign."""
        if has_root and self.policy().keys is not None:
            raise InputError(
                f"{self.root}: policy.toml names keys, and there is a root of trust; keep one of"
                " the two"
            )

    def keep_key(self, key: Path) -> None:
        """Copy a public key into trust/."""
        identity = load_public_key(key).keyid
        write_durably(self.root / "trust" / f"{identity[:16]}.pub", key.read_bytes())

    def keep_chain(self, chain: Chain) -> None:
        """A root of trust takes the place of bare keys."""
        write_durably(self.root / "trust.json", chain.to_json())
        for path in (self.root / "trust").glob("*.pub"):
            path.unlink()

    def floor(self, model: str, trust: Trust) -> int:
        """The highest counter that was activated of a model, among the releases of keys that are
        still trusted.

        So a revoked key takes its counters along: who stole it can't bar the way with a huge one.
        """
        known = self._counters().get(model, {})
        return max((counter for key, counter in known.items() if key in trust.key_ids), default=0)

    def raise_floor(self, model: str, key_ids: Iterable[str], counter: int) -> None:
        """Take note of an activated release; durable before the pointer switches, and never
        lowered.
        """
        counters = self._counters()
        known = counters.get(model, {})
        found = {**known, **{key: max(counter, known.get(key, 0)) for key in key_ids}}
        if found != known:
            data = msgspec.json.encode({**counters, model: found}, order="sorted")
            write_durably(self.root / "counters.json", msgspec.json.format(data, indent=2))

    def _counters(self) -> dict[str, dict[str, int]]:
        path = self.root / "counters.json"
        try:
            return read_json(path.read_bytes(), dict[str, dict[str, int]])
        except FileNotFoundError:
            return {}
        except Unreadable as error:
            raise InputError(
                f"{path}: damaged: {error}; without it older releases can't be told from new ones:"
                " remove it if you accept that once"
            ) from None

    def models(self) -> list[str]:
        """The names of all models that were ever activated."""
        return sorted(path.stem for path in (self.root / "models").glob("*.json"))

    def pointer_file(self, model: str) -> Path:
        """Where the pointer of a model is, or would be."""
        return self.root / "models" / f"{model}.json"

    def pointer(self, model: str) -> Pointer | None:
        """What serves under this name, or None."""
        path = self.pointer_file(model)
        try:
            return read_json(path.read_bytes(), Pointer)
        except FileNotFoundError:
            return None
        except Unreadable as error:
            raise InputError(
                f"{path}: damaged: {error}; deploy {model} again, or: edgekit uninstall"
            ) from None

    def sound_pointer(self, model: str) -> Pointer | None:
        """The same; also None where the file is damaged."""
        try:
            return self.pointer(model)
        except InputError:
            return None

    def damaged(self) -> list[str]:
        """The models whose pointers can't be read."""
        return [model for model in self.models() if self.sound_pointer(model) is None]

    def serving(self, name: str | None) -> Serving:
        """What serves of the named model, or of the only one; raises InputError."""
        pointer = self.only_model(name)
        if pointer.current is None:
            raise InputError(
                f"{self.root}: {pointer.model} is only staged, which can be profiled and not serve "
                f"({pointer.staged.reason if pointer.staged else 'nothing is left of it'})"
            )
        return Serving(
            pointer.model,
            pointer.current,
            self.slot_folder(pointer.model, pointer.current).resolve(),
        )

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
            raise InputError(
                f"{self.root}: holds no model {name!r}; it holds: {', '.join(models) or 'none'}"
            )
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
        """Switch. Everything that the pointer names must be durable by now. On a full disk the
        reserve makes room.
        """
        path, data = self.pointer_file(pointer.model), pointer.to_json()
        try:
            write_durably(path, msgspec.json.format(data, indent=2))
        except OSError as error:
            if error.errno != errno.ENOSPC or not (self.root / "reserve").exists():
                raise
            (self.root / "reserve").unlink()
            write_durably(path, msgspec.json.format(data, indent=2))

    def _keep_reserve(self) -> None:
        """A rollback needs a block of its own, and must work on a full disk."""
        path = self.root / "reserve"
        if not path.exists():
            with suppress(OSError):
                # zeros would be a hole after a sparse copy
                write_durably(path, os.urandom(RESERVE))

    def forget(self, model: str) -> None:
        """Remove a model's pointer; its counters stay."""
        self.pointer_file(model).unlink()  # damaged or not
        sync_folder(self.root / "models")
        self.forget_watch(model)

    def forget_watch(self, model: str) -> None:
        """The next slot's window begins with no starts."""
        (self.root / "watch" / f"{model}.json").unlink(missing_ok=True)

    def watched(self, model: str, slot: SlotRef) -> WatchCounts:
        """What was counted of a slot so far."""
        try:
            watch = read_json((self.root / "watch" / f"{model}.json").read_bytes(), WatchCounts)
        except (FileNotFoundError, Unreadable):
            return WatchCounts(manifest=slot.manifest)
        return watch if watch.manifest == slot.manifest else WatchCounts(manifest=slot.manifest)

    def keep_watch(self, model: str, watch: WatchCounts) -> None:
        """For the next start of the server; raises Busy."""
        with brief_lock(self.root / "models"):
            write_durably(make_folder(self.root / "watch") / f"{model}.json", watch.to_json())

    def named(self) -> Iterator[tuple[Pointer, SlotRef, Path]]:
        """Every slot that a sound pointer names."""
        for pointer in filter(None, map(self.sound_pointer, self.models())):
            for slot in pointer.slots().values():
                yield pointer, slot, self.slot_folder(pointer.model, slot)

    def collect(self) -> int:
        """Remove slots that no pointer names, then blobs that no slot links to; returns the bytes
        that this freed.

        Where a pointer is damaged all slots of its model are kept.
        """
        kept, unknown = {folder for _, _, folder in self.named()}, self.damaged()
        for folder in (self.root / "slots").glob("*/*/"):
            if folder in kept or folder.parent.name in unknown:
                for left in folder.glob(".*.*/"):  # by a compile step that was cut off
                    shutil.rmtree(left)
            else:
                shutil.rmtree(folder)
        blobs, freed = self.root / "blobs" / "sha256", 0
        for path in blobs.iterdir():
            state = os.stat(path)  # noqa: PTH116 - nlink reads best this way
            if path.name.startswith(".") or state.st_nlink == 1:
                path.unlink()
                freed += state.st_size
        sync_folder(blobs)
        return freed
