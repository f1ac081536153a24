"""Debian's Chromium, driven by Playwright: a page that notices what no visitor would, and fails the test for it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

__all__ = ["open_browser", "visit"]

_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Nothing that the browser would ask of its makers: tests reach no other host.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser; end it with the block. A missing one skips on a laptop and fails where CI is set."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sentence = "Chromium is not installed (Debian's package chromium)"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    with sync_playwright() as playwright:
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run as root with its sandbox
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS + as_root)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visit(browser: Browser, url: str, *, expected: tuple[str, ...] = (), **context: Any) -> Iterator[Page]:
    """Open a page as a new visitor. At the end nothing may have gone wrong in it, and no other host been asked.

    `expected` are parts of what its console may say: a browser reports each answer that is a refusal.
    """
    wrong: list[str] = []
    hosts: set[str] = set()
    visitor = browser.new_context(**{"locale": "pt-BR", "timezone_id": "America/Sao_Paulo"} | context)
    visitor.set_default_timeout(PATIENCE_MS)
    try:
        page = visitor.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(url)
        yield page
    finally:
        visitor.close()
    assert [text for text in wrong if not any(part in text for part in expected)] == []
    assert hosts == {urlsplit(url).netloc}
