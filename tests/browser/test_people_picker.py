"""Choosing people on the chat page, and errors in plain words."""

import re

from playwright.async_api import expect

from browser.windows import OpenWindow
from clients.chat import ChatUsers


async def test_people_are_found_by_name_among_those_one_shares_conversations_with(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice, bob = await window(ann), await window(ben)
    await alice.start([ben], "Plans")
    await bob.open("Plans")

    await alice.page.get_by_role("button", name="New conversation").click()
    dialog = alice.page.get_by_role("dialog", name="New conversation")
    field = dialog.get_by_label("People", exact=True)
    await field.fill(ben.id[:5].upper())
    suggestions = dialog.get_by_role("list", name="People you know").get_by_role("button")
    await expect(suggestions).to_have_count(1)
    await expect(suggestions).to_contain_text(ben.id.title())
    await field.press("Enter")
    await expect(dialog.get_by_role("list", name="Chosen people")).to_contain_text(ben.id.title())
    await field.fill(ann.id)
    await expect(suggestions).to_have_count(0)
    await field.fill("")
    await dialog.get_by_role("button", name="Start the conversation").click()
    await expect(alice.page.get_by_role("heading", name=ben.id.title())).to_be_visible()


async def test_a_typing_slip_creates_nobody(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.page.get_by_role("button", name="New conversation").click()
    dialog = alice.page.get_by_role("dialog", name="New conversation")
    field = dialog.get_by_label("People", exact=True)
    slip = f"{users.user('ben').id}x"
    await field.fill(slip)
    await field.press("Enter")
    await dialog.get_by_role("button", name=re.compile("^Start the")).click()
    await expect(dialog.get_by_role("alert")).to_have_text(
        "Choose a person from the list, or confirm the user id."
    )
    await expect(dialog).to_contain_text(f"Nobody you share a conversation with is called “{slip}”.")
    status, page = await users.user("ann").rest("GET", "/chats/conversations")
    assert (status, page["conversations"]) == (200, [])

    await dialog.get_by_role("button", name="Use it as a user id").click()
    await expect(dialog.get_by_role("list", name="Chosen people")).to_contain_text(slip)
    await dialog.get_by_role("button", name="Start the conversation").click()
    await expect(alice.page.get_by_role("heading", name=slip)).to_be_visible()


async def test_errors_name_no_fields(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.page.get_by_role("button", name="New conversation").click()
    dialog = alice.page.get_by_role("dialog", name="New conversation")
    await alice.choose(users.user("ben"))
    await dialog.get_by_label("Name of the group").evaluate("it => it.removeAttribute('maxlength')")
    await dialog.get_by_label("Name of the group").fill("x" * 300)
    await dialog.get_by_role("button", name="Start the group").click()
    await expect(dialog.get_by_role("alert")).not_to_be_empty()
    text = await dialog.get_by_role("alert").inner_text()
    assert not re.search(r"\b(name|title|participants|payload|content)\b|:", text), text
