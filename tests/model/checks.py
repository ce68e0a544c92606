"""Invariants at rest: stored documents, unread counts, and the state of every client."""

from collections import Counter

from model.client import LiveOnlyClient, Shown, SyncingClient
from model.cluster import Cluster
from parley.gateway.core import commands as c
from parley.shared.events import MessageDeleted, MessageEdited, RecordRefused
from parley.shared.model import Message, Person
from parley.shared.records import Deletion, Edit, NewMessage, ReadMark


def check(cluster: Cluster) -> None:
    """Check all invariants."""
    for conversation_id in cluster.tables.conversations:
        check_numbers(cluster, conversation_id)
        check_order(cluster, conversation_id)
        check_unread(cluster, conversation_id)
    check_accepted_is_stored(cluster)
    check_contents(cluster)
    check_changes_are_answered(cluster)
    check_marks(cluster)
    for client in cluster.clients:
        assert not client.violations, client.violations
        if isinstance(client, SyncingClient) and client.ready:
            check_syncing_client(cluster, client)
        elif isinstance(client, LiveOnlyClient) and client.ready:
            check_live_only_client(cluster, client)


def check_numbers(cluster: Cluster, conversation_id: str) -> None:
    """Check that numbers are 1 to n, revisions are unique, and the head has the last of both."""
    stored = cluster.tables.of_conversation(conversation_id)
    head = cluster.tables.conversations[conversation_id]
    assert [m.seq for m in stored] == list(range(1, len(stored) + 1)), "the numbers have holes, or doubles"
    revs = [m.rev for m in stored]
    assert len(set(revs)) == len(revs), "a revision was given twice"
    assert (head.last_seq, head.rev) == (len(stored), max(revs, default=0)), "the head is elsewhere"
    if stored:
        assert head.last_message is not None
        shown, last = head.last_message, stored[-1]
        assert (shown.id, shown.seq, shown.content) == (last.id, last.seq, last.content), "an old preview"
        assert shown.stored_at == last.stored_at, "another time of storage"
    names = Counter((m.sender_id, m.client_message_id) for m in stored if m.client_message_id)
    assert not [name for name, times in names.items() if times > 1], "something said once is stored twice"


def check_accepted_is_stored(cluster: Cluster) -> None:
    """Check that each accepted message is stored, or its refusal announced to a sender outside."""
    refused = {e.record_id: e for e in cluster.announced if isinstance(e, RecordRefused)}
    by_name = {
        r.message.client_message_id: r for r in cluster.partition.sent() if r.message.client_message_id
    }
    for record in cluster.partition.sent():
        if record.message.id in cluster.tables.messages:
            continue
        assert record.id in refused, f"lost: {record.message.content}"
        assert refused[record.id].code == "NOT_FOUND"
        assert (record.conversation_id, record.user_id) in cluster.outsiders, "a member was refused"
    for send in cluster.sends:
        if send.accepted and send.has_client_id:
            assert send.payload["clientMessageId"] in by_name, "accepted, and given to nobody"
    accepted = {r.message.id for r in cluster.partition.sent()}
    assert set(cluster.tables.messages) <= accepted, "stored, and said by nobody"


def check_order(cluster: Cluster, conversation_id: str) -> None:
    """Check that each sender's messages have the order in which they first came to the partition."""
    refused = {e.message_id for e in cluster.announced if isinstance(e, RecordRefused)}
    first: dict[str, NewMessage] = {}
    for record in cluster.partition.sent():
        if record.conversation_id == conversation_id and record.message.id not in refused:
            first.setdefault(record.message.id, record)
    for user in {record.user_id for record in first.values()}:
        seqs = [cluster.tables.messages[i].seq for i, record in first.items() if record.user_id == user]
        assert seqs == sorted(seqs), f"{user} is put in another order: {seqs}"


def check_contents(cluster: Cluster) -> None:
    """Check that each message is as its last accepted change left it; a deletion is final."""
    refused = {e.record_id for e in cluster.announced if isinstance(e, RecordRefused)} - settled(cluster)
    content: dict[str, str] = {}
    deleted: set[str] = set()
    for record in (r for r in cluster.partition.log if isinstance(r, NewMessage) or r.id not in refused):
        if isinstance(record, NewMessage):
            content.setdefault(record.message.id, record.message.content)
        elif isinstance(record, Edit):
            content[record.message_id] = record.content
        elif isinstance(record, Deletion):
            deleted.add(record.message_id)
    for message in cluster.tables.messages.values():
        wanted = "" if message.id in deleted else content[message.id]
        assert message.content == wanted, f"{message.seq} says {message.content!r}, not {wanted!r}"
        assert (message.deleted_at is not None) == (message.id in deleted)


def settled(cluster: Cluster) -> set[str]:
    """Return the ids of the edits and deletions that were announced as made."""
    made = (e for e in cluster.announced if isinstance(e, MessageEdited | MessageDeleted))
    return {record_id for event in made for record_id in event.record_ids}


def check_changes_are_answered(cluster: Cluster) -> None:
    """Check that each accepted edit or deletion was announced, or refused for a reason."""
    made = settled(cluster)
    refused = {e.record_id: e.code for e in cluster.announced if isinstance(e, RecordRefused)}
    for record in cluster.partition.log:
        if isinstance(record, Edit | Deletion) and record.id not in made:
            code = refused.get(record.id)
            deleted = cluster.tables.messages[record.message_id].deleted_at is not None
            outside = (record.conversation_id, record.user_id) in cluster.outsiders
            assert (code == "CONFLICT" and deleted) or (code == "NOT_FOUND" and outside), code


def recount(cluster: Cluster, conversation_id: str, user: str) -> int:
    """Return the number of other users' messages above the user's mark that were not deleted."""
    membership = cluster.tables.memberships[conversation_id, user]
    stored = cluster.tables.of_conversation(conversation_id)
    return sum(m.seq > membership.base and m.sender_id != user and m.deleted_at is None for m in stored)


def deleted_of_others(cluster: Cluster, conversation_id: str, user: str) -> int:
    """Return the number of other users' deleted messages above the user's mark."""
    base = cluster.tables.memberships[conversation_id, user].base
    stored = cluster.tables.of_conversation(conversation_id)
    return sum(m.seq > base and m.sender_id != user and m.deleted_at is not None for m in stored)


def asked_unread(cluster: Cluster, conversation_id: str, user: str) -> int:
    """Return the unread count of a conversation that a node answers to a request."""
    command = c.GetConversation(conversation_id=conversation_id)
    handled = cluster.nodes[0].command_bus.handle(Person(id=user), command)
    return int(cluster.loop.finish(handled).unread)


def check_unread(cluster: Cluster, conversation_id: str) -> None:
    """Check the unread counts of the worker, of every node, and of every socket."""
    head = cluster.tables.conversations[conversation_id]
    for (where, user), membership in cluster.tables.memberships.items():
        if where != conversation_id or membership.left_at is not None:
            continue
        right = recount(cluster, conversation_id, user)
        deleted = deleted_of_others(cluster, conversation_id, user)
        assert membership.unread(head.last_seq, deleted) == right, f"{user}'s counters are wrong"
        by_rest = asked_unread(cluster, conversation_id, user)
        assert by_rest == right, f"{user} reads {by_rest} by REST, not {right}"
        for node in cluster.nodes:
            local = node.membership_cache.users.get(user)
            if local is None or not local.sockets:
                # Nobody is told the count of a user without sockets; that of the next socket is audited.
                continue
            known = node.membership_cache.unread(conversation_id, user)
            assert known in (None, right), f"{node.name} counts {known} for {user}, not {right}"
        for client in cluster.clients:
            if isinstance(client, SyncingClient) and client.ready and client.user == user:
                counted = client.unread.get(conversation_id, 0)
                assert counted == right, f"{client.name} was told {counted} unread, not {right}"


def check_marks(cluster: Cluster) -> None:
    """Check that users who were never outside have read as far as they marked."""
    marked: Counter[tuple[str, str]] = Counter()
    for record in cluster.partition.log:
        if isinstance(record, ReadMark):
            key = (record.conversation_id, record.user_id)
            marked[key] = max(marked[key], record.seq)
    for key, seq in marked.items():
        mark = cluster.tables.memberships[key].read_seq
        assert mark <= seq
        assert mark == seq or key in cluster.outsiders, f"{key} has read up to {seq}, not {mark}"


def stored_view(cluster: Cluster, client: SyncingClient, conversation_id: str) -> dict[str, Shown]:
    """Return the messages that a new client would read."""
    assert client.node is not None
    command = c.ListMessages(conversation_id=conversation_id, limit=10_000)
    page = cluster.loop.finish(client.node.command_bus.handle(Person(id=client.user), command))
    return {view.message.id: Shown.stored(view.message) for view in page.items}


def check_syncing_client(cluster: Cluster, client: SyncingClient) -> None:
    """Check that the client has exactly its conversations, each with the stored messages."""
    mine = {i for i in cluster.tables.conversations if cluster.member(i, client.user)}
    assert mine <= client.known.keys(), f"{client.name} does not know of {mine - client.known.keys()}"
    for conversation_id in mine:
        copy = client.known[conversation_id]
        assert copy.joined, f"{client.name} is not in {conversation_id}"
        assert copy.messages == stored_view(cluster, client, conversation_id), (
            f"{client.name} holds something else"
        )
        rev = cluster.tables.conversations[conversation_id].rev
        # A lower revision is safe: the next sync repeats some changes.
        assert copy.rev <= rev, f"{client.name} holds revision {copy.rev} of {rev}"


def check_live_only_client(cluster: Cluster, client: LiveOnlyClient) -> None:
    """Check that since its connect the client has missed no message and received none twice."""
    for conversation_id in cluster.tables.conversations:
        membership = cluster.member(conversation_id, client.user)
        if membership is None:
            continue
        since = max(client.since.get(conversation_id, 0), membership.join_seq)
        stored = [m for m in cluster.tables.of_conversation(conversation_id) if m.seq > since]
        received = [seq for seq in client.order[conversation_id] if seq > since]
        assert received == [m.seq for m in stored], (
            f"{client.name} heard {received} of {len(stored)} since {since}"
        )
        wrong = [m.seq for m in stored if not _is_on_screen(client, m)]
        assert not wrong, f"{client.name} sees something else at {wrong}"


def _is_on_screen(client: LiveOnlyClient, message: Message) -> bool:
    shown = client.displayed[message.id]
    return (shown.content, shown.deleted) == (message.content, message.deleted_at is not None)
