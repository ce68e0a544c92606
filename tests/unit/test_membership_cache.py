"""The membership cache counts unread messages as the database does, from events alone."""

from parley.gateway.core.positions import Tombstone
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
    cache = MembershipCache()
    for user in users:
        cache.add_socket(Person(id=user))
        cache.put(membership(user))
    return cache


def take_changed_counts(cache: MembershipCache) -> list[tuple[str, str, int, int]]:
    """Return (user, conversation, unread, total) for each count that has changed."""
    changed = [*cache.take_read().items(), *dict.fromkeys(cache.take_changed()).items()]
    return [
        (user, conversation_id, unread, total)
        for conversation_id, users in changed
        for user, unread, total in cache.changed_counts(conversation_id, users)
    ]


def test_unread_counts_the_messages_of_other_members_only() -> None:
    cache = with_users("ann", "bob")
    for seq, sender in enumerate(["ann", "bob", "ann"], 1):
        cache.apply_message(message(seq, sender))
    assert cache.unread("c", "ann") == 1
    assert cache.unread("c", "bob") == 2


def test_a_changed_count_is_reported_once_with_the_total() -> None:
    cache = with_users("ann", "bob")
    cache.put(membership("bob", "d"))
    cache.apply_message(message(1, "ann"))
    cache.apply_message(message(1, "ann", "d"))
    reported = take_changed_counts(cache)
    assert {(user, conversation, unread) for user, conversation, unread, _ in reported} == {
        ("bob", "c", 1),
        ("bob", "d", 1),
    }
    assert max(total for *_, total in reported) == 2
    assert take_changed_counts(cache) == []


def test_a_read_mark_leaves_out_own_messages_above_it() -> None:
    cache = with_users("bob")
    for seq, sender in enumerate(["ann", "ann", "bob", "ann"], 1):
        cache.apply_message(message(seq, sender))
    cache.apply_read(read("bob", 2, own_since_read=1, own_seq=4))
    assert cache.unread("c", "bob") == 1


def test_an_own_message_that_the_database_has_counted_is_not_counted_again() -> None:
    cache = MembershipCache()
    cache.add_socket(Person(id="bob"))
    cache.put(membership("bob", own_seq=3, own_since_read=1))
    cache.apply_message(message(3, "bob"))
    cache.apply_message(message(4, "bob"))
    cache.apply_message(message(5, "ann"))
    assert cache.unread("c", "bob") == 3


def test_an_older_read_mark_changes_nothing() -> None:
    cache = with_users("bob")
    cache.apply_message(message(1, "ann"))
    cache.apply_read(read("bob", 1))
    cache.apply_message(message(2, "bob"))
    cache.apply_read(read("bob", 1, own_since_read=0))
    assert cache.unread("c", "bob") == 0


def test_removing_a_user_removes_their_memberships() -> None:
    cache = with_users("ann")
    cache.remove_socket("ann")
    assert cache.role("c", "ann") == "member"
    cache.remove_user("ann")
    assert cache.role("c", "ann") is None
    assert not cache.users
    assert not cache.conversations


def test_removing_a_member_keeps_the_other_members() -> None:
    cache = with_users("ann", "bob")
    cache.apply_message(message(1, "ann"))
    take_changed_counts(cache)
    cache.remove("c", "bob")
    assert cache.role("c", "bob") is None
    assert cache.users["bob"].unread_total == 0
    assert cache.role("c", "ann") == "member"


def test_a_new_socket_has_all_counts_reported_again() -> None:
    cache = with_users("ann", "bob")
    cache.apply_message(message(1, "ann"))
    take_changed_counts(cache)
    cache.report_again("bob")
    assert take_changed_counts(cache) == [("bob", "c", 1, 1)]


def test_a_count_that_falls_while_another_socket_connects_is_reported() -> None:
    cache = with_users("ann", "bob")
    cache.apply_message(message(1, "ann"))
    take_changed_counts(cache)
    cache.report_again("bob")
    cache.apply_read(read("bob", 1))
    assert take_changed_counts(cache) == [("bob", "c", 0, 0)]


def test_a_stored_membership_older_than_applied_events_changes_nothing() -> None:
    """A second device connects while the first one sends and reads."""
    cache = with_users("bob")
    stale = membership("bob")
    for seq, sender in enumerate(["ann", "bob"], 1):
        cache.apply_message(message(seq, sender))
    cache.apply_read(read("bob", 1, own_since_read=1, own_seq=2))

    cache.put(stale)

    assert cache.unread("c", "bob") == 0


def test_own_messages_applied_while_the_membership_was_read_are_counted_once() -> None:
    cache = MembershipCache()
    cache.add_socket(Person(id="bob"))
    cache.expect_membership("c", "bob")
    for seq in (4, 5, 6):
        cache.apply_message(message(seq, "bob"))
    assert cache.role("c", "bob") is None

    cache.put(membership("bob", read_seq=3, own_seq=5, own_since_read=2))

    assert cache.unread("c", "bob") == 0


def test_a_late_read_mark_keeps_own_messages_that_were_applied_before_it() -> None:
    cache = with_users("bob")
    for seq, sender in enumerate(["ann", "bob", "bob"], 1):
        cache.apply_message(message(seq, sender))
    cache.apply_read(read("bob", 1, own_since_read=1, own_seq=2))
    assert cache.unread("c", "bob") == 0


def test_a_new_owner_has_the_role_at_once_and_an_unknown_conversation_is_ignored() -> None:
    cache = with_users("ann")
    cache.set_owner("c", "ann")
    cache.set_owner("nowhere", "ann")
    assert cache.role("c", "ann") == "owner"


def test_deleted_messages_of_others_are_not_unread() -> None:
    cache = with_users("ann", "bob")
    for seq, sender in enumerate(["ann", "bob", "ann", "ann"], 1):
        cache.apply_message(message(seq, sender))
    cache.add_deleted("c", [Tombstone(3, "ann"), Tombstone(2, "bob")])
    assert cache.unread("c", "bob") == 2
    assert cache.unread("c", "ann") == 0
    cache.apply_read(read("bob", 3))
    assert cache.unread("c", "bob") == 1


def test_a_deletion_that_comes_again_or_before_its_message_counts_once() -> None:
    cache = with_users("bob")
    cache.apply_message(message(1, "ann"))
    cache.add_deleted("c", [Tombstone(2, "ann")])
    assert cache.unread("c", "bob") == 1
    cache.apply_message(message(2, "ann"))
    cache.add_deleted("c", [Tombstone(2, "ann")])
    assert cache.unread("c", "bob") == 1


def test_deletions_that_all_members_have_read_past_are_forgotten() -> None:
    cache = with_users("ann", "bob")
    cache.add_deleted("c", [Tombstone(seq, "ann") for seq in range(1, 201)])
    cache.apply_read(read("ann", 190))
    cache.add_deleted("c", [Tombstone(seq, "ann") for seq in range(201, 401)])
    cache.apply_read(read("bob", 150))
    assert len(cache.conversations["c"].deleted) == 250
    cache.advance("c", 401)
    assert cache.unread("c", "bob") == 1


def test_a_deletion_changes_the_count_that_is_reported() -> None:
    cache = with_users("bob")
    cache.apply_message(message(1, "ann"))
    assert [each[2:] for each in take_changed_counts(cache)] == [(1, 1)]
    cache.add_deleted("c", [Tombstone(1, "ann")])
    assert [each[2:] for each in take_changed_counts(cache)] == [(0, 0)]
