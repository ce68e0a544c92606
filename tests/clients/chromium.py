"""Chromium without a screen: Debian's build without windows of its own, which takes a third of the time."""

import shutil

from playwright.async_api import Browser, Playwright

NAME = "chromium-headless-shell"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


async def launch_chromium(playwright: Playwright) -> Browser:
    """Start Chromium with a temporary profile."""
    program = shutil.which(NAME)
    assert program, f"{NAME} is missing: `make test` installs it"
    return await playwright.chromium.launch(executable_path=program, args=FLAGS)
