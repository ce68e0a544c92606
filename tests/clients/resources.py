"""What one user has, over REST: conversations, messages and files that generated requests may name."""

import itertools
import time
import uuid
from typing import Any

import requests

from clients.chat import token

Json = dict[str, Any]
WORDS = (("content", "message"), ("participants", "participantIds"))
"""Names for the same, of which a request has one."""
SAYING = (
    "/chat-messages",
    "/chat-messages/{messageId}",
    "/api/messages",
    "/api/messages/conversations/{conversationId}/messages",
)
"""Where a body without content is refused."""


class Resources:
    """What a user has; what requests use up is made anew for each of them."""

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
        self._done("PUT", f"/api/contracts/{self._contract}", json=parties)
        said = self._done("POST", "/api/messages", json={"contractId": self._contract, "content": "Hello"})
        self._in_contract: str = said["data"]["conversationId"]

    def group(self) -> str:
        """A new group of both."""
        body = {"type": "group", "name": "A group", "participants": [self.other]}
        conversation_id: str = self._done("POST", "/chats/conversations", json=body)["_id"]
        return conversation_id

    def message(self) -> str:
        """A new message in the group."""
        body = {"chatId": self._group, "content": f"Number {next(self._numbers)}"}
        message_id: str = self._done("POST", "/chat-messages", json=body)["data"]["id"]
        return message_id

    def member(self) -> str:
        """A new member of the group."""
        user_id = f"{self.other}-{next(self._numbers)}"
        path = f"/chats/conversations/{self._group}/participants"
        self._done("POST", path, json={"participants": [user_id]})
        return user_id

    def file(self) -> str:
        """A new upload."""
        part = {"file": ("notes.pdf", b"%PDF-1.7\n", "application/pdf")}
        attachment_id: str = self._done("POST", "/attachments", files=part)["attachment"]["id"]
        return attachment_id

    def give(self, method: str, path: str, where: Json, query: Json, body: Any) -> None:
        """Put what there is into a request, wherever it names something; in every other one, sense too."""
        parts = [where, query, *([body] if isinstance(body, dict) else [])]
        if isinstance(body, dict) and next(self._numbers) % 2:
            body |= {"content": "Hello"} if path in SAYING else {}
            body |= {"participants": [self.other]} if path == "/chats/conversations" else {}
        for part in parts:
            for name in part.keys() & self._names(path).keys():
                part[name] = self._one(method, path, name)
            for name, other in WORDS:
                if name in part and other in part:
                    del part[other]

    def _names(self, path: str) -> Json:
        conversation = self._in_contract if path.startswith("/api/") else self._group
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

    def _one(self, method: str, path: str, name: str) -> Any:
        if path.endswith("/leave"):
            return self.group()
        if (method, name) == ("DELETE", "messageId"):
            return self.message()
        return self.member() if name == "userId" else self._names(path)[name]

    def _done(self, method: str, path: str, **more: Any) -> Json:
        end = time.monotonic() + 15
        while (
            answer := self._session.request(method, self._url + path, headers=self.headers, **more)
        ).status_code == 503 and time.monotonic() < end:
            time.sleep(float(answer.headers["Retry-After"]))
        assert answer.ok, answer.text
        done: Json = answer.json()
        return done
