"""Texts on the chat page: their direction, their spaces, and fields that fit."""

import re

import pytest
from playwright.async_api import expect

from browser.windows import OpenWindow
from clients.chat import ChatUsers

HEBREW = "שלום, מה שלומך? 123"
WITHOUT_FIELD_SIZING = """
const supports = CSS.supports.bind(CSS);
CSS.supports = (name, ...value) => name !== "field-sizing" && supports(name, ...value);
addEventListener("DOMContentLoaded", () => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync("textarea { field-sizing: fixed !important; }");
  document.adoptedStyleSheets = [sheet];
});
"""
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


async def test_each_text_has_the_direction_of_its_own_script(users: ChatUsers, window: OpenWindow) -> None:
    ben = users.user("ben")
    alice = await window(users.user("ann"))
    await alice.start([ben], "תוכניות")
    await alice.field.fill(HEBREW)
    direction = "it => getComputedStyle(it).direction"
    assert await alice.field.evaluate(direction) == "rtl"
    await alice.field.press("Enter")
    await alice.send("Hello")
    await alice.has_status("Hello", "sent")
    assert await alice.message(HEBREW).locator(".content").evaluate(direction) == "rtl"
    assert await alice.message("Hello").locator(".content").evaluate(direction) == "ltr"
    assert await alice.page.get_by_role("heading", name="תוכניות").evaluate(direction) == "rtl"
    assert await alice.entry("תוכניות").locator(".title").evaluate(direction) == "rtl"
    await alice.send(HEBREW)
    await expect(alice.entry("תוכניות").locator(".preview")).to_contain_text(HEBREW)
    await expect(alice.entry("תוכניות").locator(".preview")).to_have_attribute("dir", "auto")


async def test_words_are_separated_by_spaces(users: ChatUsers, window: OpenWindow) -> None:
    page = (await window(None)).page
    await page.goto(users.url)
    await expect(page.get_by_text("On the machine that runs Parley,")).to_have_text(
        "On the machine that runs Parley, make token USER=alice prints one. Only this tab stores it."
    )
    alice = await window(users.user("ann"))
    await expect(alice.page.get_by_text("No conversations yet.")).to_have_text(
        "No conversations yet. Start one"
    )
    await alice.page.get_by_role("button", name="New conversation").click()
    await expect(alice.page.locator("label[for=name]")).to_have_text("Name of the group (optional)")
    await alice.page.keyboard.press("Escape")
    await alice.start([users.user("ben")], "Plans")
    await alice.send("Hello")
    await alice.has_status("Hello", "sent")
    entry = await alice.entry("Plans").get_by_role("button").evaluate("it => it.textContent")
    assert "Plans " in entry
    text = await alice.message("Hello").evaluate("it => it.textContent")
    assert re.match(r"Hello \d", text), text


@pytest.mark.parametrize("engine", ["new", "old"])
async def test_the_composer_keeps_the_height_of_its_text_when_the_window_is_resized(
    users: ChatUsers, window: OpenWindow, engine: str
) -> None:
    alice = await window(None)
    if engine == "old":
        await alice.page.add_init_script(WITHOUT_FIELD_SIZING)
    await alice.sign_in_by_address(users.user("ann").token)
    await alice.start([users.user("ben")], "Plans")
    await alice.field.fill("a few words " * 9)
    wide = await alice.field.evaluate("it => it.offsetHeight")
    await alice.page.set_viewport_size({"width": 400, "height": 760})
    await expect(alice.field).to_be_visible()
    fits = "it => it.scrollHeight <= it.clientHeight + 1 && it.offsetHeight > {0}".replace("{0}", str(wide))
    await alice.page.wait_for_function(
        f"() => ({fits})(document.querySelector('.composer textarea'))", timeout=5_000
    )


async def test_fields_are_large_enough_that_phones_do_not_zoom(users: ChatUsers, window: OpenWindow) -> None:
    alice = await window(None, **PHONE)
    await alice.page.goto(users.url)
    size = "it => parseFloat(getComputedStyle(it).fontSize)"
    assert await alice.page.get_by_label("Your token").evaluate(size) >= 16
    await alice.sign_in_by_address(users.user("ann").token)
    await alice.page.get_by_role("button", name="New conversation").tap()
    for field in await alice.page.get_by_role("textbox").all():
        assert await field.evaluate(size) >= 16


async def test_forced_colours_keep_the_chosen_and_the_unread_apart(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice = await window(users.user("ann"), forced_colors="active")
    for title in ("Plans", "Other"):
        await alice.start([users.user("ben")], title)
    background = "it => getComputedStyle(it).backgroundColor"
    chosen = await alice.entry("Other").get_by_role("button").evaluate(background)
    other = await alice.entry("Plans").get_by_role("button").evaluate(background)
    assert chosen != other
    await alice.send("Hello")
    border = "it => getComputedStyle(it).borderTopWidth"
    assert await alice.message("Hello").locator(".bubble").evaluate(border) == "1px"


async def test_web_addresses_are_links_and_the_text_stays_as_it_was_written(
    users: ChatUsers, window: OpenWindow
) -> None:
    alice = await window(users.user("ann"))
    await alice.start([users.user("ben")], "Plans")
    text = "See https://example.org/a_(b)?x=1, (http://example.com/). javascript:alert(1) https:// HTTPS://B.EXAMPLE"
    await alice.send(text)
    await alice.shows(text)

    links = alice.message("See").get_by_role("link")
    addresses = ["https://example.org/a_(b)?x=1", "http://example.com/", "HTTPS://B.EXAMPLE"]
    await expect(links).to_have_text(addresses)
    for place, address in enumerate(addresses):
        await expect(links.nth(place)).to_have_attribute("href", address)
        await expect(links.nth(place)).to_have_attribute("target", "_blank")
        await expect(links.nth(place)).to_have_attribute("rel", "noopener noreferrer")
    await alice.is_accessible("links")
    await alice.field.press("Shift+Tab")
    await expect(alice.message("See")).to_be_focused()
    await alice.page.keyboard.press("ArrowRight")
    await expect(links.first).to_be_focused()
    await alice.page.keyboard.press("ArrowLeft")
    await expect(alice.message("See")).to_be_focused()
