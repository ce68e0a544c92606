"""The /docs page shows every path and event, and loads nothing from other hosts."""

import re

from playwright.async_api import Page, expect

from browser.windows import OpenWindow
from clients.chat import ChatUsers
from parley.gateway.protocols.error_payloads import EXCEPTION
from parley.gateway.protocols.registry import PROTOCOLS

ATTACHMENTS = {"uploadAttachment", "downloadAttachment", "lookAtAttachment"}


async def opened(window: OpenWindow, users: ChatUsers, fragment: str = "") -> Page:
    page = (await window(None)).page
    await page.goto(f"{users.url}/docs{fragment}")
    await expect(page.get_by_role("heading", name="Parley")).to_be_visible()
    return page


async def test_every_path_and_every_event_is_shown(window: OpenWindow, users: ChatUsers) -> None:
    page = await opened(window, users)

    for protocol in PROTOCOLS:
        chapter = page.get_by_role("region", name=protocol.name, exact=True)
        shown = [re.split(r"\s+", text)[:2] for text in await chapter.locator("summary").all_inner_texts()]
        wanted = [[route.method, route.path] for route in protocol.routes]
        wanted += [["emit", event] for event in protocol.inbound]
        reply = [inbound.reply for inbound in protocol.inbound.values() if inbound.reply is not None]
        emitted = {each.event for each in (*protocol.on_connect, *reply, *protocol.outbound, EXCEPTION)}
        assert sorted(shown) == sorted(wanted + [["on", event] for event in emitted])
    assert await page.get_by_role("region", name="attachments").locator("summary").count() == len(ATTACHMENTS)


async def test_an_entry_expands_to_its_fields(window: OpenWindow, users: ChatUsers) -> None:
    page = await opened(window, users)

    event = page.locator("[id='groups.receive.sendMessage']")
    await event.locator("summary").first.click()
    await expect(event.get_by_role("heading", name="Payload")).to_be_visible()
    await expect(event.locator("dt").filter(has_text="clientMessageId").first).to_be_visible()
    await expect(event.get_by_text("at most 128 characters").first).to_be_visible()
    await event.get_by_text("Message", exact=True).click()
    await expect(event.locator("dt").filter(has_text="createdAt")).to_be_visible()


async def test_a_link_to_an_entry_opens_it(window: OpenWindow, users: ChatUsers) -> None:
    page = await opened(window, users, "#postChatsConversations")

    entry = page.locator("#postChatsConversations")
    await expect(entry).to_be_in_viewport()
    await expect(entry.get_by_role("heading", name="Body, application/json")).to_be_visible()
    await expect(entry.get_by_role("heading", name="Refusals")).to_be_visible()


async def test_the_search_finds_entries_with_all_words(window: OpenWindow, users: ChatUsers) -> None:
    page = await opened(window, users)

    await page.get_by_label("Find").fill("search newest")
    await expect(page.locator("main section > details")).to_have_count(1)
    await expect(page.get_by_text("/search", exact=True)).to_be_visible()
    await page.get_by_label("Find").fill("no such words")
    await expect(page.get_by_role("status")).to_have_text("No entry contains these words.")


async def test_the_page_links_both_documents_and_loads_nothing_from_other_hosts(
    window: OpenWindow, users: ChatUsers
) -> None:
    page = (await window(None)).page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = await page.goto(f"{users.url}/docs")
    assert answer is not None
    assert "script-src 'self'" in answer.headers["content-security-policy"]

    for name, path in (("OpenAPI 3.1.0", "/openapi.json"), ("AsyncAPI 3.0.0", "/asyncapi.json")):
        link = page.get_by_role("link", name=name)
        await expect(link).to_have_attribute("href", path)
    assert all(url.startswith(f"{users.url}/") for url in asked)
