"""Contracts: their parties, and the conversations of those parties."""

from collections.abc import Callable
from time import monotonic

from parley.gateway.core.commands import PutContract, SendMessage, SendToContract
from parley.gateway.core.errors import Forbidden, Invalid, NotFound
from parley.gateway.core.ports import Contracts, Conversations
from parley.gateway.core.results import PendingCommit
from parley.gateway.services.access import Access
from parley.gateway.services.conversations import ConversationService
from parley.gateway.services.messages import MessageService, checked_content
from parley.gateway.state.bounded_dict import BoundedDict
from parley.shared.model import Contract, Conversation, Person, contract_key, new_id, now

CONTRACT_WRITERS = ("admin", "service")
REMEMBERED_CONVERSATIONS = 20_000
CACHE_SECONDS = 30.0
"""How long the conversation of a contract is cached: another gateway may change the contract."""

NO_CONTRACT = "There is no such contract."


class ContractService:
    """A contract has one conversation of its two parties, and one for each milestone they write about."""

    def __init__(
        self,
        access: Access,
        contracts: Contracts,
        conversations: Conversations,
        conversation_service: ConversationService,
        messages: MessageService,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._access = access
        self._contracts = contracts
        self._conversations = conversations
        self._conversation_service = conversation_service
        self._messages = messages
        self._clock = clock
        self._cached: BoundedDict[tuple[str, str | None], tuple[str, float]] = BoundedDict(
            REMEMBERED_CONVERSATIONS
        )

    async def put(self, person: Person, command: PutContract) -> Contract:
        """Store a contract, and make its parties the members of its conversations.

        Raises:
            Forbidden: The user is neither an admin nor a service.
            Invalid: Both parties are the same user, or a milestone is named twice.
        """
        if person.role not in CONTRACT_WRITERS:
            raise Forbidden("Only an admin or a service may store contracts.")
        if command.client_id == command.freelancer_id:
            raise Invalid.field("freelancerId", "It must be another user than the client.")
        if len(set(command.milestones)) != len(command.milestones):
            raise Invalid.field("milestones", "Each only once.")
        contract = Contract(
            id=command.contract_id,
            client_id=command.client_id,
            freelancer_id=command.freelancer_id,
            milestones=command.milestones,
            share_history=command.share_history,
        )
        await self._contracts.put(contract)
        # An earlier call may have stored the same contract and failed before this step, so repeat it always.
        await self._set_members(contract, person)
        return contract

    async def send(self, person: Person, command: SendToContract) -> PendingCommit:
        """Accept a message to the other party, in their conversation, which the first message creates.

        Raises:
            NotFound: There is no such contract of the sender, or no such milestone in it.
            Invalid, Forbidden, Overloaded, Conflict: As for any message.
        """
        checked_content(command.content, needed=not command.attachments)
        send = SendMessage(
            conversation_id=await self._conversation(person, command.contract_id, command.milestone_id),
            content=command.content,
            type=command.type,
            attachments=command.attachments,
            client_message_id=command.client_message_id,
        )
        return await self._messages.send(person, send)

    async def _conversation(self, person: Person, contract_id: str, milestone_id: str | None) -> str:
        key = contract_id, milestone_id
        conversation_id, until = self._cached.get(key) or ("", 0.0)
        if self._clock() >= until:
            conversation_id = await self._find_or_create(person, contract_id, milestone_id)
            self._cached.put(key, (conversation_id, self._clock() + CACHE_SECONDS))
        try:
            await self._access.role(person.id, conversation_id)
        except NotFound:
            self._cached.discard(key)
            raise NotFound(NO_CONTRACT) from None
        return conversation_id

    async def _find_or_create(self, person: Person, contract_id: str, milestone_id: str | None) -> str:
        contract = await self._contract_of(person, contract_id)
        if milestone_id is not None and milestone_id not in contract.milestones:
            raise NotFound("There is no such milestone.")
        at = now()
        wanted = Conversation(
            id=new_id(),
            kind="direct",
            direct_key=contract_key(contract_id, milestone_id),
            contract_id=contract_id,
            milestone_id=milestone_id,
            created_by=person.id,
            created_at=at,
        )
        others = [party for party in _parties(contract) if party != person.id]
        conversation = await self._conversation_service.start(wanted, others)
        # A concurrent `put` may have changed the parties before it could see this conversation.
        await self._set_members(contract, person)
        return conversation.id

    async def _set_members(self, contract: Contract, person: Person) -> None:
        """Make the parties, and no others, the members of the contract's conversations.

        The contract may change concurrently. It is read again after each pass, so the last pass of all
        concurrent calls uses its last version.
        """
        applied: Contract | None = None
        while contract != applied:
            for conversation in await self._conversations.of_contract(contract.id):
                await self._conversation_service.set_members(
                    conversation, _parties(contract), person.id, share_history=contract.share_history
                )
            applied = contract
            contract = (await self._contracts.get([contract.id])).get(contract.id, contract)

    async def _contract_of(self, person: Person, contract_id: str) -> Contract:
        contract = (await self._contracts.get([contract_id])).get(contract_id)
        if contract is None or person.id not in _parties(contract):
            raise NotFound(NO_CONTRACT)
        return contract


def _parties(contract: Contract) -> tuple[str, str]:
    return contract.client_id, contract.freelancer_id
