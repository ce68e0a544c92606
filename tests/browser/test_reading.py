"""Receipts of the chat page: messages in view are read, and a conversation opens at the first unread one."""

import asyncio

import pytest
from playwright.async_api import expect

from browser.long_groups import group_of, moves_to, open_read_group, write
from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers, User, eventually

MANY = 200
FREEZE = "() => { const end = performance.now() + 5000; while (performance.now() < end); }"
"""Occupies the page's main thread, as a sleeping machine would, for longer than a busy one takes to send."""


async def read_seq(user: User, group: str) -> int:
    status, conversation = await user.rest("GET", f"/chats/conversations/{group}")
    assert status == 200, conversation
    seq: int = conversation["readSeq"]
    return seq


async def last_in_view(window: Window) -> int:
    """Return the number of the last message that is in view as a whole."""
    seq: int = await window.thread.evaluate(
        """box => Math.max(...[...box.querySelectorAll("article")]
            .filter(it => it.getBoundingClientRect().bottom <= box.getBoundingClientRect().bottom + 2)
            .map(it => Number(it.dataset.seq)))"""
    )
    return seq


async def test_only_what_was_in_view_is_read(users: ChatUsers, window: OpenWindow) -> None:
    ann = users.user("ann")
    _, group = await group_of(users, MANY)
    alice = await window(ann)
    await alice.open("A group")
    await expect(alice.line).to_be_in_viewport()
    await expect(alice.message("message 1").first).to_be_in_viewport()
    seen = await last_in_view(alice)
    assert seen < MANY / 4
    await eventually(lambda: is_read(ann, group, seen))
    assert await ann.unread(group) == MANY - seen
    await expect(alice.to_end).to_have_accessible_name(
        f"Scroll to the newest message, {MANY - seen} new messages"
    )

    await alice.to_end.click()
    await expect(alice.message(f"message {MANY}")).to_be_in_viewport()
    await eventually(lambda: is_read(ann, group, MANY))
    await expect(alice.to_end).to_have_count(0)
    await expect(alice.line).to_have_count(0)


async def is_read(user: User, group: str, seq: int) -> bool:
    return await read_seq(user, group) == seq


async def test_a_reader_who_has_scrolled_up_has_not_read_what_arrives(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    alice, socket, group = await open_read_group(users, window, 60)
    await alice.scroll(0)
    await expect(alice.to_end).to_be_visible()
    await write(socket, group, 61, 63)
    await expect(alice.to_end).to_have_accessible_name("Scroll to the newest message, 3 new messages")
    await expect(alice.entry("A group")).to_contain_text("3 unread")
    assert await read_seq(ann, group) == 60

    await alice.scroll("end")
    await eventually(lambda: is_read(ann, group, 63))


async def test_opening_a_long_unread_conversation_goes_to_the_first_unread_message(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    socket, group = await group_of(users, 80)
    await ann.rest("POST", f"/chats/conversations/{group}/read", {})
    await write(socket, group, 81, 80 + MANY)
    alice = await window(ann)
    await alice.open("A group")
    await expect(alice.line).to_be_in_viewport()
    await expect(alice.message("message 81")).to_be_in_viewport()
    assert 80 < await last_in_view(alice) < 80 + MANY / 4
    assert await alice.line.evaluate("it => it.closest('.divider').nextElementSibling.dataset.seq") == "81"


async def test_the_line_goes_when_the_new_messages_have_been_read(
    users: ChatUsers, window: OpenWindow
) -> None:
    socket, group = await group_of(users, 3)
    alice = await window(users.user("ann"))
    await alice.open("A group")
    await expect(alice.line).to_be_visible()
    await expect(alice.line).to_have_count(0, timeout=15_000)
    await write(socket, group, 4, 4)
    await expect(alice.message("message 4")).to_be_in_viewport()
    # On a busy machine the message may arrive before the page knows that the end is in view.
    await expect(alice.line).to_have_count(0, timeout=15_000)


async def test_a_window_in_the_background_reads_nothing_and_gets_a_line(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    alice, socket, group = await open_read_group(users, window, 40)
    await alice.leave()
    await write(socket, group, 41, 80)
    await expect(alice.message("message 80")).to_be_attached()
    await expect(alice.line).to_be_in_viewport()
    assert await read_seq(ann, group) == 40

    await alice.come_back()
    seen = await last_in_view(alice)
    await eventually(lambda: is_read(ann, group, seen))
    assert 41 <= seen < 80
    await alice.scroll("end")
    await eventually(lambda: is_read(ann, group, 80))
    await expect(alice.line).to_have_count(0)


async def test_a_reader_at_the_end_stays_at_the_first_of_more_messages_than_fit(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    alice, socket, group = await open_read_group(users, window, 40)
    frozen = asyncio.create_task(alice.page.evaluate(FREEZE))
    await write(socket, group, 41, 90)
    await frozen
    await expect(alice.message("message 90")).to_be_attached()
    await expect(alice.message("message 41")).to_be_in_viewport()
    await expect(alice.line).to_be_in_viewport()
    seen = await last_in_view(alice)
    assert seen < 90
    await eventually(lambda: is_read(ann, group, seen))


async def test_the_button_to_the_end_lies_outside_of_the_bubbles(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    await group_of(users, 60)
    for size in ({"width": 1100, "height": 760}, {"width": 390, "height": 844}):
        alice = await window(ann, viewport=size)
        await alice.open("A group")
        await alice.scroll(0)
        button = await alice.to_end.bounding_box()
        thread = await alice.thread.bounding_box()
        assert button is not None
        assert thread is not None
        assert min(button["width"], button["height"]) >= 44
        assert button["y"] >= thread["y"] + thread["height"]


async def test_a_long_history_loads_upwards_without_jumping(users: ChatUsers, window: OpenWindow) -> None:
    alice, _, _ = await open_read_group(users, window, 121)
    await moves_to(alice, 1, 0)
    await alice.shows(*(f"message {number}" for number in range(1, 122)))
    await alice.to_end.click()
    await expect(alice.message("message 121")).to_be_in_viewport()


async def test_a_long_unread_history_loads_downwards_without_jumping(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    _, group = await group_of(users, 121)
    alice = await window(ann)
    await alice.open("A group")
    await expect(alice.message("message 1").first).to_be_in_viewport()
    await moves_to(alice, 121, "end")
    await alice.shows(*(f"message {number}" for number in range(1, 122)))
    await alice.scroll("end")
    await eventually(lambda: is_read(ann, group, 121))


async def test_delivered_and_read_differ_in_shape(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    alice, bob = await window(users.user("ann")), await window(ben)
    await alice.start([ben])
    await alice.send("Hello")
    await alice.has_status("Hello", "delivered")
    icon = alice.message("Hello").locator(".status svg")
    style = "it => [it.innerHTML, getComputedStyle(it).fill, getComputedStyle(it).color]"
    delivered = await icon.evaluate(style)
    await bob.open(users.user("ann").id.title())
    await alice.has_status("Hello", "read")
    read = await icon.evaluate(style)
    assert all(before != after for before, after in zip(delivered, read, strict=True))


@pytest.mark.parametrize("readers", [1, 2])
async def test_a_group_names_the_readers_of_a_message(
    users: ChatUsers, window: OpenWindow, readers: int
) -> None:
    names = ("ann", "cy")[:readers]
    socket, group = await group_of(users, 1, "cy")
    for name in names:
        await users.user(name).rest("POST", f"/chats/conversations/{group}/read", {})
    bob = await window(users.user("ben"))
    await bob.open("A group")
    await bob.message("message 1").get_by_role("button", name=f"Read by {readers}").click()
    dialog = bob.page.get_by_role("dialog", name="Read by")
    shown = dialog.get_by_role("list", name="Read by").get_by_role("listitem")
    await expect(shown).to_have_count(readers)
    for name in names:
        await expect(shown.filter(has_text=users.user(name).id.title())).to_have_count(1)
    assert socket.connected
