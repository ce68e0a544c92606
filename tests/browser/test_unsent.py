"""Unsent texts of the chat page stay in view: too long, queued, half edited, or only typed."""

import time

from playwright.async_api import expect

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers, token

REFUSE_SENDS = """
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  if (!(window.holdsSends && String(data).includes('"sendMessage"'))) send.call(this, data);
};
"""


async def holding(window: OpenWindow, users: ChatUsers, name: str, bearer: str = "") -> Window:
    """Open a window whose sends can be held back by `holdsSends`."""
    opened = await window(None)
    await opened.page.add_init_script(REFUSE_SENDS)
    await opened.sign_in_by_address(bearer or users.user(name).token)
    return opened


async def queue(window: Window, content: str) -> None:
    await window.page.evaluate("window.holdsSends = true")
    await window.send(content)
    await window.has_status(content, "sending")


async def test_a_text_that_is_too_long_is_kept_and_not_sent(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    await alice.field.fill("x" * 8_007)
    await expect(alice.page.get_by_role("alert").filter(has_text="A message may have 8,000")).to_contain_text(
        "Shorten it by 7 characters to send it."
    )
    await expect(alice.page.get_by_role("button", name="Send")).to_be_disabled()
    await alice.field.press("Enter")
    await expect(alice.field).to_have_value("x" * 8_007)
    await expect(alice.thread.get_by_role("article")).to_have_count(0)
    await alice.is_accessible("a text that is too long")

    # The server counts characters, not UTF-16 units.
    await alice.field.fill("😀" * 8_000)
    await alice.field.press("Enter")
    await alice.has_status("😀", "sent")


async def test_a_removed_user_reads_why_and_keeps_unsent_messages(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    alice = await holding(window, users, "ann")
    await alice.open("A group")
    await queue(alice, "never sent")
    await alice.field.fill("half written")
    assert (await ben.rest("DELETE", f"/chats/conversations/{group}/participants/{ann.id}"))[0] == 200

    main = alice.page.get_by_role("main")
    await expect(main.get_by_role("heading")).to_have_text("You were removed from “A group”")
    unsent = main.get_by_role("list", name="Not sent")
    await expect(unsent.get_by_role("listitem")).to_have_count(2)
    await expect(unsent).to_contain_text("never sent")
    await expect(unsent).to_contain_text("half written")
    assert "#" not in alice.page.url
    await alice.is_accessible("removed")

    await alice.page.reload()
    await alice.is_connected()
    await alice.page.get_by_role("button", name="1 message not sent").click()
    dialog = alice.page.get_by_role("dialog", name="Not sent")
    await expect(dialog).to_contain_text("never sent")
    await dialog.get_by_role("button", name="Discard").click()
    await expect(alice.page.get_by_role("button", name="1 message not sent")).to_have_count(0)


async def test_waiting_messages_survive_a_reload_and_another_user(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice = await holding(window, users, "ann")
    await alice.start([ben], "Plans")
    await queue(alice, "for later")
    await alice.page.get_by_role("button", name="Sign out").click()
    notice = f"1 message of {ann.id.title()} is not sent yet."
    await expect(alice.page.get_by_text(notice)).to_be_visible()
    await alice.is_accessible("signed out with a message that waits")
    await alice.page.evaluate("window.holdsSends = false")

    await alice.sign_in_by_address(users.user("cy").token)
    await alice.start([ben], "Other plans")
    await alice.send("by another")
    await alice.has_status("by another", "sent")
    await alice.page.get_by_role("button", name="Sign out").click()
    await expect(alice.page.get_by_text(notice)).to_be_visible()

    await alice.sign_in_by_address(ann.token)
    await alice.open("Plans")
    await alice.has_status("for later", "sent")


async def test_drafts_survive_reloads_and_the_end_of_the_token(users: ChatUsers, window: OpenWindow) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    (socket,) = await users.sockets("ben")
    await users.group(socket, "ann")
    alice = await holding(window, users, "ann", token(users.secret, ann.id, exp=int(time.time()) + 6))
    await alice.open("A group")
    await alice.field.fill("half written")
    await alice.page.reload()
    await alice.is_connected()
    await expect(alice.field).to_have_value("half written")
    await expect(alice.page.get_by_role("alert")).to_have_text("The token has expired.", timeout=15_000)
    await alice.sign_in_by_address(ann.token)
    await alice.open("A group")
    await expect(alice.field).to_have_value("half written")
    assert ben.id


async def test_a_half_done_edit_survives_another_conversation_and_a_reload(
    users: ChatUsers, window: OpenWindow
) -> None:
    ben = users.user("ben")
    alice = await window(users.user("ann"))
    await alice.start([ben], "Other")
    await alice.start([ben], "Plans")
    await alice.send("colour")
    await alice.has_status("colour", "sent")
    await alice.field.press("ArrowUp")
    edited = alice.page.get_by_role("textbox", name="Edited message")
    await edited.fill("color, half")
    await alice.entry("Other").click()
    await expect(alice.field).to_be_visible()
    await alice.entry("Plans").click()
    await expect(edited).to_have_value("color, half")
    await alice.page.reload()
    await alice.is_connected()
    await expect(edited).to_have_value("color, half")
    await edited.fill("color")
    await edited.press("Enter")
    await alice.shows("color")
    await expect(alice.field).to_have_value("")
