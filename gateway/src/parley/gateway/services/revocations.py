"""Revocations: tokens that are refused though they have not expired, known to every node."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import time

from parley.gateway.core.commands import Revoke
from parley.gateway.core.errors import Forbidden, Invalid
from parley.gateway.core.ports import EventPublisher, Revocations
from parley.shared import rooms
from parley.shared.events import TokensRevoked
from parley.shared.model import Person, Revocation, new_id, now

REVOKES = "admin"


class Revoked:
    """Which tokens are refused, so that no request asks a database."""

    def __init__(self) -> None:
        self._users: dict[str, tuple[float, datetime]] = {}
        self._tokens: dict[str, datetime] = {}

    def take(self, revocation: Revocation) -> None:
        """From now on it holds, in any order with others."""
        if revocation.user_id is not None:
            known = self._users.get(revocation.user_id, (revocation.before, revocation.until))
            newest = max(known[0], revocation.before), max(known[1], revocation.until)
            self._users[revocation.user_id] = newest
        if revocation.token_id is not None:
            until = self._tokens.get(revocation.token_id, revocation.until)
            self._tokens[revocation.token_id] = max(until, revocation.until)

    def refusal(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token was revoked; one that does not say when it was issued, by any of its user's."""
        of_user = self._users.get(user_id)
        if of_user is not None and (issued_at is None or issued_at <= of_user[0]):
            return True
        return token_id in self._tokens

    def forget(self, at: datetime) -> None:
        """Forget those that were kept until then."""
        self._users = {user: known for user, known in self._users.items() if known[1] > at}
        self._tokens = {token: until for token, until in self._tokens.items() if until > at}


class RevocationService:
    """Revokes, and knows what was revoked: at once by the bus, else by looking every now and then."""

    def __init__(self, revocations: Revocations, event_publisher: EventPublisher, kept: timedelta) -> None:
        self._revocations = revocations
        self._event_publisher = event_publisher
        self._kept = kept
        self._revoked = Revoked()
        self._count = -1
        self._looking = asyncio.Lock()
        self.on_change: Callable[[], None] = lambda: None
        """Called when more tokens are refused than before."""

    async def revoke(self, person: Person, command: Revoke) -> Revocation:
        """Have tokens refused everywhere, for good.

        Raises:
            Forbidden: the asker is no admin.
            Invalid: it names neither a user nor a token.
            Unavailable: it cannot be stored, and may hold on some nodes or on none.
        """
        if person.role != REVOKES:
            raise Forbidden("Only an admin may revoke tokens.")
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
        self._take([revocation])
        await self._event_publisher.announce({rooms.everyone(): [TokensRevoked(revocation=revocation)]})
        return revocation

    def heard(self, event: TokensRevoked) -> None:
        """Another node says what was revoked."""
        self._take([event.revocation])

    async def refusal(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token was revoked.

        Raises:
            Unavailable: that is not known yet.
        """
        if self._count < 0:
            await self.look()
        return self.refuses_now(user_id, token_id, issued_at)

    def refuses_now(self, user_id: str, token_id: str | None, issued_at: float | None) -> bool:
        """Whether a token was revoked, as far as this node knows."""
        return self._revoked.refusal(user_id, token_id, issued_at)

    async def look(self) -> None:
        """Learn of what the bus did not bring. Raises `Unavailable`."""
        async with self._looking:
            # Counted first: what is put meanwhile is found now or the next time.
            count = await self._revocations.count()
            if count != self._count:
                self._take(await self._revocations.all())
                self._count = count
        self._revoked.forget(now())

    def _take(self, revocations: Sequence[Revocation]) -> None:
        for revocation in revocations:
            self._revoked.take(revocation)
        if revocations:
            self.on_change()
