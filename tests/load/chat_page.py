"""`python -m load.chat_page`: the cost of a long thread in the chat page, and the time of its load."""

import argparse
import asyncio
import statistics
import tempfile
import time
import uuid
from pathlib import Path

import uvloop
from playwright.async_api import Browser, Page, async_playwright

from clients.chat import ChatUsers, Socket, User, eventually
from clients.chromium import launch_chromium
from load.arguments import Arguments
from load.main_thread import Clock, busy, traced
from parley.stack import Stack

DESKTOP = {"width": 1100, "height": 760}
WINDOW = 100
"""Unanswered sends while the thread is filled."""
SAMPLES = 20
PAUSE = 0.5
"""Seconds from one message to the next: its marks and receipts are through by then."""
WARM_UP, AT_ONCE = 120, 4
"""Messages that arrive before the measured ones, so that many are in the document; few at once, so that the
reader sees each of them, and stays at the end."""
ROUNDS = 3
CLOCKS: dict[str, Clock] = {"processor time": "threadTicks", "by the clock": "timeTicks"}
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
      // The message comes after the frame that begins with this callback.
      const painted = new MessageChannel();
      painted.port1.onmessage = () => shownAfter.push(performance.now() - begun);
      return painted.port2.postMessage(0);
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
        browser = await launch_chromium(playwright)
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
    for _ in range(WARM_UP // AT_ONCE):
        await fill(socket, group, AT_ONCE)
        await asyncio.sleep(2 * PAUSE)
    await (
        page.locator(".messages .content").filter(has_text=f"message {AT_ONCE} of {AT_ONCE}:").last.wait_for()
    )
    await measure_arrivals(page, socket, group)
    own = await own_sends(page)
    print(f"own send on screen after {statistics.median(own):.0f} ms, at most {max(own):.0f} ms")
    await page.context.close()


async def measure_arrivals(page: Page, socket: Socket, group: str) -> None:
    """Print the main thread's time for each message that arrives, its marks and receipts included.

    Nothing asks the page for the messages meanwhile: the answers would cost more than the messages.
    """
    session = await page.context.new_cdp_session(page)
    contents: list[str] = []

    async def arrive() -> None:
        for _ in range(SAMPLES):
            contents.append(f"incoming {uuid.uuid4()}")
            await socket.send(group, contents[-1])
            await asyncio.sleep(PAUSE)

    async def idle() -> None:
        await asyncio.sleep(SAMPLES * PAUSE)

    print(f"main thread, {SAMPLES} messages that arrive, ms for each; medians of {ROUNDS} rounds:")
    for name, clock in CLOCKS.items():
        rounds = [
            [await busy(session, clock, work) / SAMPLES for work in (idle, arrive)] for _ in range(ROUNDS)
        ]
        without, taken = (statistics.median(times) for times in zip(*rounds, strict=True))
        print(f"  {name}: {taken - without:.1f} ({taken:.1f} less {without:.1f} of an idle page)")
    kinds = await traced(session, arrive)
    shares = [(time / sum(kinds.values()), kind) for kind, time in kinds.items()]
    print(f"  by a trace: {', '.join(f'{kind} {share:.0%}' for share, kind in sorted(shares)[::-1])}")
    print(f"  with {await page.locator('.messages article').count()} messages in the document")
    shown = page.locator(".messages .content")
    for content in contents[-SAMPLES:]:
        await shown.filter(has_text=content).wait_for()


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
