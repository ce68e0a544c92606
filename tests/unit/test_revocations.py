"""Revoking: who may, what it refuses, and how every node comes to know."""

import asyncio
from datetime import timedelta
from time import time
from typing import Any

import jwt
import pytest

from fakes.memory_revocations import Announced, MemoryRevocations
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


class Away(MemoryRevocations):
    """A store that can be away."""

    here = True

    async def put(self, revocation: Any) -> None:
        self._insist()
        await super().put(revocation)

    async def count(self) -> int:
        self._insist()
        return await super().count()

    def _insist(self) -> None:
        if not self.here:
            raise Unavailable("The archive is away; try again.")


class Node:
    """One gateway's part in it."""

    def __init__(self, store: MemoryRevocations) -> None:
        self.bus = Announced()
        self.revocations = RevocationService(store, self.bus, DAY)
        self.authenticator = Authenticator(SigningKeys(SECRET, ""), self.revocations)

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
def store() -> Away:
    return Away()


@pytest.fixture
def nodes(store: Away) -> tuple[Node, Node]:
    return Node(store), Node(store)


async def test_a_user_s_tokens_are_refused_that_were_issued_until_then(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))

    now = time()
    assert not await here.trusts(iat=now - 60)
    assert not await here.trusts(iat=int(now))
    assert not await here.trusts()
    assert await here.trusts(sub="bob", iat=now - 60)


async def test_a_token_that_is_issued_later_is_trusted(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = nodes
    monkeypatch.setattr("parley.gateway.services.revocations.time", lambda: time() - 10)
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))

    assert await here.trusts(iat=int(time()) - 5)
    assert not await here.trusts(iat=int(time()) - 15)


async def test_one_token_is_refused_by_its_id_whoever_bears_it(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))

    assert not await here.trusts(jti="stolen", iat=time() - 1)
    assert not await here.trusts(sub="bob", jti="stolen")
    assert await here.trusts(jti="another")
    assert await here.trusts()


async def test_both_are_both(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice", token_id="stolen"))

    assert not await here.trusts()
    assert not await here.trusts(sub="bob", jti="stolen")
    assert await here.trusts(sub="bob")


@pytest.mark.parametrize("role", [None, "", "member", "service", "Admin"])
async def test_only_an_admin_may(role: str | None, nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    with pytest.raises(Forbidden):
        await here.revocations.revoke(Person(id="mallory", role=role), Revoke(user_id="alice"))

    assert await here.trusts()
    assert here.bus.events == []


async def test_nobody_named_is_nobody_revoked(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    with pytest.raises(Invalid):
        await here.revocations.revoke(ADMIN, Revoke())

    assert here.bus.events == []


async def test_other_nodes_know_as_soon_as_they_hear_of_it(nodes: tuple[Node, Node]) -> None:
    here, there = nodes
    assert await there.trusts()
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    ((room, event),) = here.bus.events
    assert room == rooms.everyone()
    (heard,) = unpack(pack([event]))
    assert isinstance(heard, TokensRevoked)

    there.revocations.apply(heard)

    assert not await there.trusts()
    assert await here.has_changed()
    assert await there.has_changed()


async def test_what_the_bus_lost_is_found_by_looking(nodes: tuple[Node, Node], store: Away) -> None:
    here, there = nodes
    assert await there.trusts()
    await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    assert await there.trusts()

    await there.revocations.refresh()

    assert not await there.trusts()


async def test_looking_changes_nothing_when_there_is_nothing_new(nodes: tuple[Node, Node]) -> None:
    here, _ = nodes
    await here.revocations.refresh()
    await here.has_changed()

    await here.revocations.refresh()

    assert not await here.has_changed()


async def test_a_node_that_starts_knows_of_what_was_revoked_before(
    nodes: tuple[Node, Node], store: Away
) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))

    assert not await Node(store).trusts(jti="stolen")


async def test_a_node_that_does_not_know_yet_lets_nobody_in(store: Away) -> None:
    store.here = False
    node = Node(store)

    answers = await asyncio.gather(node.trusts(), node.trusts(), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]

    store.here = True
    assert await node.trusts()


async def test_what_a_node_knows_it_knows_without_the_store(nodes: tuple[Node, Node], store: Away) -> None:
    here, _ = nodes
    await here.revocations.revoke(ADMIN, Revoke(token_id="stolen"))
    await here.revocations.refresh()
    store.here = False

    assert not await here.trusts(jti="stolen")
    assert await here.trusts(jti="another")
    with pytest.raises(Unavailable):
        await here.revocations.revoke(ADMIN, Revoke(user_id="alice"))
    assert await here.trusts(jti="another")


async def test_what_no_token_can_outlive_is_forgotten(
    nodes: tuple[Node, Node], store: Away, monkeypatch: pytest.MonkeyPatch
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
async def test_what_is_revoked_twice_is_refused_until_the_later_end(
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
