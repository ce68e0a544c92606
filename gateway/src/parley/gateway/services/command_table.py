"""The command table: the handler, the rate and the needs of every command."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, get_args

from parley.gateway.core import commands as c
from parley.gateway.core.eventual import Eventual
from parley.gateway.core.pagination import Page
from parley.gateway.core.results import ConversationView, UnreadTotal
from parley.gateway.services.composition import Services
from parley.gateway.services.history import SYNC_BYTES
from parley.gateway.state.rates import RateKind, Rates
from parley.shared.model import Person

REACHED_PER_TOKEN = 100
"""Online users that a message, a change, a mark or a joined room reaches for one token."""
TYPED_TO_PER_TOKEN = 250
"""Online users that a typing event reaches for one token; it is not stored, and is deferred under load."""
PARTICIPANTS_PER_TOKEN = 10
"""Participants that a command may name for one token: each of them is notified and shown by name."""
SYNCED_PER_TOKEN = 10
"""Conversations that `Sync` may name for one token: each of them takes several reads."""
COUNTED_PER_TOKEN, LISTED_PER_TOKEN = 100, 200
"""Conversations of a user that an unread count, or a list, looks at for one token more."""

MESSAGE_BYTES = 16 * 1024
"""Bytes that a message of a page counts as, before it is read; the longest have twice as many."""
LISTED_BYTES = 32 * 1024
"""Bytes that a conversation of a list counts as: its last message, and the members that are shown."""
MEMBERS_BYTES = 256 * 1024
"""Bytes that an answer with the members of a conversation, or a user's contacts, counts as."""
SYNCED_BYTES = 2 * SYNC_BYTES
"""Bytes that an answer to `Sync` counts as: it is in memory as values, too."""

Handler = Callable[[Person, Any], Eventual[Any]]


def _one_token(_command: Any) -> int:
    return 1


def _nothing(_command: Any) -> int:
    return 0


def _messages(command: c.ListMessages | c.Search) -> int:
    return command.limit * MESSAGE_BYTES


def _listed(command: c.ListConversations) -> int:
    return command.limit * LISTED_BYTES


def _members(_command: Any) -> int:
    return MEMBERS_BYTES


def _synced(_command: Any) -> int:
    return SYNCED_BYTES


def _token_per_participants(command: c.CreateConversation | c.AddParticipants) -> int:
    return max(1, ceil(len(command.participants) / PARTICIPANTS_PER_TOKEN))


def _token_per_synced(command: c.Sync) -> int:
    return max(1, ceil(len(command.revs) / SYNCED_PER_TOKEN))


def _tokens_of_count(result: UnreadTotal) -> int:
    return result.conversations // COUNTED_PER_TOKEN


def _tokens_of_list(result: Page[ConversationView]) -> int:
    return result.total // LISTED_PER_TOKEN


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """How one command is handled.

    Attributes:
        rate: The rate that it counts against.
        handler: Finds the service method; None for a command that needs a session, which the Socket.IO
            namespace handles.
        cost: The tokens that it takes of its rate.
        more: The tokens that it takes besides, by its result: its cost is known only then.
        answer: The bytes that its answer is counted as in the `AnswerBudget`; 0 for a short one.
        people_per_token: How many online users its event may reach for one token; None for one without an
            event for others.
        is_bounded: Whether a socket waits for it only a short time, because its next events wait meanwhile.
    """

    rate: RateKind
    handler: Callable[[Services], Handler] | None
    cost: Callable[[Any], int] = _one_token
    more: Callable[[Any], int] = _nothing
    answer: Callable[[Any], int] = _nothing
    people_per_token: int | None = None
    is_bounded: bool = False


NEEDS_SESSION = None

COMMANDS: Mapping[type, CommandSpec] = {
    c.SendMessage: CommandSpec(
        "sends", lambda services: services.messages.begin_send, people_per_token=REACHED_PER_TOKEN
    ),
    c.SendToContract: CommandSpec(
        "sends", lambda services: services.contracts.send, people_per_token=REACHED_PER_TOKEN
    ),
    c.EditMessage: CommandSpec(
        "sends", lambda services: services.messages.edit, people_per_token=REACHED_PER_TOKEN
    ),
    c.DeleteMessage: CommandSpec(
        "sends", lambda services: services.messages.delete, people_per_token=REACHED_PER_TOKEN
    ),
    c.SetTyping: CommandSpec(
        "typing", lambda services: services.presence.typing, people_per_token=TYPED_TO_PER_TOKEN
    ),
    c.JoinRoom: CommandSpec("joins", NEEDS_SESSION, people_per_token=REACHED_PER_TOKEN),
    c.LeaveRoom: CommandSpec("joins", NEEDS_SESSION, people_per_token=REACHED_PER_TOKEN),
    c.CreateConversation: CommandSpec(
        "creates",
        lambda services: services.conversations.create,
        cost=_token_per_participants,
        answer=_members,
    ),
    c.AddParticipants: CommandSpec(
        "creates",
        lambda services: services.conversations.add,
        cost=_token_per_participants,
        answer=_members,
    ),
    c.RemoveParticipant: CommandSpec("creates", lambda services: services.conversations.remove),
    c.LeaveConversation: CommandSpec("creates", lambda services: services.conversations.leave),
    c.ArchiveConversation: CommandSpec("creates", lambda services: services.conversations.archive),
    c.PutContract: CommandSpec("creates", lambda services: services.contracts.put),
    c.Revoke: CommandSpec("creates", lambda services: services.revocations.revoke),
    c.MarkRead: CommandSpec(
        "reads",
        lambda services: services.receipts.read,
        people_per_token=REACHED_PER_TOKEN,
        is_bounded=True,
    ),
    c.MarkConversationRead: CommandSpec(
        "reads",
        lambda services: services.receipts.read_all,
        people_per_token=REACHED_PER_TOKEN,
        is_bounded=True,
    ),
    c.MarkDelivered: CommandSpec(
        "reads",
        lambda services: services.receipts.delivered,
        people_per_token=REACHED_PER_TOKEN,
        is_bounded=True,
    ),
    c.CheckAdministrator: CommandSpec("reads", lambda services: services.administration.check),
    c.ListSlowClients: CommandSpec("reads", lambda services: services.administration.slow_clients),
    c.ListOnline: CommandSpec(
        "reads", lambda services: services.presence.online, answer=_members, is_bounded=True
    ),
    c.Sync: CommandSpec(
        "reads",
        lambda services: services.history.sync,
        cost=_token_per_synced,
        answer=_synced,
        is_bounded=True,
    ),
    c.GetConversation: CommandSpec("reads", lambda services: services.conversations.get, answer=_members),
    c.ListParticipants: CommandSpec(
        "reads", lambda services: services.conversations.participants, answer=_members
    ),
    c.ListReceipts: CommandSpec("reads", lambda services: services.conversations.receipts, answer=_members),
    c.ListConversations: CommandSpec(
        "reads", lambda services: services.conversations.page, more=_tokens_of_list, answer=_listed
    ),
    c.CountUnread: CommandSpec(
        "reads", lambda services: services.conversations.unread, more=_tokens_of_count, answer=_members
    ),
    c.ListMessages: CommandSpec("reads", lambda services: services.history.page, answer=_messages),
    c.GetMessage: CommandSpec("reads", lambda services: services.history.get),
    c.Search: CommandSpec("reads", lambda services: services.search.find, answer=_messages),
    c.Introduce: CommandSpec("reads", NEEDS_SESSION),
    c.Ping: CommandSpec("reads", NEEDS_SESSION),
    c.Reauthenticate: CommandSpec("reads", NEEDS_SESSION),
}


def check_complete(table: Mapping[type, CommandSpec] = COMMANDS) -> None:
    """Check that a table has a row for each member of `Command`, and no other row.

    Raises:
        LookupError: Names the commands that are missing or unknown.
    """
    _check_same(set(get_args(c.Command)), set(table), "the command table")


def check_session_handlers(handled: Collection[type], table: Mapping[type, CommandSpec] = COMMANDS) -> None:
    """Check that exactly the commands that need a session are handled beside the services.

    Raises:
        LookupError: Names the commands that are missing or unknown.
    """
    wanted = {command for command, spec in table.items() if spec.handler is NEEDS_SESSION}
    _check_same(wanted, set(handled), "the session's handlers")


def _check_same(wanted: set[type], found: set[type], where: str) -> None:
    missing, unknown = (sorted(t.__name__ for t in types) for types in (wanted - found, found - wanted))
    if missing or unknown:
        raise LookupError(f"{where}: missing {missing}, unknown {unknown}")


check_complete()


def count_command(rates: Rates, user_id: str, command: c.Command) -> None:
    """Count a user's command against its rate. Raises `RateLimited`."""
    spec = COMMANDS[type(command)]
    rates.count(spec.rate, user_id, spec.cost(command))


def owe_by_result(rates: Rates, user_id: str, command: c.Command, result: Any) -> None:
    """Charge a user for the cost of a command beyond the tokens that were counted, by its result."""
    spec = COMMANDS[type(command)]
    tokens = spec.more(result)
    if tokens:
        rates.owe(spec.rate, user_id, tokens)


def answer_bytes(command: c.Command) -> int:
    """Return the bytes that a command's answer is counted as; 0 for a short one."""
    return COMMANDS[type(command)].answer(command)
