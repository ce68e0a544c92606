"""The contact index knows who shares a conversation with whom, up to a size of conversations."""

import pytest

from parley.gateway.state.contact_index import KEPT_SECONDS, ContactIndex

A, B = "a", "b"


class Clock:
    """A clock that a test moves."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contacts(clock: Clock) -> ContactIndex:
    return ContactIndex(3, clock)


def pairs(conversation_id: str, *user_ids: str) -> list[tuple[str, str]]:
    return [(conversation_id, user_id) for user_id in user_ids]


def test_contacts_are_the_other_members_of_common_conversations(contacts: ContactIndex) -> None:
    contacts.put([A, B], pairs(A, "ann", "ben") + pairs(B, "ann", "cem"), is_cut=False)
    assert contacts.contacts("ann", [A, B]) == {"ben", "cem"}
    assert contacts.contacts("ben", [A]) == {"ann"}
    assert set(contacts.conversations_of("ann")) == {A, B}


def test_members_come_and_go(contacts: ContactIndex) -> None:
    contacts.put([A], pairs(A, "ann", "ben"), is_cut=False)
    contacts.add(A, ["cem"])
    contacts.discard(A, "ben")
    assert contacts.contacts("ann", [A]) == {"cem"}
    assert "ben" not in contacts
    contacts.drop(A)
    assert "ann" not in contacts
    assert contacts.missing([A]) == [A]


def test_a_conversation_that_grows_past_the_bound_announces_nobody(contacts: ContactIndex) -> None:
    contacts.put([A], pairs(A, "ann", "ben", "cem"), is_cut=False)
    contacts.add(A, ["dan"])
    assert contacts.contacts("ann", [A]) == set()
    assert not contacts.announces(A)
    assert "ann" not in contacts


def test_a_large_conversation_is_read_again_when_a_member_left(contacts: ContactIndex) -> None:
    assert contacts.put([A], pairs(A, "ann", "ben", "cem", "dan"), is_cut=False) == [A]
    assert contacts.missing([A]) == []
    contacts.discard(A, "dan")
    assert contacts.missing([A]) == [A]


def test_a_read_that_was_cut_leaves_the_conversations_that_it_did_not_reach_unknown(
    contacts: ContactIndex,
) -> None:
    contacts.put([A, B, "c"], pairs(A, "ann") + pairs(B, "ann"), is_cut=True)
    assert contacts.missing([A, B, "c"]) == [B, "c"]


def test_a_cut_read_may_show_that_its_last_conversation_is_large(contacts: ContactIndex) -> None:
    large = contacts.put([A, B, "c"], pairs(A, "ann") + pairs(B, "ann", "ben", "cem", "dan"), is_cut=True)
    assert large == [B]
    assert contacts.missing([A, B, "c"]) == ["c"]


def test_members_are_read_again_after_a_while(contacts: ContactIndex, clock: Clock) -> None:
    contacts.put([A], pairs(A, "ann", "ben"), is_cut=False)
    clock.seconds += KEPT_SECONDS - 1
    contacts.add(A, ["cem"])
    assert contacts.missing([A]) == []
    clock.seconds += 1
    assert contacts.missing([A]) == [A]
    assert contacts.contacts("ann", [A]) == {"ben", "cem"}


def test_members_are_read_again_when_events_were_lost(contacts: ContactIndex) -> None:
    contacts.put([A], pairs(A, "ann", "ben"), is_cut=False)
    contacts.expire()
    assert contacts.missing([A]) == [A]


def test_a_read_notes_the_conversations_that_change_meanwhile(contacts: ContactIndex) -> None:
    contacts.put([A], pairs(A, "ann", "ben"), is_cut=False)
    with contacts.reading() as changed:
        contacts.add(A, ["cem"])
        contacts.discard(B, "ann")
    contacts.drop("c")
    assert changed == {A, B}


def test_nobody_is_announced_where_the_bound_is_0() -> None:
    contacts = ContactIndex(0)
    contacts.put([A], pairs(A, "ann", "ben"), is_cut=False)
    assert contacts.contacts("ann", [A]) == set()
