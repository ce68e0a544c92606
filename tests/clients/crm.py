"""Helpers for tests of the CRM protocol: chats, sockets, expected payloads."""

from typing import Any

from clients.chat import ChatUsers, User
from clients.javascript import JsSocket, Program
from clients.matching import A_TIME, A_UUID
from parley.gateway.protocols.crm import CRM

STAFF = {"role": "manager", "type": "admin", "department": "Sales"}


def manager(users: ChatUsers) -> User:
    """Return ann, with a token of all claims that the CRM guide knows."""
    return users.user("ann", permissions=["chats.read", "chats.write"], **STAFF)


async def chat_of(owner: User, *others: User) -> str:
    """Create a group by REST, as the CRM protocol has no event for it; return its id."""
    body = {"type": "group", "name": "A deal", "participants": [other.id for other in others]}
    status, conversation = await owner.rest("POST", "/chats/conversations", body)
    assert status == 201, conversation
    chat_id: str = conversation["_id"]
    return chat_id


async def speaker(program: Program, user: User, users: ChatUsers, other: JsSocket | None = None) -> JsSocket:
    """Return a socket that has sent the CRM protocol's first event, on another gateway than `other`."""
    if other is None:
        socket = await program.connect(user, users.url, CRM)
    else:
        socket = await program.connect_elsewhere(user, users.url, CRM, other)
    await socket.call_ok("authenticate")
    socket.mark_protocol_resolved()
    return socket


async def in_room(program: Program, users: ChatUsers, chat: str, *members: User) -> list[JsSocket]:
    """Return a socket of each user in the chat's room, the first alone on its gateway."""
    sockets: list[JsSocket] = []
    for user in members:
        socket = await speaker(program, user, users, sockets[0] if sockets else None)
        await socket.call_ok("joinChat", {"chatId": chat})
        sockets.append(socket)
    return sockets


def accepted(sender: User, chat: str, content: str, **more: Any) -> dict[str, Any]:
    """Return the expected payload of an accepted message; `more` are claims of its sender's token."""
    return {
        "id": A_UUID,
        "chatId": chat,
        "senderId": sender.id,
        "sender": {"id": sender.id, "name": sender.id.title(), "username": sender.id, **more},
        "message": content,
        "createdAt": A_TIME,
        "updatedAt": A_TIME,
        "isRead": False,
    }


def stored(message: dict[str, Any], seq: int, rev: int | None = None) -> dict[str, Any]:
    """Return the payload of the message once it is stored."""
    return {**message, "seq": seq, "rev": rev or seq}


def edited(message: dict[str, Any], content: str) -> dict[str, Any]:
    """Return the payload of an accepted edit of a stored message."""
    kept = {name: value for name, value in message.items() if name not in ("rev", "isRead")}
    return {**kept, "message": content, "updatedAt": A_TIME}


def refused(code: str, message: str, **more: Any) -> dict[str, Any]:
    """Return the expected payload of a refusal."""
    error = {"code": code, "message": message, "retryable": False, **more}
    return {"success": False, "message": message, "error": error}
