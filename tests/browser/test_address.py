"""The chat page's URL and the browser's history."""

from playwright.async_api import expect

from browser.windows import OpenWindow
from clients.chat import ChatUsers

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def test_the_url_names_no_conversation_after_leaving_it_or_signing_out(
    users: ChatUsers, window: OpenWindow
) -> None:
    ben = users.user("ben")
    alice = await window(users.user("ann"))
    await alice.start([ben], "Plans")
    assert "#/" in alice.page.url
    await alice.page.get_by_role("button", name="People", exact=True).click()
    await alice.page.get_by_role("button", name="Leave the group").click()
    await alice.page.get_by_role("button", name="Yes, leave this group").click()
    await expect(alice.entry("Plans")).to_have_count(0)
    assert "#" not in alice.page.url
    await expect(alice.page.get_by_text("You were removed")).to_have_count(0)

    await alice.start([ben], "Other plans")
    await alice.page.get_by_role("button", name="Sign out").click()
    await expect(alice.page.get_by_label("Your token")).to_be_visible()
    assert "#" not in alice.page.url


async def test_a_url_that_cannot_be_decoded_signs_nobody_out(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(users.user("ann"))
    await alice.page.evaluate("location.hash = '#/%E0%A4%A'")
    await expect(alice.page.get_by_text("Choose a conversation")).to_be_visible()
    await alice.page.reload()
    await alice.is_connected()


async def test_the_back_arrow_of_a_phone_goes_back_in_the_history(
    users: ChatUsers, window: OpenWindow
) -> None:
    ben = users.user("ben")
    alice = await window(users.user("ann"), **PHONE)
    await alice.start([ben], "Plans")
    length = await alice.page.evaluate("history.length")
    for _ in range(2):
        await alice.page.get_by_role("button", name="Back to the list").tap()
        await expect(alice.entry("Plans")).to_be_visible()
        assert "#" not in alice.page.url
        await alice.entry("Plans").tap()
        await expect(alice.field).to_be_visible()
    assert await alice.page.evaluate("history.length") == length
    await alice.page.go_back()
    await expect(alice.entry("Plans")).to_be_visible()

    # A conversation that was opened by its URL has no list before it.
    await alice.entry("Plans").tap()
    url = alice.page.url
    await alice.page.goto("about:blank")
    await alice.page.goto(url)
    await alice.page.get_by_role("button", name="Back to the list").tap()
    await expect(alice.entry("Plans")).to_be_visible()
    assert "#" not in alice.page.url


async def test_each_conversation_keeps_its_place(users: ChatUsers, window: OpenWindow) -> None:
    ann = users.user("ann")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    for number in range(1, 100):
        await socket.emit("sendMessage", {"conversationId": group, "content": f"message {number}"})
    await socket.send(group, "message 100", tempId="last")
    await socket.wait_for("messageSent", tempId="last")
    await ann.rest("POST", f"/chats/conversations/{group}/read", {})
    alice = await window(ann)
    await alice.start([users.user("ben")], "Other")
    await alice.open("A group")
    await expect(alice.message("message 100")).to_be_in_viewport()
    await alice.message("message 70").evaluate("it => it.scrollIntoView({ block: 'start' })")
    await expect(alice.to_end).to_be_visible()
    place = "box => box.querySelector('[data-seq=\"70\"]').offsetTop - box.scrollTop"
    before = await alice.thread.evaluate(place)

    await alice.open("Other")
    await alice.open("A group")
    await expect(alice.message("message 70")).to_be_in_viewport()
    assert abs(await alice.thread.evaluate(place) - before) < 3
