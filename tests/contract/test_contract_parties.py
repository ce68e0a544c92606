"""The members of a contract's conversations are the parties it names, also after concurrent changes."""

import asyncio
import uuid
from collections.abc import Collection
from typing import Any

import pytest

from fakes.memory_barrier import NothingAccepted
from parley.gateway.adapters.mongo.contracts import MongoContracts
from parley.gateway.adapters.mongo.conversations import MongoConversations
from parley.gateway.adapters.mongo.memberships import MongoMemberships
from parley.gateway.adapters.mongo.messages import MongoMessages
from parley.gateway.adapters.mongo.people import MongoPeople
from parley.gateway.adapters.mongo.shared_reads import SharedReads
from parley.gateway.background import Background
from parley.gateway.core.commands import PutContract, SendToContract
from parley.gateway.core.errors import NotFound
from parley.gateway.services.access import Access
from parley.gateway.services.contracts import CACHE_SECONDS, ContractService
from parley.gateway.services.conversations import ConversationService
from parley.gateway.state.membership_cache import MembershipCache
from parley.shared.model import Contract, Person


class Silence:
    """An announcer that discards its events."""

    async def publish_events(self, _events: Any) -> None: ...

    def publish_best_effort(self, _room: str, _event: Any) -> None: ...


class Sent:
    """Records the messages that would be sent."""

    def __init__(self) -> None:
        self.commands: list[Any] = []

    async def send(self, _person: Person, command: Any) -> None:
        self.commands.append(command)


class Hesitant(MongoContracts):
    """Blocks after its second read, so that a test can write before the reader goes on."""

    def __init__(self, database: Any) -> None:
        super().__init__(database)
        self.reads = 0
        self.has_read, self.may_go = asyncio.Event(), asyncio.Event()

    async def get(self, contract_ids: Collection[str]) -> dict[str, Contract]:
        found = await super().get(contract_ids)
        self.reads += 1
        if self.reads == 2:
            self.has_read.set()
            await self.may_go.wait()
        return found


class Gateway:
    """The contract services of one gateway."""

    def __init__(self, database: Any, reads: SharedReads, contracts: MongoContracts | None = None) -> None:
        self.contracts = contracts or MongoContracts(database)
        self.memberships = MongoMemberships(database, reads)
        self.conversations = MongoConversations(database, reads)
        self.sent = Sent()
        self.now = 0.0
        access = Access(MembershipCache(), self.memberships, MongoMessages(database, reads))
        starting = ConversationService(
            access,
            self.conversations,
            self.memberships,
            self.memberships,
            self.contracts,
            MongoMessages(database, reads),
            MongoPeople(database, reads, Background().spawn),
            Silence(),
            NothingAccepted(),
        )
        self.service = ContractService(
            access, self.contracts, self.conversations, starting, self.sent, lambda: self.now
        )  # type: ignore[arg-type]

    async def seated(self, contract_id: str) -> set[str]:
        """Return the members of the contract's only conversation."""
        (conversation,) = await self.conversations.of_contract(contract_id)
        return {m.user_id for m in await self.memberships.of_conversation(conversation.id, 10)}


class Deal:
    """A contract and its people, used by this test only."""

    def __init__(self) -> None:
        name = uuid.uuid4().hex[:8]
        self.id = f"contract-{name}"
        self.admin = Person(id=f"admin-{name}", role="admin")
        self.client, self.old, self.new = (Person(id=f"{role}-{name}") for role in ("client", "old", "new"))

    def put(self, freelancer: Person, *milestones: str) -> PutContract:
        return PutContract(
            contract_id=self.id,
            client_id=self.client.id,
            freelancer_id=freelancer.id,
            milestones=milestones,
        )

    def send(self, milestone: str | None = None) -> SendToContract:
        return SendToContract(contract_id=self.id, milestone_id=milestone, content="hello")


async def test_a_party_replaced_while_a_conversation_begins_is_no_member(
    database: Any, reads: SharedReads
) -> None:
    deal, one, other = Deal(), Gateway(database, reads), Gateway(database, reads, Hesitant(database))
    await one.service.put(deal.admin, deal.put(deal.old))
    assert isinstance(other.contracts, Hesitant)
    starting = asyncio.create_task(other.service.send(deal.old, deal.send()))
    await other.contracts.has_read.wait()
    await one.service.put(deal.admin, deal.put(deal.new))
    other.contracts.may_go.set()
    with pytest.raises(NotFound):
        await starting
    assert await one.seated(deal.id) == {deal.client.id, deal.new.id}
    assert other.sent.commands == []


async def test_two_concurrent_changes_leave_the_members_that_the_contract_names(
    database: Any, reads: SharedReads
) -> None:
    deal, one, other = Deal(), Gateway(database, reads), Gateway(database, reads)
    await one.service.put(deal.admin, deal.put(deal.old))
    await one.service.send(deal.client, deal.send())
    reached, gate = asyncio.Event(), asyncio.Event()
    real = other.conversations.of_contract

    async def slowly(contract_id: str) -> Any:
        found = await real(contract_id)
        reached.set()
        await gate.wait()
        return found

    other.conversations.of_contract = slowly  # type: ignore[method-assign]
    first = asyncio.create_task(other.service.put(deal.admin, deal.put(deal.new)))
    await reached.wait()
    await one.service.put(deal.admin, deal.put(deal.old))
    gate.set()
    await first
    contract = (await one.contracts.get([deal.id]))[deal.id]
    assert await one.seated(deal.id) == {contract.client_id, contract.freelancer_id}


async def test_a_milestone_removed_by_another_gateway_leaves_the_cache_soon(
    database: Any, reads: SharedReads
) -> None:
    deal, one, other = Deal(), Gateway(database, reads), Gateway(database, reads)
    await one.service.put(deal.admin, deal.put(deal.old, "design"))
    await other.service.send(deal.client, deal.send("design"))
    await one.service.put(deal.admin, deal.put(deal.old))
    other.now += CACHE_SECONDS
    with pytest.raises(NotFound, match="milestone"):
        await other.service.send(deal.client, deal.send("design"))


async def test_a_gateway_with_a_stale_contract_admits_the_new_party(
    database: Any, reads: SharedReads
) -> None:
    deal, one, other = Deal(), Gateway(database, reads), Gateway(database, reads)
    await one.service.put(deal.admin, deal.put(deal.old))
    await other.service.send(deal.client, deal.send())
    # A gateway changed the contract and was killed before it changed the memberships.
    await one.contracts.put(Contract(id=deal.id, client_id=deal.client.id, freelancer_id=deal.new.id))
    with pytest.raises(NotFound):
        await other.service.send(deal.new, deal.send())
    await other.service.send(deal.new, deal.send())
    assert await one.seated(deal.id) == {deal.client.id, deal.new.id}
