"""A real browser (Debian's chromium) on a server that answers with a number of both films."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uvicorn
from served import Echo

from intervalchange.archive.pairs import PairFinder
from intervalchange.serving.app import create_app
from intervalchange.serving.limits import Limits

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
WAIT = 120_000
"""Milliseconds; a browser without a graphics card on a busy machine is slow."""


@contextmanager
def echoing(finder: PairFinder | None = None) -> Iterator[str]:
    """The address of a server."""
    app = create_app(Echo(), "echo", Limits(readers=1), finder=finder)  # type: ignore[arg-type]
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.05)
    yield f"http://localhost:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@contextmanager
def opened_page(address: str, height: int = 800, ready: bool = True, **options: Any) -> Iterator[Any]:
    """The page, which is waited for if `ready`. Skips where there is no browser."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": height}, **options)
        page.set_default_timeout(WAIT)
        page.goto(address)
        if ready:
            page.wait_for_selector("body[data-ready=true]")
        yield page
        browser.close()
