"""The roster counts unread as the database does, from events alone."""

from gateway.core.roster import Roster
from shared.events import ConversationRead
from shared.model import Membership, Message, Person, now


def membership(user: str, conversation: str = "c", **more: int) -> Membership:
    return Membership(conversation_id=conversation, user_id=user, joined_at=now(), **more)


def message(seq: int, sender: str, conversation: str = "c") -> Message:
    return Message(
        id=f"{conversation}{seq}",
        conversation_id=conversation,
        sender_id=sender,
        content="x",
        seq=seq,
        rev=seq,
        created_at=now(),
    )


def read(user: str, seq: int, own_since_read: int = 0, own_seq: int = 0) -> ConversationRead:
    return ConversationRead(
        record_id="r",
        conversation_id="c",
        user_id=user,
        seq=seq,
        message_id=None,
        own_since_read=own_since_read,
        own_seq=own_seq,
        at=now(),
    )


def with_users(*users: str) -> Roster:
    roster = Roster()
    for user in users:
        roster.arrive(Person(id=user))
        roster.admit(membership(user))
    return roster


def test_only_messages_of_others_count() -> None:
    roster = with_users("ann", "bob")
    for seq, sender in enumerate(["ann", "bob", "ann"], 1):
        roster.stored(message(seq, sender))
    assert roster.unread("c", "ann") == 1
    assert roster.unread("c", "bob") == 2


def test_a_count_is_told_once_with_the_total() -> None:
    roster = with_users("ann", "bob")
    roster.admit(membership("bob", "d"))
    roster.stored(message(1, "ann"))
    roster.stored(message(1, "ann", "d"))
    told = list(roster.changed_counts())
    assert {(user, conversation, unread) for user, conversation, unread, _ in told} == {
        ("bob", "c", 1),
        ("bob", "d", 1),
    }
    assert max(total for *_, total in told) == 2
    assert list(roster.changed_counts()) == []


def test_reading_takes_own_messages_above_the_mark_into_account() -> None:
    roster = with_users("bob")
    for seq, sender in enumerate(["ann", "ann", "bob", "ann"], 1):
        roster.stored(message(seq, sender))
    roster.read(read("bob", 2, own_since_read=1, own_seq=4))
    assert roster.unread("c", "bob") == 1


def test_an_own_message_that_the_database_had_counted_is_not_counted_again() -> None:
    roster = Roster()
    roster.arrive(Person(id="bob"))
    roster.admit(membership("bob", own_seq=3, own_since_read=1))
    roster.stored(message(3, "bob"))
    roster.stored(message(4, "bob"))
    roster.stored(message(5, "ann"))
    assert roster.unread("c", "bob") == 3


def test_an_old_mark_changes_nothing() -> None:
    roster = with_users("bob")
    roster.stored(message(1, "ann"))
    roster.read(read("bob", 1))
    roster.stored(message(2, "bob"))
    roster.read(read("bob", 1, own_since_read=0))
    assert roster.unread("c", "bob") == 0


def test_the_last_socket_takes_everything_along() -> None:
    roster = with_users("ann")
    roster.arrive(Person(id="ann"))
    roster.leave("ann")
    assert roster.role("c", "ann") == "member"
    roster.leave("ann")
    assert roster.role("c", "ann") is None
    assert not roster.users
    assert not roster.conversations


def test_who_is_expelled_is_forgotten_and_the_others_are_not() -> None:
    roster = with_users("ann", "bob")
    roster.stored(message(1, "ann"))
    list(roster.changed_counts())
    roster.expel("c", "bob")
    assert roster.role("c", "bob") is None
    assert roster.users["bob"].total == 0
    assert roster.role("c", "ann") == "member"


def test_a_new_socket_has_all_counts_told_again() -> None:
    roster = with_users("ann", "bob")
    roster.stored(message(1, "ann"))
    list(roster.changed_counts())
    roster.show_again("bob")
    assert list(roster.changed_counts()) == [("bob", "c", 1, 1)]


def test_a_socket_that_was_there_hears_what_was_read_while_another_came() -> None:
    roster = with_users("ann", "bob")
    roster.stored(message(1, "ann"))
    list(roster.changed_counts())
    roster.show_again("bob")
    roster.read(read("bob", 1))
    assert list(roster.changed_counts()) == [("bob", "c", 0, 0)]


def test_a_snapshot_that_is_older_than_what_was_heard_changes_nothing() -> None:
    """A second device connects while the first one speaks and reads."""
    roster = with_users("bob")
    stale = membership("bob")
    for seq, sender in enumerate(["ann", "bob"], 1):
        roster.stored(message(seq, sender))
    roster.read(read("bob", 1, own_since_read=1, own_seq=2))

    roster.admit(stale)

    assert roster.unread("c", "bob") == 0


def test_own_messages_heard_while_the_snapshot_was_read_are_counted_once() -> None:
    roster = Roster()
    roster.arrive(Person(id="bob"))
    roster.expect("c", "bob")
    for seq in (4, 5, 6):
        roster.stored(message(seq, "bob"))
    assert roster.role("c", "bob") is None

    roster.admit(membership("bob", read_seq=3, own_seq=5, own_since_read=2))

    assert roster.unread("c", "bob") == 0


def test_a_mark_that_comes_late_keeps_own_messages_that_came_before_it() -> None:
    roster = with_users("bob")
    for seq, sender in enumerate(["ann", "bob", "bob"], 1):
        roster.stored(message(seq, sender))
    roster.read(read("bob", 1, own_since_read=1, own_seq=2))
    assert roster.unread("c", "bob") == 0


def test_an_heir_is_owner_at_once() -> None:
    roster = with_users("ann")
    roster.promote("c", "ann")
    roster.promote("nowhere", "ann")
    assert roster.role("c", "ann") == "owner"
