"""Revocations: tokens that every gateway refuses before they expire."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from time import time

from parley.gateway.core.commands import Revoke
from parley.gateway.core.errors import Invalid
from parley.gateway.core.ports import EventPublisher, Revocations
from parley.gateway.services.administration import require_admin
from parley.shared import rooms
from parley.shared.events import TokensRevoked
from parley.shared.model import Person, Revocation, new_id, now


class RevokedTokens:
    """The revoked tokens in memory, so that no request needs the database."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[float, datetime]] = {}
        self._tokens: dict[str, datetime] = {}

    def add(self, revocation: Revocation) -> None:
        """Add a revocation; the order of several does not matter."""
        if revocation.user_id is not None:
            known = self._users.get(revocation.user_id, (revocation.before, revocation.until))
            newest = max(known[0], revocation.before), max(known[1], revocation.until)
            self._users[revocation.user_id] = newest
        if revocation.token_id is not None:
            until = self._tokens.get(revocation.token_id, revocation.until)
            self._tokens[revocation.token_id] = max(until, revocation.until)

    def contains(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token is revoked. A token without a time of issue falls to any revocation of its user."""
        of_user = self._users.get(user_id)
        if of_user is not None and (issued_at is None or issued_at <= of_user[0]):
            return True
        return token_id in self._tokens

    def remove_lapsed(self, at: datetime) -> None:
        """Remove the revocations that are kept until `at` or less."""
        self._users = {user: known for user, known in self._users.items() if known[1] > at}
        self._tokens = {token: until for token, until in self._tokens.items() if until > at}


class RevocationService:
    """Revokes tokens, and learns of revocations by the bus at once, else by polling the database."""

    def __init__(self, revocations: Revocations, event_publisher: EventPublisher, kept: timedelta) -> None:
        self._revocations = revocations
        self._event_publisher = event_publisher
        self._kept = kept
        self._revoked = RevokedTokens()
        self._count = -1
        self._refreshing = asyncio.Lock()
        self._changed = asyncio.Event()

    async def revoke(self, person: Person, command: Revoke) -> Revocation:
        """Revoke tokens on all gateways.

        Raises:
            Forbidden: The user is no admin.
            Invalid: The command names neither a user nor a token.
            Unavailable: Storing failed; the revocation may hold on some gateways, or on none.
        """
        require_admin(person, "revoke tokens")
        if command.user_id is None and command.token_id is None:
            raise Invalid.field("userId", "Name a user, a token by its jti, or both.")
        revocation = Revocation(
            id=new_id(),
            user_id=command.user_id,
            token_id=command.token_id,
            before=time(),
            until=now() + self._kept,
        )
        await self._revocations.put(revocation)
        self._add([revocation])
        event = TokensRevoked(revocation=revocation)
        await self._event_publisher.publish_events({rooms.everyone(): [event]})
        return revocation

    def apply(self, event: TokensRevoked) -> None:
        """Apply a revocation that a gateway published."""
        self._add([event.revocation])

    async def is_revoked(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token is revoked.

        Raises:
            Unavailable: The revocations were never read yet, and cannot be read now.
        """
        if self._count < 0:
            await self.refresh()
        return self.is_known_revoked(user_id, token_id, issued_at)

    def is_known_revoked(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token is revoked, as far as this node knows."""
        return self._revoked.contains(user_id, token_id, issued_at)

    async def wait_for_change(self, seconds: float) -> None:
        """Return as soon as more tokens are revoked than at the last return, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        self._changed.clear()

    async def refresh(self) -> None:
        """Read the revocations that the bus did not deliver. Raises `Unavailable`."""
        async with self._refreshing:
            # The count is read first: a revocation stored between the two reads is then in this list, or
            # changes the count of the next refresh.
            count = await self._revocations.count()
            if count != self._count:
                self._add(await self._revocations.all())
                self._count = count
        self._revoked.remove_lapsed(now())

    def _add(self, revocations: Sequence[Revocation]) -> None:
        for revocation in revocations:
            self._revoked.add(revocation)
        if revocations:
            self._changed.set()
