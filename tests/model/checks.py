"""What must hold at rest: of what is stored, of the counts, of what every client holds."""

from collections import Counter

from model.client import Believing, Knowing, Shown
from model.town import Town
from parley.gateway.core import commands as c
from parley.shared.events import RecordRefused
from parley.shared.model import Message, Person
from parley.shared.records import Deletion, Edit, NewMessage, ReadMark


def check(town: Town) -> None:
    """Everything."""
    for conversation_id in town.tables.conversations:
        check_numbers(town, conversation_id)
        check_order(town, conversation_id)
        check_unread(town, conversation_id)
    check_kept(town)
    check_contents(town)
    check_marks(town)
    for client in town.clients:
        assert not client.wrong, client.wrong
        if isinstance(client, Knowing) and client.ready:
            check_knowing(town, client)
        elif isinstance(client, Believing) and client.ready:
            check_believing(town, client)


def check_numbers(town: Town, conversation_id: str) -> None:
    """Numbers 1 to n, revisions unique, the head at both."""
    stored = town.tables.of_conversation(conversation_id)
    head = town.tables.conversations[conversation_id]
    assert [m.seq for m in stored] == list(range(1, len(stored) + 1)), "the numbers have holes, or doubles"
    revs = [m.rev for m in stored]
    assert len(set(revs)) == len(revs), "a revision was given twice"
    assert (head.last_seq, head.rev) == (len(stored), max(revs, default=0)), "the head is elsewhere"
    if stored:
        assert head.last_message is not None
        shown, last = head.last_message, stored[-1]
        assert (shown.id, shown.seq, shown.content) == (last.id, last.seq, last.content), "an old preview"
    names = Counter((m.sender_id, m.client_message_id) for m in stored if m.client_message_id)
    assert not [name for name, times in names.items() if times > 1], "something said once is stored twice"


def check_kept(town: Town) -> None:
    """What was accepted is stored, or its sender was outside and this was told."""
    refused = {e.record_id: e for e in town.told if isinstance(e, RecordRefused)}
    by_name = {r.message.client_message_id: r for r in town.partition.sent() if r.message.client_message_id}
    for record in town.partition.sent():
        if record.message.id in town.tables.messages:
            continue
        assert record.id in refused, f"lost: {record.message.content}"
        assert refused[record.id].code == "NOT_FOUND"
        assert (record.conversation_id, record.user_id) in town.outsiders, "a member was refused"
    for send in town.sends:
        if send.accepted and send.named:
            assert send.payload["clientMessageId"] in by_name, "accepted, and given to nobody"
    made = {r.message.id for r in town.partition.sent()}
    assert set(town.tables.messages) <= made, "stored, and said by nobody"


def check_order(town: Town, conversation_id: str) -> None:
    """Each sender's messages have the order in which they came to the partition first."""
    refused = {e.message_id for e in town.told if isinstance(e, RecordRefused)}
    first: dict[str, NewMessage] = {}
    for record in town.partition.sent():
        if record.conversation_id == conversation_id and record.message.id not in refused:
            first.setdefault(record.message.id, record)
    for user in {record.user_id for record in first.values()}:
        seqs = [town.tables.messages[i].seq for i, record in first.items() if record.user_id == user]
        assert seqs == sorted(seqs), f"{user} is put in another order: {seqs}"


def check_contents(town: Town) -> None:
    """Each message is as the last change left it that was not refused; a deletion is the last."""
    made = {record_id for m in town.tables.messages.values() for record_id in m.changed_by}
    refused = {e.record_id for e in town.told if isinstance(e, RecordRefused)} - made
    content: dict[str, str] = {}
    deleted: set[str] = set()
    for record in (r for r in town.partition.log if isinstance(r, NewMessage) or r.id not in refused):
        if isinstance(record, NewMessage):
            content.setdefault(record.message.id, record.message.content)
        elif isinstance(record, Edit):
            content[record.message_id] = record.content
        elif isinstance(record, Deletion):
            deleted.add(record.message_id)
    for message in town.tables.messages.values():
        wanted = "" if message.id in deleted else content[message.id]
        assert message.content == wanted, f"{message.seq} says {message.content!r}, not {wanted!r}"
        assert (message.deleted_at is not None) == (message.id in deleted)


def recount(town: Town, conversation_id: str, user: str) -> int:
    """The messages of others above the user's mark."""
    membership = town.tables.memberships[conversation_id, user]
    stored = town.tables.of_conversation(conversation_id)
    return sum(m.seq > membership.base and m.sender_id != user for m in stored)


def check_unread(town: Town, conversation_id: str) -> None:
    """As counted by the worker, by every node, and as told to every socket."""
    head = town.tables.conversations[conversation_id]
    for (where, user), membership in town.tables.memberships.items():
        if where != conversation_id or membership.left_at is not None:
            continue
        right = recount(town, conversation_id, user)
        assert membership.unread(head.last_seq) == right, f"{user}'s counters are wrong"
        for node in town.nodes:
            known = node.membership_cache.unread(conversation_id, user)
            assert known in (None, right), f"{node.name} counts {known} for {user}, not {right}"
        for client in town.clients:
            if isinstance(client, Knowing) and client.ready and client.user == user:
                told = client.unread.get(conversation_id, 0)
                assert told == right, f"{client.name} was told {told} unread, not {right}"


def check_marks(town: Town) -> None:
    """Whoever was never outside has read as far as they said."""
    said: Counter[tuple[str, str]] = Counter()
    for record in town.partition.log:
        if isinstance(record, ReadMark):
            key = (record.conversation_id, record.user_id)
            said[key] = max(said[key], record.seq)
    for key, seq in said.items():
        mark = town.tables.memberships[key].read_seq
        assert mark <= seq
        assert mark == seq or key in town.outsiders, f"{key} has read up to {seq}, not {mark}"


def fresh(town: Town, client: Knowing, conversation_id: str) -> dict[str, Shown]:
    """What a client that knows nothing yet would read."""
    assert client.node is not None
    command = c.ListMessages(conversation_id=conversation_id, limit=10_000)
    page = town.loop.finish(client.node.command_bus.handle(Person(id=client.user), command))
    return {view.message.id: Shown.stored(view.message) for view in page.items}


def check_knowing(town: Town, client: Knowing) -> None:
    """State and sync are the fresh state; it knows its conversations, and only those."""
    mine = {i for i in town.tables.conversations if town.member(i, client.user)}
    assert mine <= client.known.keys(), f"{client.name} does not know of {mine - client.known.keys()}"
    for conversation_id in mine:
        held = client.known[conversation_id]
        assert held.joined, f"{client.name} is not in {conversation_id}"
        assert held.messages == fresh(town, client, conversation_id), f"{client.name} holds something else"
        rev = town.tables.conversations[conversation_id].rev
        # Less is safe: the next sync tells some of it again.
        assert held.rev <= rev, f"{client.name} holds revision {held.rev} of {rev}"


def check_believing(town: Town, client: Believing) -> None:
    """Since the socket was let in it missed nothing, and heard nothing twice."""
    for conversation_id in town.tables.conversations:
        membership = town.member(conversation_id, client.user)
        if membership is None:
            continue
        since = max(client.since.get(conversation_id, 0), membership.join_seq)
        stored = [m for m in town.tables.of_conversation(conversation_id) if m.seq > since]
        heard = [seq for seq in client.order[conversation_id] if seq > since]
        assert heard == [m.seq for m in stored], f"{client.name} heard {heard} of {len(stored)} since {since}"
        wrong = [m.seq for m in stored if not _is_on_screen(client, m)]
        assert not wrong, f"{client.name} sees something else at {wrong}"


def _is_on_screen(client: Believing, message: Message) -> bool:
    shown = client.screen[message.id]
    return (shown.content, shown.deleted) == (message.content, message.deleted_at is not None)
