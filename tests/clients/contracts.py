"""A contract with its two parties, and what the contracts guide's REST says of their conversation."""

import uuid
from collections import Counter
from typing import Any

from clients.chat import ChatUsers, User
from clients.javascript import JsSocket, Program
from clients.matching import A_TIME, A_UUID
from parley.gateway.protocols.contracts import CONTRACTS

ALL = "/api/messages/conversations"

NAMES = {"ann": ("Ann", "Smith"), "ben": ("Ben", "van Dam"), "cid": ("Cid", "")}


CLAIMS: dict[str, dict[str, Any]] = {
    "ann": {"name": None, "firstName": "Ann", "lastName": "Smith", "avatar": "https://a.example/ann.png"},
    "ben": {"name": "Ben van Dam"},
    "cid": {"name": "Cid"},
}


class SampleContract:
    """A contract of a client, ann, and a freelancer, ben."""

    def __init__(self, users: ChatUsers) -> None:
        self.id = f"contract-{uuid.uuid4()}"
        self.ann, self.ben, self.cid = (users.user(name, **CLAIMS[name]) for name in ("ann", "ben", "cid"))
        self.clerk = users.user("clerk", role="service")

    async def save(self, client: User, freelancer: User, *milestones: str) -> Any:
        body = {"clientId": client.id, "freelancerId": freelancer.id, "milestones": list(milestones)}
        status, answer = await self.clerk.rest("PUT", f"/api/contracts/{self.id}", body)
        assert status == 200, answer
        assert answer == {
            "success": True,
            "message": "Contract saved successfully",
            "data": {"id": self.id, **body},
        }
        return answer

    async def start_conversation(self, content: str = "Hello! How are you?", **more: Any) -> dict[str, Any]:
        """Say something as ann, by REST; the message."""
        body = {"contractId": self.id, "content": content, **more}
        return good(await self.ann.rest("POST", "/api/messages", body), 201, "Message created successfully")


def person(user: User) -> dict[str, Any]:
    """What a user looks like, by their token."""
    name = user.id.partition("-")[0]
    first, last = NAMES[name]
    return {"id": user.id, "firstName": first, "lastName": last, "avatar": CLAIMS[name].get("avatar")}


def message(sender: User, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
    """What a message looks like; times and ids match anything that is one."""
    return {
        "id": A_UUID,
        "conversationId": conversation_id,
        "sender": person(sender),
        "content": content,
        "messageType": "text",
        "attachments": [],
        "sentAt": A_TIME,
        "isRead": False,
        **more,
    }


def good(answer: tuple[int, Any], status: int, sentence: str) -> Any:
    """The data of an envelope."""
    assert answer[0] == status, answer
    assert set(answer[1]) == {"success", "message", "data"}
    assert (answer[1]["success"], answer[1]["message"]) == (True, sentence)
    return answer[1]["data"]


def bad(answer: Any, code: str, field: str | None = None) -> str:
    """The text of a refusal, by socket or by REST."""
    statuses = {"NOT_FOUND": 404, "INVALID": 400, "FORBIDDEN": 403, "UNAUTHORIZED": 401}
    if isinstance(answer, tuple):
        assert answer[0] == statuses[code], answer
        answer = answer[1]
    details = {"details": {field: answer.get("details", {}).get(field)}} if field else {}
    text: str = answer["error"]
    assert text
    assert answer == {
        "success": False,
        "error": text,
        "message": text,
        "code": code,
        "retryable": False,
        **details,
    }
    if field:
        assert answer["details"][field]
    return text


async def both(program: Program, users: ChatUsers, contract: SampleContract) -> tuple[JsSocket, JsSocket]:
    """Sockets of ann and ben, on two gateways."""
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    return alice, await program.connect_elsewhere(contract.ben, users.url, CONTRACTS, alice)


def counts(program: Program, socket: JsSocket) -> dict[str, int]:
    """How often a socket heard each event of the guide."""
    own = {outbound.event for outbound in CONTRACTS.outbound} | {"connected"}
    return dict(Counter(what for who, what, _ in program.received if who == socket.name and what in own))


async def conversations(user: User, **query: Any) -> Any:
    """A page of the user's conversations."""
    return good(await user.rest("GET", ALL, **query), 200, "Conversations retrieved successfully")


async def contents(user: User, conversation: str) -> list[str]:
    """What was said in a conversation."""
    answer = await user.rest("GET", f"{ALL}/{conversation}/messages")
    data = good(answer, 200, "Messages retrieved successfully")
    return [m["content"] for m in data["messages"]]


def by_id(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """The participants of a conversation, in an order that the server does not promise."""
    return sorted(conversation["participants"], key=lambda each: each["id"])


def words(conversation: str, message_id: str, contract: str, milestone: str) -> dict[str, Any]:
    """A good payload for each event that asks for anything."""
    of, about = {"conversationId": conversation}, {"messageId": message_id}
    return {
        "join_conversation": of,
        "send_message": {**of, "content": "x"},
        "create_message": {"contractId": contract, "milestoneId": milestone, "content": "x"},
        "typing": {**of, "isTyping": True},
        "mark_as_read": of,
        "update_message": {**about, "content": "x"},
        "delete_message": about,
    }


def paths(conversation: str, contract: str, milestone: str) -> list[tuple[str, str, Any]]:
    """Each path of a conversation, and the one that starts it."""
    one = f"{ALL}/{conversation}"
    return [
        ("GET", one, None),
        ("GET", f"{one}/messages", None),
        ("POST", f"{one}/messages", {"content": "x"}),
        ("PATCH", f"{one}/read", None),
        ("PATCH", f"{one}/archive", {"archived": True}),
        ("POST", "/api/messages", {"contractId": contract, "milestoneId": milestone, "content": "x"}),
        ("POST", "/api/messages", {"contractId": contract, "content": "x"}),
    ]
