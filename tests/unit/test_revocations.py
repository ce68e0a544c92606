"""Revocations: an admin revokes tokens, and every node refuses them."""

import asyncio
from datetime import timedelta
from time import time
from typing import Any

import jwt
import pytest

from fakes.memory_revocations import MemoryRevocations, RecordingEventPublisher
from parley.gateway.auth import Authenticator
from parley.gateway.core.commands import Revoke
from parley.gateway.core.errors import Forbidden, Invalid, Unauthorized, Unavailable
from parley.gateway.services.revocations import RevocationService
from parley.gateway.signing_keys import SigningKeys
from parley.shared import rooms
from parley.shared.events import TokensRevoked, pack, unpack
from parley.shared.model import Person, Revocation, now

SECRET = "a shared secret that is long enough for this"
ADMIN = Person(id="root", role="admin")
DAY = timedelta(days=1)


class UnreliableRevocations(MemoryRevocations):
    """Revocations whose database a test can take away."""

    is_available = True

    async def put(self, revocation: Any) -> None:
        self._check_available()
        await super().put(revocation)

    async def count(self) -> int:
        self._check_available()
        return await super().count()

    def _check_available(self) -> None:
        if not self.is_available:
            raise Unavailable("The database is away; retry later.")


class Node:
    """The revocations and the authentication of one gateway."""

    def __init__(self, store: MemoryRevocations) -> None:
        self.bus = RecordingEventPublisher()
        self.revocations = RevocationService(store, self.bus, DAY)
        self.authenticator = Authenticator(SigningKeys([SECRET], ""), self.revocations)

    async def has_changed(self) -> bool:
        """Whether more tokens are revoked than when this was asked last."""
        waiting = asyncio.ensure_future(self.revocations.wait_for_change(60))
        for _ in range(5):
            await asyncio.sleep(0)
        changed = waiting.done()
        waiting.cancel()
        return changed

    async def trusts(self, **claims: Any) -> bool:
        token = jwt.encode({"sub": "alice", "exp": time() + 60, **claims}, SECRET, "HS256")
        try:
            await self.authenticator.identify(token)
        except Unauthorized:
            return False
        return True


@pytest.fixture
def store() -> UnreliableRevocations:
    return UnreliableRevocations()


@pytest.fixture
def nodes(store: UnreliableRevocations) -> tuple[Node, Node]:
    return Node(store), Node(store)


async def test_a_users_tokens_issued_before_the_revocation_are_refused(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))

    now = time()
    assert not await here.trusts(iat=now - 60)
    assert not await here.trusts(iat=int(now))
    assert not await here.trusts()
    assert await here.trusts(sub="bob", iat=now - 60)


async def test_a_token_issued_after_the_revocation_is_accepted(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = nodes
    monkeypatch.setattr("parley.gateway.services.revocations.time", lambda: time() - 10)
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))

    assert await here.trusts(iat=int(time()) - 5)
    assert not await here.trusts(iat=int(time()) - 15)


async def test_a_token_revoked_by_its_id_is_refused_for_every_user(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))

    assert not await here.trusts(jti="stolen", iat=time() - 1)
    assert not await here.trusts(sub="bob", jti="stolen")
    assert await here.trusts(jti="another")
    assert await here.trusts()


async def test_a_user_and_a_token_can_be_revoked_by_one_command(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice", token_id="stolen"))

    assert not await here.trusts()
    assert not await here.trusts(sub="bob", jti="stolen")
    assert await here.trusts(sub="bob")


@pytest.mark.parametrize("role", [None, "", "member", "service", "Admin"])
async def test_only_an_admin_may_revoke(role: str | None, nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    with pytest.raises(Forbidden):
        await here.revocations.revoke(Person(id="mallory", role=role), Revoke(user_id="alice"))

    assert await here.trusts()
    assert here.bus.events == []


async def test_a_revocation_without_user_and_token_is_invalid(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    with pytest.raises(Invalid):
        await here.revocations.revoke(ADMIN, Revoke())

    assert here.bus.events == []


async def test_a_node_refuses_a_token_once_it_receives_the_event(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    assert await there.trusts()
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    ((room, event),) = here.bus.events
    assert room == rooms.everyone()
    (received,) = unpack(pack([event]))
    assert isinstance(received, TokensRevoked)

    there.revocations.apply(received)

    assert not await there.trusts()
    assert await here.has_changed()
    assert await there.has_changed()


async def test_a_refresh_finds_a_revocation_that_the_bus_lost(
    nodes: tuple[Node, Node], store: UnreliableRevocations
) -> None:
    here, there = nodes
    assert await there.trusts()
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    assert await there.trusts()

    await there.revocations.refresh()

    assert not await there.trusts()


async def test_a_refresh_without_a_new_revocation_reports_no_change(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.refresh()
    await here.has_changed()

    await here.revocations.refresh()

    assert not await here.has_changed()


async def test_a_new_node_refuses_tokens_revoked_before_it_started(
    nodes: tuple[Node, Node], store: UnreliableRevocations
) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))

    assert not await Node(store).trusts(jti="stolen")


async def test_a_node_without_revocations_yet_answers_unavailable(store: UnreliableRevocations) -> None:
    store.is_available = False
    node = Node(store)

    answers = await asyncio.gather(node.trusts(), node.trusts(), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]

    store.is_available = True
    assert await node.trusts()


async def test_a_node_keeps_its_revocations_while_the_database_is_away(
    nodes: tuple[Node, Node], store: UnreliableRevocations
) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))
    await here.revocations.refresh()
    store.is_available = False

    assert not await here.trusts(jti="stolen")
    assert await here.trusts(jti="another")
    with pytest.raises(Unavailable):
        await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    assert await here.trusts(jti="another")


async def test_a_revocation_that_outlived_all_tokens_is_removed(
    nodes: tuple[Node, Node], store: UnreliableRevocations, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice", token_id="stolen"))
    await here.revocations.refresh()
    assert not await here.trusts(jti="stolen")
    (kept,) = await store.all()
    monkeypatch.setattr("parley.gateway.services.revocations.now", lambda: kept.until)

    await here.revocations.refresh()

    assert await here.trusts(jti="stolen")


@pytest.mark.parametrize("named", [{"user_id": "alice"}, {"token_id": "stolen"}])
async def test_a_token_revoked_twice_is_refused_until_the_later_end(
    named: dict[str, str], nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = nodes
    soon = now() + DAY
    for days in (365, 1):
        until = now() + days * DAY
        here.revocations.apply(
            TokensRevoked(revocation=Revocation(id="r", before=time(), until=until, **named))
        )
    monkeypatch.setattr("parley.gateway.services.revocations.now", lambda: soon + DAY)

    await here.revocations.refresh()

    assert not await here.trusts(jti="stolen")
