"""Attachments through nginx: sent and received with a message, read by members only."""

import asyncio
import io
import os
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from clients.chat import ChatUsers, eventually
from clients.uploads import attached, read, upload
from parley.shared.documents import ATTACHMENTS, FILE_CHUNKS
from parley.stack import Stack

pytestmark = pytest.mark.usefixtures("quiet")

MOST = 25 * 1024 * 1024
PDF = b"%PDF-1.7\n"


def shown(attachment: dict[str, Any]) -> dict[str, Any]:
    """Make an attachment's payload in a message."""
    return {name: attachment[name] for name in ("id", "name", "size", "type", "url")}


async def test_a_file_is_sent_and_received_with_its_message(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    file = await attached(users.url, users.user("alice"), PDF, "Contract.pdf")

    sent = await alice.send(group, "", type="file", attachments=[file["id"]])

    received = await bob.wait_for("newMessage", conversationId=group)
    assert sent["attachments"] == received["message"]["attachments"] == [shown(file)]
    assert (received["message"]["type"], received["message"]["content"]) == ("file", "")
    assert (file["name"], file["size"], file["type"]) == ("Contract.pdf", len(PDF), "application/pdf")
    (stored,) = await eventually(lambda: users.user("bob").history(group))
    assert stored["attachments"] == [shown(file)]


async def test_members_read_a_file_and_others_get_the_answer_for_a_missing_one(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    group = await users.group(alice, "bob")
    file = await attached(users.url, users.user("alice"), PDF)
    assert (await read(users.url, users.user("bob"), file["url"])).status == 404

    await alice.send(group, "see", type="file", attachments=[file["id"]])

    assert (await read(users.url, users.user("bob"), file["url"])).body == PDF
    hidden = await read(users.url, users.user("carol"), file["url"])
    absent = await read(users.url, users.user("carol"), f"/attachments/{group}")
    assert (hidden.status, hidden.body) == (absent.status, absent.body)
    assert hidden.status == 404
    assert b'"NOT_FOUND"' in hidden.body


async def test_a_former_member_reads_no_file_not_even_their_own(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    file = await attached(users.url, users.user("bob"), PDF)
    await bob.send(group, "see", type="file", attachments=[file["id"]])
    assert (await read(users.url, users.user("bob"), file["url"])).status == 200

    status, _ = await users.user("bob").rest("POST", f"/chats/conversations/{group}/leave")
    assert status == 200

    async def refused() -> bool:
        return (await read(users.url, users.user("bob"), file["url"])).status == 404

    await eventually(refused)
    assert (await read(users.url, users.user("alice"), file["url"])).body == PDF


async def test_a_file_is_deleted_with_its_last_message(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    await bob.call_ok("joinRoom", {"conversationId": group})
    file = await attached(users.url, users.user("alice"), PDF)
    first = await alice.send(group, "", type="file", attachments=[file["id"]])
    await bob.wait_for("newMessage", conversationId=group)
    again = await bob.send(group, "once more", attachments=[file["id"]])
    await alice.wait_for("messageSent", messageId=first["_id"])
    await bob.wait_for("messageSent", messageId=again["_id"])

    await alice.call_ok("deleteMessage", {"messageId": first["_id"]})
    await bob.wait_for("messageDeleted", messageId=first["_id"])
    assert (await read(users.url, users.user("bob"), file["url"])).body == PDF

    await bob.call_ok("deleteMessage", {"messageId": again["_id"]})
    await bob.wait_for("messageDeleted", messageId=again["_id"])
    for name in ("alice", "bob"):
        assert (await read(users.url, users.user(name), file["url"])).status == 404


async def test_stalled_uploads_do_not_delay_other_users(users: ChatUsers, database: Any) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield PDF
        await asyncio.Event().wait()

    names = [f"stalling-{n}" for n in range(4)]
    uploads = [
        asyncio.create_task(upload(users.url, users.user(name), stalled()))
        for name in names
        for _ in range(8)
    ]

    async def begun() -> bool:
        known = [await database[ATTACHMENTS].find_one({"ownerId": users.user(n).id}) for n in names]
        return all(known)

    await eventually(begun)
    await attached(users.url, users.user("alice"), PDF)
    for uploading in uploads:
        uploading.cancel()
    await asyncio.gather(*uploads, return_exceptions=True)


async def test_a_compressed_form_is_refused(users: ChatUsers) -> None:
    """Nginx passes it on unchanged."""
    part = b'--x\r\nContent-Disposition: form-data; name="x"\r\n\r\n\r\n'
    packed = zlib.compress(part * (MOST // len(part)) + b"--x--\r\n", 9)
    headers = {
        "Authorization": f"Bearer {users.user('alice').token}",
        "Content-Type": "multipart/form-data; boundary=x",
        "Content-Encoding": "deflate",
    }
    begun = time.monotonic()
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.post(f"{users.url}/attachments", data=io.BytesIO(packed)) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]["code"]) == (415, "UNSUPPORTED_TYPE")
    assert time.monotonic() - begun < 2


async def test_a_file_goes_to_one_conversation_and_a_retry_gets_the_same_message(users: ChatUsers) -> None:
    (alice,) = await users.sockets("alice")
    here, there = await users.group(alice, "bob"), await users.group(alice, "carol")
    file = await attached(users.url, users.user("alice"), PDF)
    message = {"conversationId": here, "content": "", "type": "file", "attachments": [file["id"]]}
    message["clientMessageId"] = "0b7e6a52-0d0f-4d0e-9b5d-3a1f1f6f6c11"

    first, again = await alice.call_ok("sendMessage", message), await alice.call_ok("sendMessage", message)
    elsewhere = await alice.call("sendMessage", {**message, "conversationId": there})

    assert first["message"]["_id"] == again["message"]["_id"]
    assert elsewhere["success"] is False
    assert elsewhere["error"]["code"] == "NOT_FOUND"


async def test_another_user_s_upload_cannot_be_sent(users: ChatUsers) -> None:
    alice, bob = await users.sockets("alice", "bob")
    group = await users.group(alice, "bob")
    file = await attached(users.url, users.user("alice"), PDF)
    stolen = {"conversationId": group, "content": "", "type": "file", "attachments": [file["id"]]}
    answer = await bob.call("sendMessage", stolen)
    assert answer["error"]["code"] == "NOT_FOUND"
    await alice.call_ok("sendMessage", stolen)


async def test_the_largest_file_is_read_back_whole_and_by_range(users: ChatUsers) -> None:
    user = users.user("alice")
    data = PDF + os.urandom(MOST - len(PDF))
    file = await attached(users.url, user, data)

    assert (await read(users.url, user, file["url"])).body == data
    part = await read(users.url, user, file["url"], Range="bytes=12345678-12345699")
    assert (part.status, part.body) == (206, data[12345678:12345700])
    assert part.headers["Content-Range"] == f"bytes 12345678-12345699/{MOST}"
    head = await read(users.url, user, file["url"], "HEAD")
    assert (head.status, head.headers["Content-Length"], head.body) == (200, str(MOST), b"")


@pytest.mark.parametrize("size", [MOST + 1, MOST + 400_000, 2 * MOST])
async def test_a_larger_file_is_refused_by_the_first_part_that_sees_its_size(
    users: ChatUsers, size: int
) -> None:
    status, body = await upload(users.url, users.user("alice"), PDF + bytes(size - len(PDF)))
    assert (status, body["success"], body["error"]["code"]) == (413, False, "TOO_LARGE")


async def test_a_larger_file_without_a_declared_size_is_refused_too(users: ChatUsers) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield PDF
        for _ in range(MOST // 65_536):
            yield bytes(65_536)

    status, body = await upload(users.url, users.user("alice"), pieces())
    assert (status, body["error"]["code"]) == (413, "TOO_LARGE")


async def test_a_type_that_is_not_accepted_is_refused_under_any_name(users: ChatUsers) -> None:
    for size in (100, 5_000_000):
        status, body = await upload(users.url, users.user("alice"), b"MZ" + bytes(size), "photo.png")
        assert (status, body["error"]["code"]) == (415, "UNSUPPORTED_TYPE")
        assert body["error"]["retryable"] is False


async def test_without_a_token_nothing_is_sent_or_read(users: ChatUsers) -> None:
    file = await attached(users.url, users.user("alice"), PDF)
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{users.url}/attachments", data={"file": "words"}) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (401, "UNAUTHORIZED")
        async with http.get(users.url + file["url"]) as answer:
            assert answer.status == 401
        async with http.get(users.url + file["url"], params={"token": users.user("alice").token}) as answer:
            assert await answer.read() == PDF


async def test_an_upload_that_a_client_aborts_leaves_nothing_behind(users: ChatUsers, database: Any) -> None:
    user = users.user("alice")

    async def endless() -> AsyncIterator[bytes]:
        yield PDF + bytes(1_000_000)
        await asyncio.Event().wait()

    async def begun() -> list[Any]:
        known = database[ATTACHMENTS].find({"ownerId": user.id})
        return list(await known.to_list(None))

    async def stored(file_id: str) -> Any:
        return await database[FILE_CHUNKS].find_one({"files_id": file_id})

    uploading = asyncio.create_task(upload(users.url, user, endless()))
    (file,) = await eventually(begun)
    await eventually(lambda: stored(file["_id"]))
    uploading.cancel()

    async def gone() -> bool:
        return not await begun() and not await stored(file["_id"])

    await eventually(gone)


async def test_an_aborted_download_is_not_logged_as_an_error(users: ChatUsers) -> None:
    """Every test here checks that the logs have no errors."""
    file = await attached(users.url, users.user("alice"), PDF + bytes(MOST - len(PDF)))
    for _ in range(4):
        async with aiohttp.ClientSession() as http:
            answer = await http.get(users.url + file["url"], params={"token": users.user("alice").token})
            await answer.content.readany()
            answer.close()
    assert (await read(users.url, users.user("alice"), file["url"])).status == 200


async def test_memory_stays_flat_during_concurrent_transfers(users: ChatUsers, stack: Stack) -> None:
    """Transfer eight files of 25 MiB at once, to and from two gateways."""
    people, data = [users.user("alice"), users.user("bob")] * 4, PDF + bytes(MOST - len(PDF))
    for user in people[:2]:
        await attached(users.url, user, data)
    before = grown(stack)

    files = await asyncio.gather(*(attached(users.url, user, data) for user in people))
    sizes = [len((await read(users.url, user, f["url"])).body) for user, f in zip(people, files, strict=True)]

    assert sizes == [MOST] * 8
    growth = {name: size - before[name] for name, size in grown(stack).items()}
    print(f"memory grew by {growth} KiB")
    assert max(growth.values()) < 32 * 1024


def grown(stack: Stack) -> dict[str, int]:
    """Return each gateway's peak memory, in KiB."""
    peaks = {}
    for name in ("gateway-1", "gateway-2"):
        status = Path(f"/proc/{stack.pid(name)}/status").read_text()
        peaks[name] = int(status.partition("VmHWM:")[2].split()[0])
    return peaks
