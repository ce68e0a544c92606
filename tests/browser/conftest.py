"""A headless browser with a window for each user."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from browser.windows import OpenWindow, Window
from clients.chat import ChatUsers, User
from clients.chromium import launch_chromium

DESKTOP = {"width": 1100, "height": 760}


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await launch_chromium(playwright)
        yield browser
        await browser.close()


@pytest.fixture
async def window(chromium: Browser, users: ChatUsers) -> AsyncIterator[OpenWindow]:
    """Open windows, signed in or not; a browser error in any of them fails the test."""
    opened: list[Window] = []

    async def open_window(user: User | None, **options: Any) -> Window:
        context = await chromium.new_context(**{"viewport": DESKTOP, "locale": "en-GB", **options})
        context.set_default_timeout(10_000)
        opened.append(Window(await context.new_page(), users.url))
        if user is not None:
            await opened[-1].sign_in_by_address(user.token)
        return opened[-1]

    yield open_window
    for each in opened:
        await each.page.context.close()
    assert [error for each in opened for error in each.errors] == []
