"""`python -m load.chat_page`: the cost of a long thread in the chat page, and the time of its load."""

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import uvloop
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from clients.chat import ChatUsers, Socket, User, eventually
from load.arguments import Arguments
from parley.stack import Stack

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]
DESKTOP = {"width": 1100, "height": 760}
WINDOW = 100
"""Unanswered sends while the thread is filled."""
SAMPLES = 20
PAGE, TASKS = ("ScriptDuration", "LayoutDuration", "RecalcStyleDuration"), "TaskDuration"
"""Metrics of https://chromedevtools.github.io/devtools-protocol/tot/Performance/."""
SLOW_4G = {
    "offline": False,
    "latency": 562.5,  # ms of each request
    "downloadThroughput": 180_000,  # bytes/s
    "uploadThroughput": 84_375,
}
"""The preset *Slow 4G* of Chromium's DevTools."""
NOTE_LIST = """
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    if (document.querySelector(".entry")) window.listedAt ??= performance.now();
    else requestAnimationFrame(look);
  };
  look();
});
"""
TIME_OWN_SENDS = """
() => {
  window.shownAfter = [];
  document.querySelector(".composer textarea").addEventListener("keydown", (event) => {
    const [begun, content] = [performance.now(), event.target.value.trim()];
    if (event.key !== "Enter") return;
    const look = () => {
      const last = [...document.querySelectorAll(".messages .content")].at(-1);
      if (last?.textContent !== content) return requestAnimationFrame(look);
      const painted = new MessageChannel();
      painted.port1.onmessage = () => shownAfter.push(performance.now() - begun);
      return requestAnimationFrame(() => painted.port2.postMessage(0));
    };
    requestAnimationFrame(look);
  }, true);
}
"""
UNTIL_ALL_LOADED = """
async (count) => {
  const box = document.querySelector(".messages");
  while (!box.textContent.includes("message 1 of ")) {
    box.scrollTop = 0;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return document.querySelectorAll(".messages article").length;
}
"""


async def measure(stack: Stack, args: argparse.Namespace) -> None:
    """Fill a thread, load it in a browser, and print the figures."""
    users = ChatUsers(stack.url, stack.jwt_secret)
    ann = users.user("ann")
    (socket,) = await users.sockets("ben")
    group = await users.group(socket, "ann")
    await fill(socket, group, args.messages)
    await ann.rest("POST", f"/chats/conversations/{group}/read", {})
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        await measure_thread(browser, stack.url, ann, socket, group)
        await measure_load(browser, stack.url, ann)
        await browser.close()
    await users.close()


async def fill(socket: Socket, group: str, count: int) -> None:
    """Send the messages of the thread."""
    for start in range(1, count + 1, WINDOW):
        numbers = range(start, min(start + WINDOW, count + 1))
        contents = [f"message {n} of {count}: {'some words ' * (n % 12)}" for n in numbers]
        # An acknowledged send is ordered, so all of them may wait at the same time.
        await asyncio.gather(*(socket.send(group, content) for content in contents))


async def measure_thread(browser: Browser, url: str, ann: User, socket: Socket, group: str) -> None:
    """Print what an incoming message and a send of one's own cost with all messages loaded."""
    page = await (await browser.new_context(viewport=DESKTOP)).new_page()
    await page.goto(f"{url}/#token={ann.token}")
    await page.locator(".entry").click()
    await page.locator(".messages article").first.wait_for()
    page.set_default_timeout(300_000)
    begun = time.perf_counter()
    in_document = await page.evaluate(UNTIL_ALL_LOADED, None)
    print(f"all messages loaded in {time.perf_counter() - begun:.1f} s; {in_document:,} in the document")
    await page.get_by_role("button", name="Scroll to the newest message").click()
    await asyncio.sleep(1)
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    page_ms, all_ms = await incoming(session, page, socket, group)
    print(f"incoming message: {page_ms:.1f} ms of the main thread for scripts, styles and layout")
    print(f"incoming message: {all_ms:.1f} ms with painting, and with this command's own look for it")
    own = await own_sends(page)
    print(f"own send on screen after {statistics.median(own):.0f} ms, at most {max(own):.0f} ms")
    await page.context.close()


async def incoming(session: CDPSession, page: Page, socket: Socket, group: str) -> tuple[float, float]:
    """Return the main thread's time, in ms, for each message that arrives, its receipts included.

    The first is that of the page's scripts, styles and layout, the second that of all tasks.
    """
    page_before, all_before = await busy(session, *PAGE), await busy(session, TASKS)
    for _ in range(SAMPLES):
        content = f"incoming {uuid.uuid4()}"
        await socket.send(group, content)
        await page.locator(".messages .content", has_text=content).wait_for()
        await asyncio.sleep(0.5)
    page_after, all_after = await busy(session, *PAGE), await busy(session, TASKS)
    return (page_after - page_before) / SAMPLES, (all_after - all_before) / SAMPLES


async def busy(session: CDPSession, *durations: str) -> float:
    """Return the sum of some of the main thread's durations, in ms."""
    metrics: list[dict[str, Any]] = (await session.send("Performance.getMetrics"))["metrics"]
    return sum(float(m["value"]) for m in metrics if m["name"] in durations) * 1_000


async def own_sends(page: Page) -> list[float]:
    """Return the times, in ms, from the Enter key until the message is painted."""
    await page.evaluate(TIME_OWN_SENDS)
    for number in range(1, SAMPLES + 1):
        await page.locator(".composer textarea").fill(f"my own {number}")
        await page.locator(".composer textarea").press("Enter")
        await eventually(lambda expected=number: shown(page, expected), 30)
        await asyncio.sleep(0.3)
    times: list[float] = await page.evaluate("shownAfter")
    return times


async def shown(page: Page, expected: int) -> bool:
    return len(await page.evaluate("shownAfter")) >= expected


async def measure_load(browser: Browser, url: str, ann: User) -> None:
    """Print how fast the page loads on a slow network, without and with a warm cache."""
    context = await browser.new_context(viewport=DESKTOP)
    page = await context.new_page()
    await page.add_init_script(NOTE_LIST)
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send("Network.emulateNetworkConditions", SLOW_4G)
    await page.goto(f"{url}/#token={ann.token}")
    for name in ("cold", "warm", "warm"):
        await page.wait_for_function("() => window.listedAt")
        paint, listed = await page.evaluate(
            "[performance.getEntriesByName('first-contentful-paint')[0]?.startTime, listedAt]"
        )
        seconds = f"first paint after {paint / 1000:.2f} s, list after {listed / 1000:.2f} s"
        print(f"{name} load on slow 4G: {seconds}")
        await asyncio.sleep(2)
        await page.goto("about:blank")
        await page.goto(f"{url}/")
    await context.close()


def main() -> None:
    """Read the arguments, and run on an own stack without rate limits."""
    parser = Arguments(prog="load.chat_page", description=__doc__)
    parser.add_argument("--messages", type=int, default=5_000, help="messages of the thread")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="parley-page-") as directory,
        Stack(Path(directory), settings={"RATE_LIMITS": "off"}) as stack,
    ):
        uvloop.run(measure(stack, args))


if __name__ == "__main__":
    main()
