"""The checks of the built site: what a reader without a network would miss, and what no reader should see."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

LOADING = ("script", "img", "iframe", "source", "video", "audio", "embed")  # tags whose `src` the browser fetches
PAGES = {"next", "prev", "canonical", "index", "search", "author", "license", "genindex"}  # `rel` of a link to a page


@dataclass
class _Page:
    """What one HTML page loads, links to and shows."""

    loads: list[str]
    links: list[str]
    anchors: set[str]
    faults: list[str]


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
            if reason := _broken(url, path, pages):
                found.append(reason)
        faults += [f"{path.relative_to(site)}: {fault}" for fault in dict.fromkeys(found)]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8", errors="replace")
        for url in re.findall(r"(?:@import\s+|url\()\s*[\"']?(?:url\()?[\"']?((?:https?:)?//[^\"')\s]+)", text):
            faults.append(f"{path.relative_to(site)}: loads from outside: {url}")
    return faults


def _parse(path: Path) -> _Page:
    tags = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser", multi_valued_attributes=None).find_all(True)
    found = [(tag.name, {name: str(value) for name, value in tag.attrs.items()}) for tag in tags]
    loads = [of["src"] for tag, of in found if tag in LOADING and "src" in of]
    loads += [of["data"] for tag, of in found if tag == "object" and "data" in of]
    loads += [
        of["href"]
        for tag, of in found
        if tag == "link" and "href" in of and not set(of.get("rel", "").split()) <= PAGES
    ]
    links = [of["href"] for tag, of in found if tag == "a" and "href" in of]
    anchors = {of[name] for _, of in found for name in ("id", "name") if name in of}
    images = [of for tag, of in found if tag == "img" and not of.get("alt", "").strip()]
    faults = [f"an image without alt text: {of.get('src', '')[:80]}" for of in images]
    shown = {word for _, of in found if "output" in (words := of.get("class", "").split()) for word in words}
    faults += [f"a cell shows an output of the kind {kind}" for kind in ("traceback", "stderr") if kind in shown]
    for tag in tags:  # a script in the page may fetch one later; only addresses that end like one are meant
        if tag.name in ("script", "style"):
            named = re.findall(r"https?://[^\"' )]+\.(?:m?js|css)\b", tag.string or "")
            faults += [f"an inline {tag.name} names {address}" for address in named]
    return _Page(loads, links, anchors, faults)


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
