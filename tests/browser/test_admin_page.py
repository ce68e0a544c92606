"""The admin page in a browser: signing in, live figures, faults, dead letters, keyboard and axe."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from browser.windows import ERRORS
from clients.admin_page import AdminPage, environment_of, serving
from clients.chat import ChatUsers, User
from clients.workers import DeadLetters
from parley.shared import model, records
from parley.stack import Stack

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DARK = {"color_scheme": "dark"}


@pytest.fixture
async def served(stack: Stack) -> AsyncIterator[AdminPage]:
    async with serving(environment_of(stack)) as page:
        yield page


@pytest.fixture
def admin(users: ChatUsers) -> User:
    return users.user("root", role="admin")


class AdminWindow:
    """A browser window with the admin page; `errors` are script errors and violations of its policy."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = f"{url}/admin"
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note(message.text))

    async def sign_in(self, token: str) -> None:
        await self.page.goto(self.url)
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()

    async def is_live(self) -> None:
        await expect(self.page.get_by_role("status")).to_have_text("Live")

    def row(self, table: str, name: str) -> Locator:
        rows = self.page.get_by_role("region", name=f"{table} table", exact=True).get_by_role("row")
        return rows.filter(has=self.page.get_by_role("rowheader", name=name))

    async def is_accessible(self, state: str) -> None:
        await expect(self.page.get_by_role("main")).to_have_count(1)
        await expect(self.page.get_by_role("heading", level=1)).to_have_count(1)
        found = await Axe().run(self.page)
        assert found.violations_count == 0, f"{state}: {found.generate_report()}"

    def _note(self, text: str) -> None:
        if ERRORS.search(text):
            self.errors.append(text)


@pytest.fixture
async def open_window(chromium: Browser, served: AdminPage) -> AsyncIterator[Any]:
    opened: list[AdminWindow] = []

    async def open_one(**options: Any) -> AdminWindow:
        context = await chromium.new_context(**{**DESKTOP, "locale": "en-GB", **options})
        context.set_default_timeout(10_000)
        opened.append(AdminWindow(await context.new_page(), served.url))
        return opened[-1]

    yield open_one
    for each in opened:
        await each.page.context.close()
    assert [error for each in opened for error in each.errors] == []


async def test_an_administrator_sees_all_services_and_the_clients_that_come_and_go(
    open_window: Any, admin: User, users: ChatUsers, stack: Stack
) -> None:
    window = await open_window()
    await window.sign_in(admin.token)
    await window.is_live()
    for name in ("g1", "g2"):
        await expect(window.row("Gateways", name)).to_contain_text("ready")
    for url in stack.worker_urls:
        await expect(window.row("Workers", url.removeprefix("http://"))).to_contain_text("ready")
    await expect(window.page.get_by_role("list").filter(has_text="0 waiting").locator("li")).to_have_count(8)

    sockets = window.page.locator("figure").filter(has_text="Sockets")
    before = int(await sockets.locator("dd").first.inner_text())
    socket = await users.user("alice").socket()
    await expect(sockets.locator("dd").first).to_have_text(str(before + 1))
    await expect(sockets.get_by_role("img", name=re.compile(f"websocket {before + 1}"))).to_be_visible()
    await socket.close()
    await expect(sockets.locator("dd").first).to_have_text(str(before))
    for figure in await window.page.locator("figure svg").all():
        assert (await figure.bounding_box())["width"] > 100


async def test_the_token_is_kept_in_the_tab_and_in_no_address(
    open_window: Any, admin: User, users: ChatUsers
) -> None:
    window = await open_window()
    await window.page.goto(f"{window.url}#token={admin.token}")
    await window.is_live()
    assert window.page.url == window.url
    assert await window.page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    await window.page.reload()
    await window.is_live()
    await window.page.get_by_role("button", name="Sign out").click()
    await expect(window.page.get_by_label("Token")).to_be_focused()
    assert await window.page.evaluate("sessionStorage.length") == 0


@pytest.mark.parametrize(
    ("role", "sentence"),
    [(None, "This token has not the role admin"), ("nonsense", "The token is invalid.")],
)
async def test_a_wrong_token_is_refused_in_a_sentence(
    role: str | None, sentence: str, open_window: Any, users: ChatUsers
) -> None:
    window = await open_window()
    await window.sign_in(role or users.user("alice").token)
    await expect(window.page.get_by_role("alert").first).to_contain_text(sentence)
    assert await window.page.evaluate("sessionStorage.length") == 0


async def test_a_gateway_that_is_killed_is_shown_as_gone(open_window: Any, admin: User, stack: Stack) -> None:
    window = await open_window()
    await window.sign_in(admin.token)
    await expect(window.row("Gateways", "g2")).to_contain_text("ready")
    await asyncio.to_thread(stack.kill, "gateway-2")
    try:
        await expect(window.row("Gateways", "g2")).to_contain_text("gone")
        await expect(window.row("Gateways", "g2").get_by_role("cell").nth(1)).not_to_contain_text(
            re.compile(r"\d")
        )
        attention = window.page.get_by_role("region", name="Attention")
        await expect(attention).to_contain_text("The gateway g2 does not answer")
        await expect(window.row("Gateways", "g1")).to_contain_text("ready")
    finally:
        await asyncio.to_thread(stack.start, "gateway-2")
    await expect(window.row("Gateways", "g2")).to_contain_text("ready")
    await expect(attention).not_to_contain_text("g2")


async def test_a_dead_letter_appears_and_is_read_without_its_content(
    open_window: Any, admin: User, users: ChatUsers, stack: Stack
) -> None:
    await DeadLetters(stack).take()
    window = await open_window()
    await window.sign_in(admin.token)
    page = window.page
    await expect(page.get_by_text("Every record could be stored.")).to_be_visible()
    alice, group = users.user("alice"), model.new_id()
    message = model.Message(
        id=model.new_id(),
        conversation_id=group,
        sender_id=alice.id,
        content="private",
        created_at=model.now(),
    )
    record = records.NewMessage(id=message.id, message=message, sender=model.Person(id=alice.id))
    await DeadLetters(stack).put(records.pack([record]), "OverflowError: a test")
    try:
        await expect(page.get_by_text("1 record could not be stored.")).to_be_visible()
        await page.get_by_role("button", name="Read the letters").click()
        row = page.get_by_role("region", name="Dead letters table").get_by_role("row").filter(has_text=group)
        await expect(row).to_contain_text("OverflowError")
        await row.get_by_role("button").press("Enter")
        letter = page.get_by_role("dialog", name="Dead letter")
        await expect(letter).to_contain_text('"content": "(7 hidden)"')
        await expect(letter).to_contain_text(alice.id)
        await window.is_accessible("a dead letter")
        await page.keyboard.press("Escape")
        await expect(letter).to_have_count(0)
    finally:
        assert len(await DeadLetters(stack).take()) == 1


async def test_a_user_is_looked_up_by_keyboard(open_window: Any, admin: User, users: ChatUsers) -> None:
    alice = users.user("alice")
    socket = await alice.socket()
    window = await open_window()
    await window.sign_in(admin.token)
    await window.page.get_by_label("A user's id").fill(alice.id)
    await window.page.keyboard.press("Enter")
    await expect(window.page.get_by_text(f"{alice.id} (")).to_contain_text("is online")
    await expect(window.page.get_by_role("region", name="Sockets of the user")).to_contain_text(socket.node)


async def test_the_page_waits_for_a_server_that_is_away_and_goes_on(
    open_window: Any, admin: User, served: AdminPage
) -> None:
    window = await open_window()
    await window.sign_in(admin.token)
    await window.is_live()
    await window.page.context.set_offline(True)
    await expect(window.page.get_by_role("status")).to_have_text("The admin server does not answer.")
    await expect(window.row("Gateways", "g1")).to_be_visible()
    await window.page.context.set_offline(False)
    await window.is_live()


@pytest.mark.parametrize("options", [{}, {**PHONE, **DARK}], ids=["desktop", "phone"])
async def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(
    options: dict[str, Any], open_window: Any, admin: User, stack: Stack
) -> None:
    window = await open_window(**options)
    await window.page.goto(window.url)
    await window.is_accessible("signed out")
    await window.sign_in(admin.token)
    await window.is_live()
    await expect(window.page.get_by_text("0 waiting").first).to_be_visible()
    await window.is_accessible("live")
    stack.signal("gateway-2", signal.SIGSTOP)
    try:
        await expect(window.row("Gateways", "g2")).to_contain_text("no answer", timeout=15_000)
        await window.is_accessible("a gateway that hangs")
    finally:
        stack.signal("gateway-2", signal.SIGCONT)
    assert await window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def test_the_chat_page_and_the_admin_page_cannot_reach_each_other(
    open_window: Any, admin: User, stack: Stack, served: AdminPage
) -> None:
    window = await open_window()
    await window.page.goto(stack.url)
    answer = await window.page.evaluate(
        "url => fetch(url).then(() => 'reached', error => error.name)", f"{served.url}/admin/api/overview"
    )
    assert answer == "TypeError"
    window.errors.clear()  # The chat page's policy refuses the request, as it should.
    response = await window.page.goto(f"{stack.url}/admin")
    assert response.status == 404


async def test_the_policy_of_the_page_allows_its_own_origin_only(open_window: Any, served: AdminPage) -> None:
    window = await open_window()
    response = await window.page.goto(window.url)
    headers = response.headers
    assert headers["content-security-policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers
    blocked = await window.page.evaluate(
        "fetch('http://127.0.0.1:9/').then(() => 'reached', error => error.name)"
    )
    assert blocked == "TypeError"
    assert "Content Security Policy" in " ".join(window.errors)
    window.errors.clear()
