"""Resources of one user, created by REST, that generated requests may name."""

import itertools
import time
import uuid
from typing import Any

import requests

from clients.chat import token

Json = dict[str, Any]
ALTERNATIVES = (("content", "message"), ("participants", "participantIds"))
"""Alternative names of one field; a request has only one of them."""
CONTENT_PATHS = (
    "/chat-messages",
    "/chat-messages/{messageId}",
    "/api/messages",
    "/api/messages/conversations/{conversationId}/messages",
)
"""Paths that refuse a body without content."""


class Resources:
    """The resources of a user; a resource that a request uses up is created anew for each request."""

    def __init__(self, url: str, secret: str) -> None:
        suffix = uuid.uuid4().hex[:8]
        self.user, self.other = f"owner-{suffix}", f"other-{suffix}"
        self.headers = {"Authorization": f"Bearer {token(secret, self.user, role='admin')}"}
        self._url = url
        self._session = requests.Session()
        self._numbers = itertools.count()
        self._contract = f"contract-{suffix}"
        self._group = self.group()
        self._message = self.message()
        self._file = self.file()
        parties = {"clientId": self.user, "freelancerId": self.other}
        self._request("PUT", f"/api/contracts/{self._contract}", json=parties)
        sent = self._request("POST", "/api/messages", json={"contractId": self._contract, "content": "Hello"})
        self._contract_conversation: str = sent["data"]["conversationId"]

    def group(self) -> str:
        """Create a group of both users."""
        body = {"type": "group", "name": "A group", "participants": [self.other]}
        conversation_id: str = self._request("POST", "/chats/conversations", json=body)["_id"]
        return conversation_id

    def message(self) -> str:
        """Create a message in the group."""
        body = {"chatId": self._group, "content": f"Number {next(self._numbers)}"}
        message_id: str = self._request("POST", "/chat-messages", json=body)["data"]["id"]
        return message_id

    def member(self) -> str:
        """Add a member to the group."""
        user_id = f"{self.other}-{next(self._numbers)}"
        path = f"/chats/conversations/{self._group}/participants"
        self._request("POST", path, json={"participants": [user_id]})
        return user_id

    def file(self) -> str:
        """Upload a file."""
        part = {"file": ("notes.pdf", b"%PDF-1.7\n", "application/pdf")}
        attachment_id: str = self._request("POST", "/attachments", files=part)["attachment"]["id"]
        return attachment_id

    def fill_in(self, method: str, path: str, where: Json, query: Json, body: Any) -> None:
        """Put existing ids wherever a request names something, and valid values into every other request."""
        parts = [where, query, *([body] if isinstance(body, dict) else [])]
        if isinstance(body, dict) and next(self._numbers) % 2:
            body |= {"content": "Hello"} if path in CONTENT_PATHS else {}
            body |= {"participants": [self.other]} if path == "/chats/conversations" else {}
        for part in parts:
            for name in part.keys() & self._names(path).keys():
                part[name] = self._value(method, path, name)
            for name, other in ALTERNATIVES:
                if name in part and other in part:
                    del part[other]

    def _names(self, path: str) -> Json:
        conversation = self._contract_conversation if path.startswith("/api/") else self._group
        return {
            "conversationId": conversation,
            "chatId": conversation,
            "messageId": self._message,
            "userId": None,
            "attachmentId": self._file,
            "contractId": self._contract,
            "attachments": [],
            "milestoneId": None,
            "q": "number",
        }

    def _value(self, method: str, path: str, name: str) -> Any:
        if path.endswith("/leave"):
            return self.group()
        if (method, name) == ("DELETE", "messageId"):
            return self.message()
        return self.member() if name == "userId" else self._names(path)[name]

    def _request(self, method: str, path: str, **more: Any) -> Json:
        end = time.monotonic() + 15
        while (
            answer := self._session.request(method, self._url + path, headers=self.headers, **more)
        ).status_code == 503 and time.monotonic() < end:
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.ok, answer.text
        done: Json = answer.json()
        return done
