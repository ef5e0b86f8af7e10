"""What the tests of the interactive pages share: the built book, a browser, and how a page is opened and watched.

`make test-browser` runs these tests; `make test` does not, because they need a built book and a browser.
PLMBOOK_SITE names another built site than `book/_build/html`.
"""

import http.server
import os
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from plmbook.core import paths

SITE = Path(os.environ.get("PLMBOOK_SITE", paths.root() / "book" / "_build" / "html")).resolve()
DESKTOP = {"width": 1440, "height": 900}
PATIENCE = 60_000  # milliseconds: software rendering on two busy cores is slow


def chromium():
    """Debian's browser; the one that playwright would download is not needed."""
    for name in ("chromium", "chromium-browser"):
        if shutil.which(name):
            return shutil.which(name)
    pytest.fail("no chromium on this machine: apt-get install chromium")


@pytest.fixture(scope="session")
def site():
    if not (SITE / "book" / "atlas.html").is_file():
        pytest.fail(f"{SITE}: expected a built book with the page book/atlas.html; run: make book")
    return SITE


@pytest.fixture(scope="session")
def browser():
    software = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=software)
        yield found
        found.close()


@pytest.fixture(scope="session")
def server(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/favicon.ico":  # browsers ask a server for it, whatever the page says
                self.send_response(204)
                return self.end_headers()
            super().do_GET()

        def log_message(self, *arguments):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=site))
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}"
    found.shutdown()


@pytest.fixture(params=["file", "http"])
def base(request, site):
    return site.as_uri() if request.param == "file" else request.getfixturevalue("server")


@pytest.fixture
def visit(request, browser, base):
    """Open the page that the module names; in the end nothing was asked elsewhere, and nothing went wrong."""
    contexts, faults = [], []

    def watch(page):
        page.set_default_timeout(PATIENCE)
        allowed = (f"{base}/", "data:", "blob:")
        page.on("request", lambda r: None if r.url.startswith(allowed) else faults.append(f"asks for {r.url}"))
        page.on("requestfailed", lambda r: faults.append(f"{r.url}: {r.failure}"))
        page.on("response", lambda r: faults.append(f"{r.url}: {r.status}") if r.status >= 400 else None)
        page.on("console", lambda m: faults.append(f"console: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))

    def opened(query="", *, viewport=DESKTOP, **options):
        context = browser.new_context(viewport=viewport, accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        watch(page)
        page.goto(f"{base}/book/{request.module.PAGE}.html{query}")
        page.wait_for_selector("#atlas[aria-busy='false']")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []
