"""Contracts: who may talk within which, and the conversations that they start there."""

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

KNOWS_CONTRACTS = ("admin", "service")
REMEMBERED_CONVERSATIONS = 20_000
TRUSTED_SECONDS = 30.0
"""How long a started conversation is taken for that of its contract, which may change elsewhere."""

NO_CONTRACT = "There is no such contract."


class ContractService:
    """A contract has a conversation of its two parties, and one for each milestone that they talk about."""

    def __init__(
        self,
        access: Access,
        contracts: Contracts,
        conversations: Conversations,
        starting: ConversationService,
        messages: MessageService,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._access = access
        self._contracts = contracts
        self._conversations = conversations
        self._starting = starting
        self._messages = messages
        self._clock = clock
        self._started: BoundedDict[tuple[str, str | None], tuple[str, float]] = BoundedDict(
            REMEMBERED_CONVERSATIONS
        )

    async def put(self, person: Person, command: PutContract) -> Contract:
        """Make a contract known; where its parties change, so do those of its conversations.

        Raises:
            Forbidden: the asker is neither an admin nor a service.
            Invalid: both parties are one, or a milestone is named twice.
        """
        if person.role not in KNOWS_CONTRACTS:
            raise Forbidden("Only an admin or a service may make contracts known.")
        if command.client_id == command.freelancer_id:
            raise Invalid.field("freelancerId", "It must be somebody else than the client.")
        if len(set(command.milestones)) != len(command.milestones):
            raise Invalid.field("milestones", "Each only once.")
        contract = Contract(
            id=command.contract_id,
            client_id=command.client_id,
            freelancer_id=command.freelancer_id,
            milestones=command.milestones,
        )
        await self._contracts.put(contract)
        # Also when nothing changed: whoever put it last may have died before this.
        await self._seat(contract, person)
        return contract

    async def send(self, person: Person, command: SendToContract) -> PendingCommit:
        """Accept a message to the other party, in the conversation that there is or a new one.

        Raises:
            NotFound: there is no such contract for the sender, or no such milestone in it.
            Invalid, Forbidden, Overloaded, Conflict: as of any message.
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
        known, until = self._started.get((contract_id, milestone_id)) or ("", 0.0)
        if self._clock() >= until:
            known = await self._find_or_start(person, contract_id, milestone_id)
            self._started.put((contract_id, milestone_id), (known, self._clock() + TRUSTED_SECONDS))
        try:
            await self._access.role(person.id, known)
        except NotFound:
            self._started.drop((contract_id, milestone_id))
            raise NotFound(NO_CONTRACT) from None
        return known

    async def _find_or_start(self, person: Person, contract_id: str, milestone_id: str | None) -> str:
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
        conversation = await self._starting.start(wanted, others)
        # Its parties may have changed while it began, unseen by whoever changed them.
        await self._seat(contract, person)
        return conversation.id

    async def _seat(self, contract: Contract, person: Person) -> None:
        """Have the parties, and nobody else, in the contract's conversations: those that it has by then.

        Others may change it meanwhile; whoever seats last has read it after that.
        """
        seated: Contract | None = None
        while contract != seated:
            for conversation in await self._conversations.of_contract(contract.id):
                await self._starting.seat(conversation, _parties(contract), person.id)
            seated = contract
            contract = (await self._contracts.get([contract.id])).get(contract.id, contract)

    async def _contract_of(self, person: Person, contract_id: str) -> Contract:
        contract = (await self._contracts.get([contract_id])).get(contract_id)
        if contract is None or person.id not in _parties(contract):
            raise NotFound(NO_CONTRACT)
        return contract


def _parties(contract: Contract) -> tuple[str, str]:
    return contract.client_id, contract.freelancer_id
