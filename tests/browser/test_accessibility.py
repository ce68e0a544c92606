"""The chat page by keyboard and with a screen reader; axe checks each state."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Route, expect

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}
FOCUSED = "document.activeElement"


async def has_outline(window: Window, state: str) -> None:
    """Check that a state has one `main` and one heading of level 1, and what axe finds."""
    await expect(window.page.get_by_role("main")).to_have_count(1)
    await expect(window.page.get_by_role("heading", level=1)).to_have_count(1)
    await window.is_accessible(state)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param(DARK, marks=pytest.mark.slow),
        pytest.param(PHONE, marks=pytest.mark.slow),
        {**PHONE, **DARK},
    ],
    ids=str,
)
async def test_axe_finds_nothing_in_any_state(
    users: ChatUsers, window: OpenWindow, options: dict[str, Any]
) -> None:
    ben = users.user("ben")
    alice, bob = await window(None, **options), await window(ben)
    await alice.page.goto(users.url)
    await has_outline(alice, "signed out")
    await alice.sign_in_by_address(users.user("ann").token)
    await has_outline(alice, "no conversations")
    await alice.page.get_by_role("button", name="New conversation").click()
    await alice.page.get_by_label("People", exact=True).fill("nobody")
    await alice.is_accessible("a new conversation")
    await alice.page.keyboard.press("Escape")

    await alice.start([ben], "Plans")
    await has_outline(alice, "an empty conversation")
    await bob.open("Plans")
    await alice.field.fill("Hello")
    await alice.page.get_by_role("button", name="Send").click()
    await alice.has_status("Hello", "read")
    await bob.send("Hello yourself")
    await expect(alice.message("Hello yourself")).to_be_visible()
    await has_outline(alice, "a conversation")
    await alice.message("Hello").first.focus()
    await alice.message("Hello").first.get_by_role("button", name="Edit").click()
    await alice.is_accessible("an edit")
    await alice.page.get_by_role("button", name="Stop editing").click()
    await alice.message("Hello").first.focus()
    await alice.message("Hello").first.get_by_role("button", name="Delete").click()
    await alice.is_accessible("a question")
    await alice.page.get_by_role("button", name="Cancel").click()
    await alice.page.get_by_role("button", name="People", exact=True).click()
    await alice.is_accessible("people")
    await alice.page.keyboard.press("Escape")

    await alice.page.context.set_offline(True)
    await alice.page.evaluate("dispatchEvent(new Event('offline'))")
    await alice.field.fill("later")
    await alice.page.get_by_role("button", name="Send").click()
    await alice.is_accessible("a message on its way")
    await alice.page.context.set_offline(False)
    await alice.page.evaluate("location.hash = ''")
    await expect(alice.field).to_have_count(0)
    await has_outline(alice, "the list")
    await alice.page.evaluate("location.hash = '#/unknown'")
    await expect(alice.page.get_by_role("main")).to_contain_text("does not exist")
    await has_outline(alice, "an unknown conversation")


async def test_deleting_asks_and_keeps_the_focus(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    for content in ("one", "two"):
        await alice.send(content)
        await alice.has_status(content, "sent")
    await alice.field.press("Shift+Tab")
    await alice.page.keyboard.press("ArrowUp")
    await expect(alice.message("one")).to_be_focused()
    await alice.page.keyboard.press("ArrowRight")
    await alice.page.keyboard.press("ArrowRight")
    await expect(alice.message("one").get_by_role("button", name="Delete")).to_be_focused()
    await alice.page.keyboard.press("Enter")
    question = alice.page.get_by_role("alertdialog", name="Delete this message?")
    await expect(question).to_contain_text("one")
    await expect(question).to_have_accessible_description("It is deleted for everyone in this conversation.")

    await alice.page.keyboard.press("Escape")
    await expect(question).to_have_count(0)
    await expect(alice.message("one")).to_be_focused()
    await alice.page.keyboard.press("ArrowRight")
    await alice.page.keyboard.press("ArrowRight")
    await alice.page.keyboard.press("Enter")
    await expect(question.get_by_role("button", name="Cancel")).to_be_focused()
    await alice.page.keyboard.press("Tab")
    await alice.page.keyboard.press("Enter")
    await alice.shows("Message deleted", "two")
    await expect(alice.message("Message deleted")).to_be_focused()
    await expect(alice.page.get_by_role("status").filter(has_text="Message deleted")).to_have_count(1)


async def test_the_thread_is_one_tab_stop_with_arrow_keys(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    for content in ("one", "two", "three"):
        await alice.send(content)
        await alice.has_status(content, "sent")
    await alice.page.get_by_role("button", name="People", exact=True).focus()
    await alice.page.keyboard.press("Tab")
    await expect(alice.message("three")).to_be_focused()
    await alice.page.keyboard.press("Tab")
    await expect(alice.field).to_be_focused()
    await alice.page.keyboard.press("Shift+Tab")
    for key, content in (("ArrowUp", "two"), ("Home", "one"), ("ArrowDown", "two"), ("End", "three")):
        await alice.page.keyboard.press(key)
        await expect(alice.message(content)).to_be_focused()
    await alice.page.keyboard.press("Home")
    await alice.page.keyboard.press("Tab")
    await alice.page.keyboard.press("Shift+Tab")
    await expect(alice.message("one")).to_be_focused()
    await alice.page.keyboard.press("Escape")
    await expect(alice.field).to_be_focused()


async def test_the_arrow_keys_reach_messages_that_are_not_loaded(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    for number in range(1, 80):
        await socket.emit("sendMessage", {"conversationId": group, "content": f"message {number}"})
    await socket.send(group, "message 80", tempId="last")
    await socket.wait_for("messageSent", tempId="last")
    await ann.rest("POST", f"/chats/conversations/{group}/read", {})
    alice = await window(ann)
    await alice.open("A group")
    await expect(alice.message("message 80")).to_be_in_viewport()
    announced = alice.page.get_by_role("status").filter(has_text="message")
    await alice.field.press("Shift+Tab")
    for number in range(79, 0, -1):
        await alice.page.keyboard.press("ArrowUp")
        await expect(alice.thread.locator(f'article[data-seq="{number}"]')).to_be_focused()
    # Loading older messages is not announced, a new one is.
    await expect(alice.thread).to_have_attribute("aria-live", "off")
    await expect(announced).to_have_count(0)
    await socket.send(group, "a new one")
    await expect(alice.page.get_by_role("status").filter(has_text="a new one")).to_have_count(1)
    await expect(alice.thread.locator('article[data-seq="1"]')).to_be_focused()


async def test_screen_readers_of_phones_reach_edit_and_delete(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"), **PHONE)
    await alice.start([users.user("ben")], "Plans")
    await alice.field.fill("Hello")
    await alice.page.get_by_role("button", name="Send").tap()
    await alice.has_status("Hello", "sent")
    for name in ("Edit", "Delete"):
        await expect(alice.message("Hello").get_by_role("button", name=name)).to_have_count(1)
    await alice.message("Hello").get_by_role("button", name="Edit").focus()
    await expect(alice.message("Hello").get_by_role("button", name="Edit")).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize("composition", ["isComposing: true", "keyCode: 229"])
async def test_enter_of_an_input_method_does_not_send(
    users: ChatUsers, window: OpenWindow, composition: str
) -> None:
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    await alice.field.fill("にほん")
    enter = f"new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true, {composition} }})"
    await alice.field.evaluate(f"it => it.dispatchEvent({enter})")
    await expect(alice.field).to_have_value("にほん")
    await alice.field.press("Enter")
    await alice.shows("にほん")


async def test_messages_that_load_late_keep_the_focus_in_the_composer(
    users: ChatUsers, window: OpenWindow
) -> None:
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    await socket.send(group, "Hello")
    alice = await window(users.user("ann"))
    asked, allowed = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        asked.set()
        await allowed.wait()
        await route.fallback()

    await alice.page.route("**/messages?*", late)
    await alice.open("A group")
    await asyncio.wait_for(asked.wait(), 10)
    await alice.field.press_sequentially("Hi")
    allowed.set()
    await alice.shows("Hello")
    await expect(alice.field).to_be_focused()
