"""The roster counts unread as the database does, from events alone."""

from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.events import ConversationRead
from parley.shared.model import Membership, Message, Person, now


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


def with_users(*users: str) -> MembershipCache:
    membership_cache = MembershipCache()
    for user in users:
        membership_cache.arrive(Person(id=user))
        membership_cache.admit(membership(user))
    return membership_cache


def test_only_messages_of_others_count() -> None:
    membership_cache = with_users("ann", "bob")
    for seq, sender in enumerate(["ann", "bob", "ann"], 1):
        membership_cache.stored(message(seq, sender))
    assert membership_cache.unread("c", "ann") == 1
    assert membership_cache.unread("c", "bob") == 2


def test_a_count_is_told_once_with_the_total() -> None:
    membership_cache = with_users("ann", "bob")
    membership_cache.admit(membership("bob", "d"))
    membership_cache.stored(message(1, "ann"))
    membership_cache.stored(message(1, "ann", "d"))
    told = list(membership_cache.changed_counts())
    assert {(user, conversation, unread) for user, conversation, unread, _ in told} == {
        ("bob", "c", 1),
        ("bob", "d", 1),
    }
    assert max(total for *_, total in told) == 2
    assert list(membership_cache.changed_counts()) == []


def test_reading_takes_own_messages_above_the_mark_into_account() -> None:
    membership_cache = with_users("bob")
    for seq, sender in enumerate(["ann", "ann", "bob", "ann"], 1):
        membership_cache.stored(message(seq, sender))
    membership_cache.read(read("bob", 2, own_since_read=1, own_seq=4))
    assert membership_cache.unread("c", "bob") == 1


def test_an_own_message_that_the_database_had_counted_is_not_counted_again() -> None:
    membership_cache = MembershipCache()
    membership_cache.arrive(Person(id="bob"))
    membership_cache.admit(membership("bob", own_seq=3, own_since_read=1))
    membership_cache.stored(message(3, "bob"))
    membership_cache.stored(message(4, "bob"))
    membership_cache.stored(message(5, "ann"))
    assert membership_cache.unread("c", "bob") == 3


def test_an_old_mark_changes_nothing() -> None:
    membership_cache = with_users("bob")
    membership_cache.stored(message(1, "ann"))
    membership_cache.read(read("bob", 1))
    membership_cache.stored(message(2, "bob"))
    membership_cache.read(read("bob", 1, own_since_read=0))
    assert membership_cache.unread("c", "bob") == 0


def test_the_last_socket_takes_everything_along() -> None:
    membership_cache = with_users("ann")
    membership_cache.arrive(Person(id="ann"))
    membership_cache.leave("ann")
    assert membership_cache.role("c", "ann") == "member"
    membership_cache.leave("ann")
    assert membership_cache.role("c", "ann") is None
    assert not membership_cache.users
    assert not membership_cache.conversations


def test_who_is_expelled_is_forgotten_and_the_others_are_not() -> None:
    membership_cache = with_users("ann", "bob")
    membership_cache.stored(message(1, "ann"))
    list(membership_cache.changed_counts())
    membership_cache.expel("c", "bob")
    assert membership_cache.role("c", "bob") is None
    assert membership_cache.users["bob"].total == 0
    assert membership_cache.role("c", "ann") == "member"


def test_a_new_socket_has_all_counts_told_again() -> None:
    membership_cache = with_users("ann", "bob")
    membership_cache.stored(message(1, "ann"))
    list(membership_cache.changed_counts())
    membership_cache.show_again("bob")
    assert list(membership_cache.changed_counts()) == [("bob", "c", 1, 1)]


def test_a_socket_that_was_there_hears_what_was_read_while_another_came() -> None:
    membership_cache = with_users("ann", "bob")
    membership_cache.stored(message(1, "ann"))
    list(membership_cache.changed_counts())
    membership_cache.show_again("bob")
    membership_cache.read(read("bob", 1))
    assert list(membership_cache.changed_counts()) == [("bob", "c", 0, 0)]


def test_a_snapshot_that_is_older_than_what_was_heard_changes_nothing() -> None:
    """A second device connects while the first one speaks and reads."""
    membership_cache = with_users("bob")
    stale = membership("bob")
    for seq, sender in enumerate(["ann", "bob"], 1):
        membership_cache.stored(message(seq, sender))
    membership_cache.read(read("bob", 1, own_since_read=1, own_seq=2))

    membership_cache.admit(stale)

    assert membership_cache.unread("c", "bob") == 0


def test_own_messages_heard_while_the_snapshot_was_read_are_counted_once() -> None:
    membership_cache = MembershipCache()
    membership_cache.arrive(Person(id="bob"))
    membership_cache.expect("c", "bob")
    for seq in (4, 5, 6):
        membership_cache.stored(message(seq, "bob"))
    assert membership_cache.role("c", "bob") is None

    membership_cache.admit(membership("bob", read_seq=3, own_seq=5, own_since_read=2))

    assert membership_cache.unread("c", "bob") == 0


def test_a_mark_that_comes_late_keeps_own_messages_that_came_before_it() -> None:
    membership_cache = with_users("bob")
    for seq, sender in enumerate(["ann", "bob", "bob"], 1):
        membership_cache.stored(message(seq, sender))
    membership_cache.read(read("bob", 1, own_since_read=1, own_seq=2))
    assert membership_cache.unread("c", "bob") == 0


def test_an_heir_is_owner_at_once() -> None:
    membership_cache = with_users("ann")
    membership_cache.promote("c", "ann")
    membership_cache.promote("nowhere", "ann")
    assert membership_cache.role("c", "ann") == "owner"
