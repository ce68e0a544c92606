"""The audience of a command: how many online users its event reaches, and what that costs the sender."""

from collections.abc import Callable, Iterable
from typing import Any

from parley.gateway.core.commands import Command
from parley.gateway.core.results import PendingCommit
from parley.gateway.services.command_table import COMMANDS
from parley.gateway.state.membership_cache import MembershipCache
from parley.gateway.state.rates import Rates

REJOINED_TO_PER_TOKEN = 10
"""Online users that a room which a recovered socket has joined again reaches, for one token of `rooms`."""


class AudienceCosts:
    """Charges users for the deliveries that their commands cause, beyond the token of the command itself.

    A message to a thousand online members is a thousand deliveries: without this, forty of them a second
    would be within the rates of two senders.

    Args:
        rates: The rates to charge.
        membership_cache: Knows the online members at this gateway, without a read.
        gateways: Returns the number of gateways; members are spread over them evenly.
    """

    def __init__(self, rates: Rates, membership_cache: MembershipCache, gateways: Callable[[], int]) -> None:
        self._rates = rates
        self._membership_cache = membership_cache
        self._gateways = gateways

    def charge(self, user_id: str, command: Command, result: Any) -> None:
        """Charge a command that was accepted, by its result."""
        spec = COMMANDS[type(command)]
        if spec.people_per_token is None:
            return
        tokens = self.audience(_conversation(command, result)) // spec.people_per_token
        if tokens:
            self._rates.owe(spec.rate, user_id, tokens)

    def charge_rejoins(self, user_id: str, conversation_ids: Iterable[str]) -> None:
        """Charge a user whose recovered socket has joined rooms again: their members are told of each.

        Clients recover without a command. A socket that is lost and recovered in turn would otherwise reach a
        large group without an end.
        """
        tokens = sum(map(self.audience, conversation_ids)) // REJOINED_TO_PER_TOKEN
        if tokens:
            self._rates.owe("rooms", user_id, tokens)

    def audience(self, conversation_id: str | None) -> int:
        """Return about how many online users an event of a conversation reaches."""
        local = self._membership_cache.conversations.get(conversation_id or "")
        return len(local.memberships) * self._gateways() if local is not None else 0


def _conversation(command: Any, result: Any) -> str | None:
    if isinstance(result, PendingCommit):
        return result.conversation_id
    return getattr(command, "conversation_id", None)
