"""The pointer of a model as a pure state machine: no file, no clock, no lock.

A pointer names slots by role. `current` serves. `previous` is where `edgekit rollback` leads.
`proven` is the last slot whose watch window has passed. `staged` may be profiled and not serve.
`given_up` was taken out of service.

Its rules, each a transition that returns a new pointer:

* switched: a new slot becomes current, the one that served becomes previous, and whether that had
  proven itself is remembered. The new slot is watched until it has proven itself, unless the device
  has no watch window.
* rolled_back: current and previous change places. A slot that had not proven itself is watched
  again. Without a previous slot there is nothing to go back to.
* fallen_back: current is given up, and the proven slot serves, or else the previous one. The slot
  that failed becomes no previous: nothing but a new deploy leads back to it. Without a fit slot
  before it there is nothing to fall back on, and it goes on serving.
* proved: the current slot becomes the proven one, and a note that it was given up is removed.
* noted: the current slot is given up and still serves, since nothing is before it.
* taken_back: a slot that was given up is deployed again, and has all its starts again.
* with_staged: a slot is staged; what serves does not change.

    >>> pointer = Pointer(model="tickets", current=None).switched(one, is_proven=True)
    >>> pointer.switched(two).fallen_back("it keeps dying").current == one
    True
"""

from collections.abc import Container

import msgspec

from edgekit.nouns import Noun


class SlotRef(Noun, frozen=True, kw_only=True):
    """A slot whose variant was verified, copied and answered its golden samples.

    manifest: digest of the variant's manifest in its bundle.
    slot_sha256: digest of slot.json, which holds the digests of the slot's other files.
    version: of the model.
    variant: name of the variant.
    counter: of the variant's release; 0 if it is only staged.
    """

    manifest: str
    slot_sha256: str
    version: str
    variant: str
    counter: int = 0


class Noted(Noun, frozen=True, kw_only=True):
    """A slot that should not serve, and why.

    slot: the slot.
    reason: one line for people.
    """

    slot: SlotRef
    reason: str


class Pointer(Noun, frozen=True, kw_only=True):
    """The pointer of a model: which slot serves, and which served before it.

    model: its name.
    current: the slot that serves; None if the model is only staged.
    previous: where `edgekit rollback` leads.
    is_previous_proven: whether the watch window of the previous slot had passed.
    proven: the last slot whose watch window has passed; a new one that fails gives way to it.
    staged: the slot that the policy lets be profiled and not serve.
    given_up: the slot that was taken out of service.
    """

    model: str
    current: SlotRef | None
    previous: SlotRef | None = None
    is_previous_proven: bool = False
    proven: SlotRef | None = None
    staged: Noted | None = None
    given_up: Noted | None = None

    @property
    def is_watched(self) -> bool:
        """True while the current slot is in its watch window."""
        return self.current is not None and self.current != self.proven

    def slots(self) -> dict[str, SlotRef]:
        """Return the named slots by role; a slot that has two roles is there once."""
        roles = {
            "current": self.current, "previous": self.previous, "proven": self.proven,
            "staged": self.staged.slot if self.staged else None,
        }  # fmt: skip
        found: dict[str, SlotRef] = {}
        for role, slot in roles.items():
            if slot and slot not in found.values():
                found[role] = slot
        return found

    def switched(self, new: SlotRef, *, is_proven: bool = False) -> "Pointer":
        """Return the pointer after a switch to another slot.

        is_proven: whether the new slot needs no watch window.
        """
        return msgspec.structs.replace(
            self,
            current=new,
            previous=self.current,
            is_previous_proven=bool(self.current) and not self.is_watched,
            proven=new if is_proven else self.proven,
        )

    def rolled_back(self) -> "Pointer | None":
        """Return the pointer after a rollback, None where no slot served before."""
        if self.previous is None:
            return None
        return self.switched(self.previous, is_proven=self.is_previous_proven)

    def fallen_back(self, reason: str, unfit: Container[str] = ()) -> "Pointer | None":
        """Return the pointer with the current slot given up, None where no fit slot is before it.

        reason: why the current slot is given up.
        unfit: manifests of slots not to go back to.
        """
        before = (slot for slot in (self.proven, self.previous) if slot and slot != self.current)
        refuge = next((slot for slot in before if slot.manifest not in unfit), None)
        if self.current is None or refuge is None:
            return None
        is_proven = refuge == self.proven or self.is_previous_proven
        return msgspec.structs.replace(
            self,
            current=refuge,
            previous=None,
            is_previous_proven=False,
            proven=refuge if is_proven else None,
            given_up=Noted(slot=self.current, reason=reason),
        )

    def noted(self, slot: SlotRef, reason: str) -> "Pointer":
        """Return the pointer with a slot noted as given up; what serves does not change."""
        return msgspec.structs.replace(self, given_up=Noted(slot=slot, reason=reason))

    def proved(self) -> "Pointer":
        """Return the pointer with the current slot as the proven one."""
        return msgspec.structs.replace(
            self, proven=self.current, given_up=None if self.is_given_up else self.given_up
        )

    @property
    def is_given_up(self) -> bool:
        """True where the current slot was given up, and serves because nothing is before it."""
        return (
            self.current is not None
            and self.given_up is not None
            and self.given_up.slot.manifest == self.current.manifest
        )

    def taken_back(self) -> "Pointer":
        """Return the pointer without the note that a slot was given up."""
        return msgspec.structs.replace(self, given_up=None)

    def with_staged(self, staged: Noted | None) -> "Pointer":
        """Return the pointer with another staged slot, or none; what serves does not change."""
        return msgspec.structs.replace(self, staged=staged)
