"""The chat page without a connection."""

from playwright.async_api import expect

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers

UNREACHABLE = """
const open = WebSocket;
window.WebSocket = function (...given) {
  const socket = new open(...given);
  (window.sockets ??= []).push(socket);
  if (window.isCut) socket.close();
  return socket;
};
"""


async def cut(window: Window) -> None:
    """Cut the page off: its socket is closed, and so are new ones."""
    await window.page.evaluate("window.isCut = true; window.sockets.forEach((it) => it.close())")
    await window.page.context.set_offline(True)
    await expect(window.page.get_by_text("Reconnecting… Messages you write now")).to_be_visible()


async def test_actions_that_need_a_connection_are_disabled_offline_with_the_reason(
    users: ChatUsers, window: OpenWindow
) -> None:
    ben = users.user("ben")
    alice, bob = await window(None), await window(ben)
    await alice.page.add_init_script(UNREACHABLE)
    await alice.sign_in_by_address(users.user("ann").token)
    await alice.start([ben], "Plans")
    await bob.open("Plans")
    await alice.send("Hello")
    await alice.has_status("Hello", "read")
    await alice.start([ben])
    head = alice.page.get_by_role("main").locator("header")
    await expect(head).to_contain_text("online")
    await expect(alice.page.locator(".dot.online")).not_to_have_count(0)
    await alice.open("Plans")

    await cut(alice)
    for button in (
        alice.page.get_by_role("button", name="New conversation"),
        alice.message("Hello").get_by_role("button", name="Edit"),
        alice.message("Hello").get_by_role("button", name="Delete"),
    ):
        await expect(button).to_be_disabled()
        await expect(button).to_have_accessible_description("Not possible while offline")
    await expect(alice.page.locator(".dot")).to_have_count(0)
    await expect(alice.page.get_by_text("online", exact=True)).to_have_count(0)
    await alice.page.get_by_role("button", name="People", exact=True).click()
    dialog = alice.page.get_by_role("dialog", name="People")
    await expect(dialog.get_by_role("button", name="Leave the group")).to_be_disabled()
    await expect(dialog.get_by_role("button", name="Add", exact=True)).to_be_disabled()
    await expect(dialog).to_contain_text("Not possible while offline")
    await alice.is_accessible("offline")
    await alice.page.keyboard.press("Escape")
    await alice.send("written offline")
    await alice.has_status("written offline", "sending")

    await alice.page.context.set_offline(False)
    await alice.page.evaluate("window.isCut = false")
    await alice.is_connected()
    await alice.has_status("written offline", "read")
    await expect(alice.page.get_by_role("button", name="New conversation")).to_be_enabled()
    await expect(alice.page.locator(".dot.online")).not_to_have_count(0)


async def test_an_edit_is_kept_while_offline_and_saved_afterwards(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice = await window(None)
    await alice.page.add_init_script(UNREACHABLE)
    await alice.sign_in_by_address(users.user("ann").token)
    await alice.start([users.user("ben")], "Plans")
    await alice.send("colour")
    await alice.has_status("colour", "sent")
    await alice.field.press("ArrowUp")
    edited = alice.page.get_by_role("textbox", name="Edited message")
    await edited.fill("color")
    await cut(alice)
    await expect(alice.page.get_by_role("button", name="Save")).to_be_disabled()
    await expect(alice.page.get_by_text("Editing a message: not possible while offline")).to_be_visible()
    await edited.press("Enter")
    await expect(edited).to_have_value("color")

    await alice.page.context.set_offline(False)
    await alice.page.evaluate("window.isCut = false")
    await alice.is_connected()
    await edited.press("Enter")
    await alice.shows("color")
