"""The pointer of a model: which slot serves, which served before, which has proven itself. What a
switch makes of it.
"""

from collections.abc import Container

import msgspec

from edgekit.nouns import Noun


class SlotRef(Noun, frozen=True, kw_only=True):
    """A slot: of a variant that was verified, copied and answered its golden samples."""

    manifest: str  # digest of the variant's manifest in its bundle
    slot_sha256: str  # of slot.json, which holds the digests of the slot's other files
    version: str
    variant: str
    counter: int = 0  # of its release


class Noted(Noun, frozen=True, kw_only=True):
    """A slot that does not serve, and why."""

    slot: SlotRef
    reason: str


class Pointer(Noun, frozen=True, kw_only=True):
    """Which slot of a model serves, and which served before it.

    previous: where `edgekit rollback` leads; is_previous_proven: whether its watch window had
    passed. proven: the last one whose window has passed; a new one that fails gives way to it.
    staged: what the policy lets be profiled and not serve. given_up: what was taken out of service.
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
        """Whether the current slot is in its watch window still."""
        return self.current is not None and self.current != self.proven

    def switched(self, new: SlotRef, *, is_proven: bool = False) -> "Pointer":
        """With another slot that serves, and the one that did as its previous."""
        return msgspec.structs.replace(
            self,
            current=new,
            previous=self.current,
            is_previous_proven=bool(self.current) and not self.is_watched,
            proven=new if is_proven else self.proven,
        )

    def rolled_back(self) -> "Pointer | None":
        """With current and previous exchanged, None if there is no previous. One that has not
        proven itself still has to.
        """
        if self.previous is None:
            return None
        return self.switched(self.previous, is_proven=self.is_previous_proven)

    def slots(self) -> dict[str, SlotRef]:
        """All that it names, by their roles; a slot that has two roles is there once."""
        roles = {
            "current": self.current, "previous": self.previous, "proven": self.proven,
            "staged": self.staged.slot if self.staged else None,
        }  # fmt: skip
        found: dict[str, SlotRef] = {}
        for role, slot in roles.items():
            if slot and slot not in found.values():
                found[role] = slot
        return found

    def fallen_back(self, reason: str, unfit: Container[str] = ()) -> "Pointer | None":
        """With the current slot given up for the one before; None if there is none. unfit:
        manifests not to go back to.

        The slot that failed is no `previous`: nothing may lead back to it but a new deploy.
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


class WatchCounts(Noun, frozen=True, kw_only=True):
    """What is counted in the watch window of one slot."""

    manifest: str
    starts: int = 0
