"""The rules of a pointer, without a store."""

import pytest

from edgekit.edge.appliance.pointer import Noted, Pointer, SlotRef


def slot(name: str) -> SlotRef:
    """Return a slot that is told from others by its name."""
    return SlotRef(manifest=f"sha256:{name}", slot_sha256="", version=name, variant="v")


ONE, TWO, THREE = map(slot, ("1", "2", "3"))
EMPTY = Pointer(model="pumps", current=None)
PROVEN = EMPTY.switched(ONE).proved()


def test_a_first_slot_has_nothing_before_it() -> None:
    first = EMPTY.switched(ONE)
    assert (first.current, first.previous, first.is_watched) == (ONE, None, True)
    assert first.rolled_back() is None
    assert first.fallen_back("ill") is None


def test_a_new_slot_is_watched_until_it_is_proved() -> None:
    assert PROVEN.switched(TWO).is_watched
    assert not PROVEN.switched(TWO).proved().is_watched
    assert not PROVEN.switched(TWO, is_proven=True).is_watched
    assert not EMPTY.is_watched


@pytest.mark.parametrize("is_proven", [True, False])
def test_a_rollback_changes_current_and_previous_and_proves_nothing(is_proven: bool) -> None:
    first = PROVEN if is_proven else EMPTY.switched(ONE)
    back = first.switched(TWO).rolled_back()
    assert back
    assert (back.current, back.previous, back.is_watched) == (ONE, TWO, not is_proven)
    again = back.rolled_back()
    assert again
    assert (again.current, again.previous, again.is_watched) == (TWO, ONE, True)


def test_what_fails_gives_way_to_the_proven_slot_and_is_no_previous() -> None:
    back = PROVEN.switched(TWO).switched(THREE).fallen_back("it keeps dying")
    assert back
    assert (back.current, back.previous, back.proven) == (ONE, None, ONE)
    assert back.given_up == Noted(slot=THREE, reason="it keeps dying")
    assert not back.is_given_up
    assert THREE not in back.slots().values()


def test_what_fails_gives_way_to_the_previous_slot_where_the_proven_one_is_unfit() -> None:
    pointer = PROVEN.switched(TWO).switched(THREE)
    back = pointer.fallen_back("rotten", {ONE.manifest})
    assert back
    assert (back.current, back.proven, back.is_watched) == (TWO, None, True)
    assert pointer.fallen_back("rotten", {ONE.manifest, TWO.manifest}) is None


def test_a_slot_with_nothing_before_it_is_noted_and_serves() -> None:
    noted = PROVEN.noted(ONE, "ill")
    assert noted.current == ONE
    assert noted.is_given_up
    assert noted.proved().given_up is None
    assert noted.taken_back() == PROVEN


def test_a_proof_leaves_the_note_of_another_slot() -> None:
    back = PROVEN.switched(TWO).fallen_back("ill")
    assert back
    assert back.proved().given_up == back.given_up


def test_staging_changes_nothing_that_serves() -> None:
    staged = PROVEN.with_staged(Noted(slot=TWO, reason="not measured here"))
    assert staged.current == ONE
    assert staged.slots() == {"current": ONE, "staged": TWO}
    assert staged.with_staged(None) == PROVEN


def test_a_slot_with_two_roles_is_named_once() -> None:
    assert PROVEN.slots() == {"current": ONE}
    assert PROVEN.switched(TWO).slots() == {"current": TWO, "previous": ONE}
