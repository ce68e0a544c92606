"""`python -m load.many_conversations`: measure what a user of thousands of conversations waits for."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from clients.chat import NAMESPACE, eventually, token
from clients.database import open_database
from clients.socketio_lean import LeanSocket
from load.arguments import Arguments
from load.figures import percentile
from parley.shared.documents import CONVERSATIONS, MEMBERSHIPS, to_document
from parley.shared.model import Conversation, Digest, Membership, new_id, now
from parley.stack import Stack

LAST_SEQ, UNREAD_OF = 7, 50
"""The messages of each conversation; one of so many conversations has an unread one."""
MESSAGES = 60
"""Messages of the conversation whose history is read."""
PAGES = 5
"""Pages of the list and of the history that each user reads."""
WARM_UP = 3
"""Users whose figures do not count: the first ones have modules imported and connections opened."""


class ManyConversations:
    """A user of many conversations who connects, then reads pages of the list and of a history."""

    def __init__(self, url: str, secret: str, http: aiohttp.ClientSession, conversations: int) -> None:
        self.id = new_id()
        self._url = url
        self._http = http
        self._token = token(secret, self.id)
        self._conversations = [self._conversation() for _ in range(conversations)]
        self._socket: LeanSocket | None = None

    async def store(self, database: Any) -> None:
        """Store the conversations, each with another member; most are read."""
        heads, members = [], []
        for n, conversation in enumerate(self._conversations):
            heads.append(to_document(conversation))
            of_user = self._membership(conversation, self.id, LAST_SEQ - (n % UNREAD_OF == 0))
            other = self._membership(conversation, new_id(), LAST_SEQ)
            members += [to_document(of_user), to_document(other)]
        await database[CONVERSATIONS].insert_many(heads, ordered=False)
        await database[MEMBERSHIPS].insert_many(members, ordered=False)

    async def connect(self) -> float:
        """Connect; return the seconds until the server has accepted."""
        began = time.perf_counter()
        auth = {"token": self._token}
        self._socket = await LeanSocket.connect(self._url, NAMESPACE, auth, lambda *_: None)
        return time.perf_counter() - began

    async def list_page(self) -> float:
        """Read the first page of the list; return the seconds that it took."""
        seconds, page = await self._get("/chats/conversations", 20)
        assert len(page["conversations"]) == min(20, len(self._conversations))
        return seconds

    async def history_page(self) -> float:
        """Read the newest page of a history; return the seconds that it took."""
        conversation_id = self._conversations[0].id
        seconds, page = await self._get(f"/chats/conversations/{conversation_id}/messages", 50)
        assert len(page["messages"]) == 50
        return seconds

    async def send(self) -> None:
        """Send the messages of the history, and wait until they are stored."""
        assert self._socket is not None
        conversation_id = self._conversations[0].id
        await self._socket.call("joinConversation", {"conversationId": conversation_id})
        for n in range(MESSAGES):
            message = {"conversationId": conversation_id, "content": f"message {n}", "type": "text"}
            await self._socket.call("sendMessage", message)
        await eventually(self._is_stored)

    async def _is_stored(self) -> bool:
        _, page = await self._get(f"/chats/conversations/{self._conversations[0].id}/messages", MESSAGES)
        return len(page["messages"]) == MESSAGES

    async def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            await self._socket.close()

    async def _get(self, path: str, limit: int) -> tuple[float, Any]:
        began = time.perf_counter()
        headers, params = {"Authorization": f"Bearer {self._token}"}, {"limit": limit}
        async with self._http.get(self._url + path, headers=headers, params=params) as response:
            page = await response.json()
        response.raise_for_status()
        return time.perf_counter() - began, page

    def _conversation(self) -> Conversation:
        last = Digest(
            id=new_id(),
            seq=LAST_SEQ,
            sender_id=self.id,
            content="See you tomorrow then, at the usual place.",
            type="text",
            created_at=now(),
        )
        return Conversation(
            id=new_id(),
            kind="group",
            title="A group",
            created_by=self.id,
            created_at=now() - timedelta(days=1),
            last_seq=LAST_SEQ,
            rev=LAST_SEQ,
            last_message=last,
        )

    def _membership(self, conversation: Conversation, user_id: str, read: int) -> Membership:
        at = conversation.created_at
        return Membership(conversation_id=conversation.id, user_id=user_id, joined_at=at, read_seq=read)


async def measure(stack: Stack, args: argparse.Namespace) -> None:
    """Have users connect and read one after the other, and print how long they waited."""
    url = stack.url if args.nginx else stack.gateway_urls[0]
    connects, pages, histories = list[float](), list[float](), list[float]()
    async with aiohttp.ClientSession() as http, open_database(stack.mongo_url) as database:
        count = WARM_UP + args.users
        users = [ManyConversations(url, stack.jwt_secret, http, args.conversations) for _ in range(count)]
        for user in users:
            await user.store(database)
        for user in users:
            # The first request of a user stores their profile.
            await user.list_page()
            connects.append(await user.connect())
            await user.send()
            pages += [await user.list_page() for _ in range(PAGES)]
            histories += [await user.history_page() for _ in range(PAGES)]
        await asyncio.gather(*(user.close() for user in users))
    way = "by nginx" if args.nginx else "without nginx"
    print(f"{args.users} users of {args.conversations:,} conversations, {way}")
    print(_shown("connect", connects[WARM_UP:]))
    print(_shown("a page of the list", pages[WARM_UP * PAGES :]))
    print(_shown("a page of a history", histories[WARM_UP * PAGES :]))


def _shown(title: str, seconds: Sequence[float]) -> str:
    least, median, most = (1e3 * percentile(seconds, share) for share in (0.0, 0.5, 0.95))
    return f"  {title}: p50 {median:.1f} ms, p95 {most:.1f}, at least {least:.1f}"


def main() -> None:
    """Read the arguments, and run on an own stack of one gateway, without rate limits."""
    parser = Arguments(prog="load.many_conversations", description=__doc__)
    parser.add_argument("--conversations", type=int, default=2_000)
    parser.add_argument("--users", type=int, default=12)
    parser.add_argument("--nginx", action="store_true", help="ask by nginx instead of the gateway")
    args = parser.parse_args()
    if args.conversations < 1 or args.users < 1:
        parser.error("both must be above zero")
    with (
        tempfile.TemporaryDirectory(prefix="parley-many-") as directory,
        Stack(Path(directory), gateways=1, workers=1, settings={"RATE_LIMITS": "off"}) as stack,
    ):
        uvloop.run(measure(stack, args))


if __name__ == "__main__":
    main()
