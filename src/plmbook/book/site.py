"""The checks of the built site: what a reader without a network would miss, and what no reader should see.

`make check-site` runs them on the published pages; the runner runs them before it publishes.
"""

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class _Page(HTMLParser):
    """What one HTML page loads, links to and shows."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.update(found[name] for name in ("id", "name") if found.get(name))
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed") and "src" in found:
            self.loads.append(found["src"])
        if tag == "object" and "data" in found:
            self.loads.append(found["data"])
        # rel=next, prev, canonical name a page; the others make the browser fetch a file
        pages = {"next", "prev", "canonical", "index", "search", "author", "license", "genindex"}
        if tag == "link" and "href" in found and not set(found.get("rel", "").split()) <= pages:
            self.loads.append(found["href"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt", "").strip():
            self.faults.append(f"an image without alt text: {found.get('src', '')[:80]}")
        for name in ("traceback", "stderr"):
            if "output" in found.get("class", "").split() and name in found["class"].split():
                self.faults.append(f"a cell shows an output of the kind {name}")

    def handle_data(self, data: str) -> None:
        # A script in the page may fetch one later. Only addresses that end like a script or a style are meant.
        if self.cdata_elem in ("script", "style"):
            self.faults += [
                f"an inline {self.cdata_elem} names {address}"
                for address in re.findall(r"https?://[^\"' )]+\.(?:m?js|css)\b", data)
            ]


def check_site(site: Path) -> list[str]:
    """Check the built pages as a reader without a network meets them."""
    site = Path(site).resolve()
    pages = {path: _parse(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts}
    if not pages:
        return [f"{site}: no pages"]
    faults = []
    for path, page in pages.items():
        found = list(page.faults)
        found += [f"loads from outside: {url}" for url in page.loads if _is_outside(url)]
        for url in [*page.loads, *page.links]:
            reason = _broken(url, path, pages)
            if reason:
                found.append(reason)
        faults += [f"{path.relative_to(site)}: {fault}" for fault in dict.fromkeys(found)]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for url in re.findall(r"(?:@import\s+|url\()\s*[\"']?(?:url\()?[\"']?((?:https?:)?//[^\"')\s]+)", text):
            faults.append(f"{path.relative_to(site)}: loads from outside: {url}")
    return faults


def _parse(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def _is_outside(url: str) -> bool:
    """Whether a browser would ask another machine for this address.

    >>> _is_outside("//example.org/a.js"), _is_outside("_static/a.js"), _is_outside("data:image/png;base64,AAAA")
    (True, False, False)
    """
    parts = urlsplit(url)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ftp")


def _broken(url: str, page: Path, pages: dict[Path, _Page]) -> str | None:
    """Why a local address leads nowhere, or None."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if target.is_dir():
        target = target / "index.html"
    if not target.is_file():
        return f"leads to a file that does not exist: {url}"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"leads to an anchor that does not exist: {url}"
    return None


if __name__ == "__main__":
    problems = check_site(Path(sys.argv[1]))
    print("\n".join(problems) if problems else f"{sys.argv[1]}: nothing to complain about")
    sys.exit(1 if problems else 0)
