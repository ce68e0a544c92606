"""A contract with its two parties, and the payloads of the contracts protocol."""

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

    async def save(self, client: User, freelancer: User, *milestones: str, **more: Any) -> Any:
        body = {"clientId": client.id, "freelancerId": freelancer.id, "milestones": list(milestones)}
        status, answer = await self.clerk.rest("PUT", f"/api/contracts/{self.id}", {**body, **more})
        assert status == 200, answer
        assert answer == {
            "success": True,
            "message": "Contract saved successfully",
            "data": {"id": self.id, **body},
        }
        return answer

    async def start_conversation(self, content: str = "Hello! How are you?", **more: Any) -> dict[str, Any]:
        """Send a message as ann, by REST; return it."""
        body = {"contractId": self.id, "content": content, **more}
        return good(await self.ann.rest("POST", "/api/messages", body), 201, "Message created successfully")


def person(user: User) -> dict[str, Any]:
    """Return the person that a user's token describes."""
    name = user.id.partition("-")[0]
    first, last = NAMES[name]
    return {"id": user.id, "firstName": first, "lastName": last, "avatar": CLAIMS[name].get("avatar")}


def message(sender: User, conversation_id: str, content: str, **more: Any) -> dict[str, Any]:
    """Return the expected payload of a message; times and ids match any valid one."""
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
    """Check the envelope of a successful answer; return its data."""
    assert answer[0] == status, answer
    assert set(answer[1]) == {"success", "message", "data"}
    assert (answer[1]["success"], answer[1]["message"]) == (True, sentence)
    return answer[1]["data"]


def bad(answer: Any, code: str, field: str | None = None) -> str:
    """Check a refusal by socket or REST; return its text."""
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
    """Connect ann and ben, on different gateways."""
    alice = await program.connect(contract.ann, users.url, CONTRACTS)
    return alice, await program.connect_elsewhere(contract.ben, users.url, CONTRACTS, alice)


def counts(program: Program, socket: JsSocket) -> dict[str, int]:
    """Return how often a socket received each event of the protocol."""
    own = {outbound.event for outbound in CONTRACTS.outbound} | {"connected"}
    return dict(Counter(event for name, event, _ in program.received if name == socket.name and event in own))


async def conversations(user: User, **query: Any) -> Any:
    """Return a page of the user's conversations."""
    return good(await user.rest("GET", ALL, **query), 200, "Conversations retrieved successfully")


async def contents(user: User, conversation: str) -> list[str]:
    """Return the contents of a conversation's messages."""
    answer = await user.rest("GET", f"{ALL}/{conversation}/messages")
    data = good(answer, 200, "Messages retrieved successfully")
    return [m["content"] for m in data["messages"]]


def by_id(conversation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the participants sorted by id: the server promises no order."""
    return sorted(conversation["participants"], key=lambda each: each["id"])


def words(conversation: str, message_id: str, contract: str, milestone: str) -> dict[str, Any]:
    """Return a valid payload of each event that takes one."""
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
    """Return method, path and body of each request for a conversation, and of those that start one."""
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
