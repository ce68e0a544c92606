"""A long thread: only a part of it is in the document, and little of that is rendered again."""

import asyncio
from typing import Any

from playwright.async_api import CDPSession, expect

from browser.long_groups import moves_to, open_read_group, write
from browser.windows import OpenWindow
from clients.chat import ChatUsers

MANY = 1_000
LARGEST_PART = 200  # messages in the document
COUNT_CHANGES = """
box => {
  window.changed = 0;
  new MutationObserver((records) => {
    for (const { target, type } of records) {
      const row = type === "childList" && target.classList?.contains("rows") ? null : target.parentElement;
      if (row?.closest("article")) window.changed += 1;
    }
  }).observe(box, { subtree: true, childList: true, characterData: true, attributes: true });
}
"""
COUNT_AT_NEXT_FRAME = """
document.querySelector(".composer textarea").addEventListener("keydown", ({ key }) => {
  const count = () => (window.atNextFrame = document.querySelectorAll(".messages article").length);
  if (key === "Enter") requestAnimationFrame(count);
}, true);
"""


async def test_a_part_of_a_long_thread_is_in_the_document(users: ChatUsers, window: OpenWindow) -> None:
    alice, socket, group = await open_read_group(users, window, MANY)
    articles = alice.thread.get_by_role("article")
    await moves_to(alice, 1, 0)
    assert await articles.count() <= LARGEST_PART + 1
    await expect(alice.message("message 1").first).to_be_visible()
    # All messages of the part are in order, without a gap.
    shown = [int(it) for it in await articles.evaluate_all("all => all.map((it) => it.dataset.seq)")]
    assert shown == list(range(1, len(shown) + 1))

    await alice.to_end.click()
    await expect(alice.message(f"message {MANY}")).to_be_in_viewport()
    await write(socket, group, MANY + 1, MANY + 3)
    await expect(alice.message(f"message {MANY + 3}")).to_be_in_viewport()
    await moves_to(alice, 1, 0)
    await alice.send("my own")
    await expect(alice.message("my own")).to_be_in_viewport()
    assert await articles.count() <= LARGEST_PART + 1


async def test_a_message_that_arrives_renders_no_other_one_again(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, socket, group = await open_read_group(users, window, 60)
    await alice.thread.evaluate(COUNT_CHANGES)
    await write(socket, group, 61, 61)
    await expect(alice.message("message 61")).to_be_in_viewport()
    await alice.entry("A group").get_by_text("unread").wait_for(state="detached")
    assert await alice.page.evaluate("changed") == 0


async def test_ones_own_send_is_in_the_next_frame_and_removes_no_message(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, socket, group = await open_read_group(users, window, 60)
    await write(socket, group, 61, 70)
    await expect(alice.message("message 70")).to_be_in_viewport()
    await alice.page.evaluate(COUNT_AT_NEXT_FRAME)
    articles = alice.thread.get_by_role("article")
    before = await articles.count()
    await alice.send("my own")
    await expect(alice.message("my own")).to_be_in_viewport()
    # The frame after the key already has the message, and nothing was removed for it.
    assert await alice.page.evaluate("atNextFrame") == before + 1


async def test_an_incoming_message_costs_little_of_the_main_thread(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, socket, group = await open_read_group(users, window, MANY)
    await moves_to(alice, 1, 0)
    await alice.to_end.click()
    await expect(alice.message(f"message {MANY}")).to_be_in_viewport()
    session = await alice.page.context.new_cdp_session(alice.page)
    await session.send("Performance.enable")
    before = await scripting(session)
    for number in range(10):
        await write(socket, group, MANY + 1 + number, MANY + 1 + number)
        await expect(alice.message(f"message {MANY + 1 + number}")).to_be_visible()
    await asyncio.sleep(0)
    # The bound is far above what a part of the thread costs, and far below what all of it would.
    assert (await scripting(session) - before) / 10 < 20


async def scripting(session: CDPSession) -> float:
    """Return the main thread's time in scripts and layout, in ms."""
    metrics: list[dict[str, Any]] = (await session.send("Performance.getMetrics"))["metrics"]
    counted = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    return sum(m["value"] for m in metrics if m["name"] in counted) * 1_000
