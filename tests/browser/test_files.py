"""Files in the chat page: chosen, pasted or dropped, sent with a text, and saved by their receivers."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Locator, expect

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers, User
from clients.uploads import attached

NOTES = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"what we spoke of")
TO_FIELD, TO_THREAD = ".composer textarea", ".messages"


async def alone(users: ChatUsers, window: OpenWindow) -> tuple[Window, User]:
    """Open a window of ann with a conversation."""
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    return alice, users.user("ann")


def waiting(alice: Window) -> Locator:
    return alice.page.get_by_role("list", name="Files to send").get_by_role("listitem")


async def choose(alice: Window, *files: FilePayload) -> None:
    async with alice.page.expect_file_chooser() as chooser:
        await alice.page.get_by_role("button", name="Attach files").click()
    await (await chooser.value).set_files(files)


async def give(alice: Window, event: str, target: str, name: str, **texts: str) -> bool:
    """Paste or drop a file; return whether the page has left it to the browser."""
    script = """([event, target, name, texts]) => {
        const data = new DataTransfer();
        data.items.add(new File(["what we spoke of"], name, { type: "text/plain" }));
        for (const [type, text] of Object.entries(texts)) data.setData(type, text);
        const options = { bubbles: true, cancelable: true };
        const made = event === "paste"
            ? new ClipboardEvent(event, { ...options, clipboardData: data })
            : new DragEvent(event, { ...options, dataTransfer: data });
        return document.querySelector(target).dispatchEvent(made);
    }"""
    types = {type_.replace("_", "/"): text for type_, text in texts.items()}
    return bool(await alice.page.evaluate(script, [event, target, name, types]))


def content_of(path: Path) -> bytes:
    return path.read_bytes()


async def stored(user: User, alice: Window) -> list[dict[str, Any]]:
    return await user.history(alice.page.url.partition("#/")[2])


async def test_a_chosen_file_is_sent_with_the_text_and_saved_by_its_receiver(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, ann = await alone(users, window)
    bob = await window(users.user("ben"))
    await choose(alice, NOTES)
    await expect(waiting(alice)).to_contain_text("notes.txt")
    await alice.is_accessible("a file to send")
    await alice.send("As promised")

    await bob.open("Plans")
    for each in (alice, bob):
        await expect(each.message("As promised")).to_contain_text("notes.txt")
    await expect(waiting(alice)).to_have_count(0)
    await alice.has_status("As promised", "read")
    (message,) = await stored(ann, alice)
    assert (message["type"], [f["name"] for f in message["attachments"]]) == ("file", ["notes.txt"])
    await bob.is_accessible("a file")
    async with bob.page.expect_download() as download:
        await bob.message("As promised").get_by_role("button", name=re.compile("notes.txt")).click()
    saved = await download.value
    assert saved.suggested_filename == "notes.txt"
    assert content_of(await saved.path()) == b"what we spoke of"


@pytest.mark.parametrize(("event", "target"), [("paste", TO_FIELD), ("drop", TO_FIELD), ("drop", TO_THREAD)])
async def test_a_file_that_is_pasted_or_dropped_waits_to_be_sent(
    event: str, target: str, users: ChatUsers, window: OpenWindow
) -> None:
    alice, ann = await alone(users, window)
    if event == "drop":
        assert not await give(alice, "dragover", target, "plan.txt")
    assert not await give(alice, event, target, "plan.txt")
    await expect(waiting(alice)).to_have_text(re.compile("plan.txt"))
    await expect(alice.page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    await alice.field.press("Enter")

    await expect(alice.thread.get_by_role("article")).to_contain_text("plan.txt")
    await expect(alice.entry("Plans")).to_contain_text("A file")
    await expect(alice.thread.locator(".status")).to_have_text("sent")
    assert [m["content"] for m in await stored(ann, alice)] == [""]


async def test_a_text_that_a_program_also_copies_as_a_picture_is_pasted_as_text(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, _ = await alone(users, window)
    assert await give(alice, "paste", TO_FIELD, "table.png", text_plain="1\t2", text_html="<table></table>")
    await expect(waiting(alice)).to_have_count(0)


async def test_a_file_can_be_taken_out_again_and_waits_while_another_conversation_is_open(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, ann = await alone(users, window)
    await choose(alice, NOTES, {**NOTES, "name": "plan.txt"})
    await expect(waiting(alice)).to_have_count(2)
    await alice.page.get_by_role("button", name="Do not send notes.txt").click()
    await expect(waiting(alice)).to_have_text(re.compile("plan.txt"))
    await expect(alice.field).to_be_focused()

    await alice.start([users.user("cid")], "Other")
    await expect(waiting(alice)).to_have_count(0)
    await alice.open("Plans")
    await expect(waiting(alice)).to_have_text(re.compile("plan.txt"))
    await alice.send("Here")
    await alice.has_status("Here", "sent")
    assert [[f["name"] for f in m["attachments"]] for m in await stored(ann, alice)] == [["plan.txt"]]


async def test_a_file_that_the_server_refuses_is_named_with_the_reason(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice, _ = await alone(users, window)
    await choose(alice, FilePayload(name="tool.exe", mimeType="", buffer=b"MZ\x90\x00" + bytes(60)))
    await expect(alice.page.get_by_role("alert").filter(has_text="tool.exe")).to_have_text(
        "tool.exe: This file type is not accepted."
    )
    await expect(waiting(alice)).to_have_count(0)
    await choose(alice, *[{**NOTES, "name": f"{number}.txt"} for number in range(11)])
    await expect(alice.page.get_by_role("alert").filter(has_text="10 files")).to_be_visible()
    await expect(waiting(alice)).to_have_count(10)


async def test_a_file_that_cannot_be_loaded_is_reported(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    file = await attached(users.url, ben, b"what we spoke of", "notes.txt")
    await socket.send(group, "Look", type="file", attachments=[file["id"]])
    alice = await window(users.user("ann"))
    await alice.open("A group")
    await alice.page.route("**/attachments/*", lambda route: route.abort())
    await alice.message("Look").get_by_role("button", name=re.compile("notes.txt")).click()
    await expect(alice.page.get_by_role("alert").filter(has_text="did not answer")).to_be_visible()
