"""Groups of many messages, for the windows of their members."""

import time

from playwright.async_api import expect

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers, Socket

AT_ONCE = 50


async def group_of(users: ChatUsers, count: int, *names: str) -> tuple[Socket, str]:
    """Let ben start a group with ann and others, and write some messages."""
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann", *names)
    await write(socket, group, 1, count)
    return socket, group


async def write(socket: Socket, group: str, first: int, last: int) -> None:
    for number in range(first, last):
        message = {"conversationId": group, "content": f"message {number}"}
        if number % AT_ONCE:
            await socket.emit("sendMessage", message)
        else:
            # Of thousands in one read a busy gateway refuses some.
            await socket.call_ok("sendMessage", message)
    tag = f"{first} to {last}"
    await socket.send(group, f"message {last}", tempId=tag)
    await socket.wait_for("messageSent", tempId=tag)


async def open_read_group(users: ChatUsers, window: OpenWindow, count: int) -> tuple[Window, Socket, str]:
    """Open a group whose messages ann has read; return her window, ben's socket and the group."""
    ann = users.user("ann")
    socket, group = await group_of(users, count)
    await ann.rest("POST", f"/chats/conversations/{group}/read", {})
    alice = await window(ann)
    await alice.open("A group")
    await expect(alice.message(f"message {count}")).to_be_in_viewport()
    return alice, socket, group


async def moves_to(window: Window, goal: int, edge: int | str) -> None:
    """Scroll to an edge of the document, again and again, until a message is there."""
    deadline = time.monotonic() + 20
    article = window.thread.get_by_role("article")
    while (last := await edge_seq(window, edge)) != goal:
        assert time.monotonic() < deadline, last
        await window.scroll(edge)
        outermost = article.first if edge == 0 else article.last
        await expect(outermost).not_to_have_attribute("data-seq", str(last))
        await expect(window.thread.locator(f'article[data-seq="{last}"]')).to_be_in_viewport()


async def edge_seq(window: Window, edge: int | str) -> int:
    article = window.thread.get_by_role("article")
    seq = await (article.first if edge == 0 else article.last).get_attribute("data-seq")
    return int(seq or 0)
