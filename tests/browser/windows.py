"""A browser window with the chat page, driven as a user would."""

import re
from collections.abc import Awaitable, Callable, Sequence

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ConsoleMessage, Locator, Page, expect

from clients.chat import User

ERRORS = re.compile(r"content security policy|refused to|trusted ?(html|script|type)", re.IGNORECASE)


class Window:
    """One user's window; `errors` are the page's errors and policy violations."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    async def sign_in_by_address(self, token: str) -> None:
        """Load the page with a token in the URL."""
        await self.page.goto(f"{self.url}/#token={token}")
        await self.is_connected()

    async def is_connected(self) -> None:
        await expect(self.page.get_by_text("Connected", exact=True)).to_be_visible(timeout=15_000)

    async def start(self, others: Sequence[User], name: str = "") -> None:
        """Start a conversation, and wait until it is open."""
        await self.page.get_by_role("button", name="New conversation").click()
        for user in others:
            await self.choose(user)
        await self.page.get_by_label("Name of the group").fill(name)
        await self.page.get_by_role("button", name=re.compile("^Start the")).click()
        await expect(self.page.get_by_role("dialog")).to_have_count(0)
        await expect(self.field).to_be_visible()

    async def choose(self, user: User) -> None:
        """Choose a person in the open dialog, known or by their user id."""
        field = self.page.get_by_role("dialog").get_by_role("textbox").first
        await field.fill(user.id)
        suggestion = self.page.get_by_role("list", name="People you know").get_by_role("button").first
        confirmation = self.page.get_by_role("button", name="Use it as a user id")
        await suggestion.or_(confirmation).first.click()
        await expect(field).to_have_value("")

    async def open(self, title: str) -> None:
        await self.entry(title).click()
        await expect(self.field).to_be_visible()

    def entry(self, title: str) -> Locator:
        """Return a conversation's entry in the list."""
        return self.page.get_by_role("navigation").get_by_role("listitem").filter(has_text=title)

    @property
    def field(self) -> Locator:
        return self.page.get_by_role("textbox", name="Message", exact=True)

    @property
    def thread(self) -> Locator:
        return self.page.get_by_role("log", name="Messages")

    def message(self, content: str) -> Locator:
        return self.thread.get_by_role("article").filter(has_text=content)

    async def send(self, content: str) -> None:
        await self.field.fill(content)
        await self.field.press("Enter")

    async def leave(self) -> None:
        """Turn to another window: the page loses the focus."""
        await self.page.evaluate("document.hasFocus = () => false; dispatchEvent(new Event('blur'))")

    async def come_back(self) -> None:
        await self.page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")

    async def delete(self, content: str) -> None:
        """Delete a message and confirm it."""
        await self.message(content).hover()
        await self.message(content).get_by_role("button", name="Delete").click()
        question = self.page.get_by_role("alertdialog", name="Delete this message?")
        await question.get_by_role("button", name="Delete").click()
        await expect(question).to_have_count(0)

    async def scroll(self, top: int | str) -> None:
        """Scroll the thread to a place in pixels, or to its end."""
        place = "it.scrollHeight" if top == "end" else str(top)
        await self.thread.evaluate(f"it => {{ it.scrollTop = {place} }}")

    @property
    def line(self) -> Locator:
        """The line above the new messages."""
        return self.thread.get_by_text("New", exact=True)

    @property
    def to_end(self) -> Locator:
        return self.page.get_by_role("button", name=re.compile("^Scroll to the newest message"))

    async def shows(self, *contents: str) -> None:
        """Wait until the thread shows exactly these messages, in this order."""
        await expect(self.thread.locator(".content")).to_have_text(list(contents), timeout=20_000)

    async def is_accessible(self, state: str) -> None:
        """Check the page by axe, without animations that have colours in between."""
        await self.page.emulate_media(reduced_motion="reduce")
        found = await Axe().run(self.page)
        assert found.violations_count == 0, f"{state}: {found.generate_report()}"

    async def has_status(self, content: str, status: str) -> None:
        await expect(self.message(content).locator(".status")).to_have_text(status, timeout=15_000)

    def _on_console(self, message: ConsoleMessage) -> None:
        if ERRORS.search(message.text):
            self.errors.append(message.text)


OpenWindow = Callable[..., Awaitable[Window]]
"""(user or None, options of the browser's context) -> their window"""
