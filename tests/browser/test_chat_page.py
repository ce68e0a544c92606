"""The chat page in a real browser, used by one or two people."""

import asyncio
import signal
import time

from playwright.async_api import Route, expect

from browser.windows import OpenWindow
from clients.chat import ChatUsers, eventually, token
from clients.uploads import attached
from parley.stack import Stack


async def test_each_message_of_two_people_is_shown_once(users: ChatUsers, window: OpenWindow) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice, bob = await window(ann), await window(ben)
    await alice.start([ben], "Plans")
    await alice.send("Hello Ben")
    await expect(bob.entry("Plans")).to_contain_text("1 unread")
    await expect(bob.page).to_have_title("(1) Parley")
    await alice.has_status("Hello Ben", "delivered")

    await bob.open("Plans")
    await expect(bob.page.get_by_text("New", exact=True)).to_be_in_viewport()
    await alice.has_status("Hello Ben", "read")
    await expect(bob.entry("Plans")).not_to_contain_text("unread")
    await bob.send("Hello Ann")
    await bob.send("How are you?")

    for each in (alice, bob):
        await each.shows("Hello Ben", "Hello Ann", "How are you?")
    await bob.has_status("How are you?", "read")
    _, _, conversation = alice.page.url.partition("#/")
    assert [m["content"] for m in await ann.history(conversation)] == [
        "Hello Ben",
        "Hello Ann",
        "How are you?",
    ]


async def test_a_pasted_token_signs_in_and_is_not_in_the_url(users: ChatUsers, window: OpenWindow) -> None:
    pasted = await window(None)
    await pasted.page.goto(users.url)
    await pasted.page.get_by_label("Your token").fill("nonsense")
    await pasted.page.get_by_role("button", name="Sign in").click()
    await expect(pasted.page.get_by_role("alert")).to_have_text(
        "This is not a token. A token has three parts, separated by dots."
    )
    await pasted.page.get_by_label("Your token").fill(users.user("ann").token)
    await pasted.page.keyboard.press("Enter")
    await pasted.is_connected()

    by_address = await window(users.user("ben"))
    for each in (pasted, by_address):
        assert "token" not in await each.page.evaluate("location.href")
    await by_address.page.reload()
    await by_address.is_connected()
    await by_address.page.get_by_role("button", name="Sign out").click()
    await expect(by_address.page.get_by_label("Your token")).to_be_visible()
    await by_address.page.reload()
    await expect(by_address.page.get_by_label("Your token")).to_be_visible()


async def test_markup_in_a_message_is_shown_as_text(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    alice, bob = await window(users.user("ann")), await window(ben)
    evil = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
    await alice.start([ben], evil)
    await alice.send(evil)
    await bob.open(evil)
    for each in (alice, bob):
        await each.shows(evil)
        assert "owned" not in (await each.page.title())
        assert await each.page.locator("main img, main script").count() == 0


async def test_messages_written_while_all_gateways_are_down_are_sent_afterwards(
    users: ChatUsers, window: OpenWindow, stack: Stack
) -> None:
    ben = users.user("ben")
    alice, bob = await window(users.user("ann")), await window(ben)
    await alice.start([ben], "Plans")
    await bob.open("Plans")
    await alice.send("before")
    await bob.shows("before")
    edited = alice.page.get_by_role("textbox", name="Edited message")

    for gateway in ("gateway-1", "gateway-2"):
        stack.signal(gateway, signal.SIGKILL)
    for each in (alice, bob):
        await expect(each.page.get_by_text("Reconnecting… Messages you write now")).to_be_visible()
    await alice.send("written while down")
    await alice.send("and one more")
    await alice.has_status("and one more", "sending")

    for each in (alice, bob):
        await each.is_connected()
        await each.shows("before", "written while down", "and one more")
    await alice.has_status("and one more", "read")
    await alice.message("before").hover()
    await alice.message("before").get_by_role("button", name="Edit").click()
    await edited.fill("long before")
    await edited.press("Enter")
    await bob.send("there you are")
    for each in (alice, bob):
        await each.shows("long before", "written while down", "and one more", "there you are")
    await eventually(lambda: all(part.ready for part in stack.status()), deadline=20)


async def test_the_page_shows_typing_and_presence(users: ChatUsers, window: OpenWindow) -> None:
    ann, ben = users.user("ann"), users.user("ben")
    alice, bob = await window(ann), await window(ben)
    await alice.start([ben])
    await bob.open(ann.id.title())
    head = alice.page.get_by_role("main").locator("header")
    await expect(head).to_contain_text("online")
    # Typing reaches only those who have joined the room.
    await alice.send("Hello")
    await alice.has_status("Hello", "read")

    await bob.field.press_sequentially("Hm")
    await expect(alice.page.get_by_text(f"{ben.id.title()} is typing…").first).to_be_visible()
    await bob.field.fill("")
    await expect(alice.page.get_by_text("is typing…")).to_have_count(0)

    await bob.page.close()
    await expect(head).to_contain_text("offline", timeout=15_000)


async def test_own_messages_can_be_edited_and_deleted(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    alice, bob = await window(users.user("ann")), await window(ben)
    await alice.start([ben], "Plans")
    await bob.open("Plans")
    for content in ("colour", "oops"):
        await alice.send(content)
    await alice.has_status("oops", "read")

    await alice.delete("oops")
    await bob.shows("colour", "Message deleted")
    await alice.field.press("ArrowUp")
    edited = alice.page.get_by_role("textbox", name="Edited message")
    await expect(edited).to_have_value("colour")
    await edited.fill("color")
    await edited.press("Enter")

    for each in (alice, bob):
        await each.shows("color", "Message deleted")
        await expect(each.message("color")).to_contain_text("edited")
    assert await bob.message("color").get_by_role("button").count() == 0


async def test_a_message_edited_during_its_page_load_is_shown_edited(
    users: ChatUsers, window: OpenWindow
) -> None:
    ann = users.user("ann")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    sent = await socket.send(group, "colour", tempId="sent")
    await socket.wait_for("messageSent", tempId="sent")
    alice = await window(ann)
    loaded, edited = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        page = await route.fetch()
        loaded.set()
        await edited.wait()
        await route.fulfill(response=page)

    await alice.page.route("**/messages?*", late)
    await alice.open("A group")
    await asyncio.wait_for(loaded.wait(), 10)
    await socket.call_ok(
        "editMessage", {"conversationId": group, "messageId": sent["_id"], "content": "color"}
    )
    await expect(alice.entry("A group")).to_contain_text("color", timeout=10_000)
    edited.set()
    await alice.shows("color")
    await expect(alice.entry("A group")).to_contain_text("color")


async def test_a_file_is_shown_with_its_name(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    file = await attached(users.url, ben, b"what we spoke of", "notes.txt")
    await socket.send(group, "", type="file", attachments=[file["id"]])
    alice = await window(users.user("ann"))
    await expect(alice.entry("A group")).to_contain_text("A file")
    await alice.open("A group")
    await expect(alice.thread.get_by_role("article")).to_contain_text("notes.txt")


async def test_a_group_member_can_add_people_and_leave(users: ChatUsers, window: OpenWindow) -> None:
    ann, ben, cy = (users.user(name) for name in ("ann", "ben", "cy"))
    alice, carol = await window(ann), await window(cy)
    await alice.start([ben], "Plans")
    await alice.page.get_by_role("button", name="People", exact=True).click()
    dialog = alice.page.get_by_role("dialog", name="People")
    await dialog.get_by_role("button", name="Add", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_have_text("Choose at least one person.")
    await alice.choose(cy)
    await dialog.get_by_role("button", name="Add", exact=True).click()
    participants = dialog.get_by_role("list", name="Participants")
    await expect(participants.get_by_role("listitem")).to_have_count(3)
    await alice.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)

    await carol.open("Plans")
    await alice.send("Welcome")
    await carol.shows("Welcome")
    await carol.page.get_by_role("button", name="People", exact=True).click()
    await carol.page.get_by_role("button", name="Leave the group").click()
    await carol.page.get_by_role("button", name="Yes, leave this group").click()
    await expect(carol.entry("Plans")).to_have_count(0)
    await expect(alice.page.get_by_role("main").locator("header")).to_contain_text("2 people")


async def test_an_expired_token_signs_the_user_out_with_a_notice(
    users: ChatUsers, window: OpenWindow
) -> None:
    short_lived = token(users.secret, users.user("ann").id, exp=int(time.time()) + 3)
    alice = await window(None)
    # A busy machine may need longer to connect than the token lasts.
    await alice.page.goto(f"{users.url}/#token={short_lived}")
    await expect(alice.page.get_by_role("alert")).to_have_text("The token has expired.", timeout=15_000)
    await expect(alice.page.get_by_label("Your token")).to_be_visible()

    forged = await window(None)
    await forged.page.goto(f"{users.url}/#token={token('another-secret' * 4, 'mallory')}")
    await expect(forged.page.get_by_role("alert")).to_have_text("The token is invalid.")


async def test_a_phone_shows_the_list_or_the_conversation(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    small = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    alice = await window(users.user("ann"), **small)
    await alice.start([ben], "Plans")
    await alice.field.fill("from my phone")
    await alice.page.get_by_role("button", name="Send").tap()
    await alice.has_status("from my phone", "sent")
    await expect(alice.entry("Plans")).not_to_be_visible()
    assert await alice.page.evaluate("document.documentElement.scrollWidth") == 390

    await alice.message("from my phone").locator(".bubble").tap()
    await expect(alice.message("from my phone").get_by_role("button", name="Delete")).to_be_in_viewport(
        ratio=1
    )
    await alice.page.go_back()
    await expect(alice.entry("Plans")).to_be_visible()
    await expect(alice.field).to_have_count(0)
