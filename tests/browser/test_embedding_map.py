"""The map of proteins of the built book in headless Chromium, from a folder and from a web server."""

import io
import json
import re
import shutil
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import expect

from plmbook.core import paths

PAGE = "embedding_map"
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000  # milliseconds


def settled(page):
    page.wait_for_selector("#atlas[aria-busy='false']")


def part(page, name):
    return page.locator(f"#atlas [data-part='{name}']")


def choice(page):
    """What the address says."""
    return {key: value for key, (value,) in parse_qs(urlsplit(page.url).query).items()}


def picture(page):
    """RGB pixels of the map as they are on the screen: int (height, width, 3)."""
    part(page, "map").scroll_into_view_if_needed()
    return np.array(Image.open(io.BytesIO(part(page, "map").screenshot())).convert("RGB")).astype(int)


@pytest.fixture(scope="module")
def index(site):
    text = (site / "_static/atlas/data/embedding_map/index.js").read_text(encoding="ascii")
    return json.loads(re.fullmatch(r"plmbookAtlas\.receive\((.*)\);\n", text, re.DOTALL)[1].join("[]"))[1]


@pytest.fixture(scope="module")
def tables(index):
    """Points and neighbours of the first model, by accession."""
    folder, name = paths.results(index["profile"]), index["models"][0]["name"]
    points, near = (pd.read_parquet(folder / f"{table}.{name}.parquet") for table in
                    ("embedding_map", "embedding_map_neighbours"))  # fmt: skip
    return points.set_index("id"), near.set_index("id")


@pytest.fixture(scope="module")
def protein(tables):
    """An accession whose gene symbol no other protein has in any case, with an ortholog."""
    points, _ = tables
    symbols = points["gene"].str.upper()
    alone = points[(symbols != "") & ~symbols.duplicated(keep=False)]
    return (
        sorted(alone.index[alone["ortholog"] != ""])[0] if (alone["ortholog"] != "").any() else sorted(alone.index)[0]
    )


def test_the_map_shows_all_groups(visit, index):
    page = visit()
    expect(part(page, "map-title")).to_contain_text(f"{index['models'][0]['proteins']:,} proteins")
    assert len(np.unique((picture(page) // 16).reshape(-1, 3), axis=0)) > 15
    for colour, least in (("species", 2), ("compartment", 9), ("family", 10)):
        part(page, "colour").select_option(colour)
        settled(page)
        assert part(page, "legend").locator(".atlas-key").count() >= least
        counts = [int(n.replace(",", "")) for n in re.findall(r"\(([\d,]+)\)", part(page, "legend").inner_text())]
        assert sum(counts) == index["models"][0]["proteins"]


def test_a_search_finds_a_gene_and_an_accession(visit, tables, protein):
    points, _ = tables
    page = visit()
    gene = points.loc[protein, "gene"]
    for text in (gene.lower(), protein):
        part(page, "search").fill(text)
        part(page, "search").press("Enter")
        page.wait_for_function(f"location.search.includes('id={protein}')")
        settled(page)
        expect(part(page, "name")).to_have_text(f"{gene} · {protein}")
    expect(part(page, "facts")).to_contain_text(
        f"{points.loc[protein, 'species']}, {points.loc[protein, 'length']} res"
    )
    expect(part(page, "facts")).to_contain_text(f"cluster {points.loc[protein, 'cluster']}")
    part(page, "search").fill("ZZZZ<b>")
    part(page, "search").press("Enter")
    expect(part(page, "notice")).to_have_text("No gene or accession begins with “ZZZZ<b>”.")


def test_the_table_is_that_of_the_results(visit, tables, protein):
    points, near = tables
    page = visit(f"?id={protein}")
    expected = near.loc[protein].sort_values("rank")
    names = part(page, "rows").locator("button").all_inner_texts()
    assert [name.split(" · ")[-1] for name in names] == expected["neighbour"].tolist()
    cosines = part(page, "rows").locator("td.atlas-cosine").all_inner_texts()
    assert [float(text) for text in cosines] == pytest.approx(expected["cosine"].tolist(), abs=0.00051)
    kin = points.loc[expected["neighbour"], "cluster"] == points.loc[protein, "cluster"]
    expect(part(page, "status")).to_contain_text(f"{kin.sum()} of the {len(expected)} nearest")
    part(page, "rows").locator("button").first.click()
    assert choice(page)["id"] == expected["neighbour"].iloc[0]
    page.go_back()
    settled(page)
    assert choice(page)["id"] == protein


def test_a_click_on_a_point_chooses_it(visit, tables):
    """The outermost protein of the first map stands alone: where it lies is where the click goes."""
    points, _ = tables
    page = visit("?layout=umap")
    xy = points[["umap_1", "umap_2"]].to_numpy()
    low, high = xy.min(axis=0), xy.max(axis=0)
    low, high = low - 0.03 * (high - low), high + 0.03 * (high - low)
    box = part(page, "map").bounding_box()
    shares = (xy - low) / (high - low)
    pixels = shares * [box["width"] - 32, box["height"] - 32] * [1, -1] + [22, box["height"] - 22]
    gaps = np.linalg.norm(pixels[:, None] - pixels[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    target = int(gaps.min(axis=1).argmax())
    part(page, "map").hover(position={"x": pixels[target, 0], "y": pixels[target, 1]})
    expect(part(page, "map").get_by_text(points.index[target])).to_be_visible()
    part(page, "map").click(position={"x": pixels[target, 0], "y": pixels[target, 1]})
    page.wait_for_function("location.search.includes('id=')")
    assert choice(page)["id"] == points.index[target]


def test_a_link_shows_the_same_to_another_reader(visit, protein):
    page = visit(f"?id={protein}&colour=species&layout=pca")
    fresh = visit(f"?{urlsplit(page.url).query}")
    for name in ("name", "facts", "status", "map-title"):
        expect(part(fresh, name)).to_have_text(part(page, name).inner_text())
    assert (np.abs(picture(fresh) - picture(page)).mean()) < 1
    other = visit(f"?id={protein}&colour=species&layout=umap")
    assert np.abs(picture(other) - picture(page)).mean() > 3


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?id=NOTHING", "There is no protein “NOTHING”"),
        ("?model=gpt", "There is no map by the model “gpt”"),
        ("?colour=red", "There is no colour “red”"),
        ("?layout=round", "There is no map “round”"),
        ("?id=<img src=x onerror=alert(1)>", "There is no protein “<img src=x onerror=alert(1)>”"),
    ],
)
def test_a_link_to_what_is_not_there_says_so(visit, query, message):
    page = visit(query)
    expect(part(page, "notice")).to_contain_text(message)
    part(page, "layout").select_option("pca")  # the way out
    part(page, "colour").select_option("species")
    if "model" in query:
        part(page, "model").select_option(index=0)
    settled(page)
    expect(part(page, "panels")).to_be_visible()


def test_the_keyboard_is_enough(visit, tables, protein):
    points, near = tables
    page = visit(f"?id={protein}")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.part") == "map":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    nearest = near.loc[protein].sort_values("rank")["neighbour"].tolist()
    for expected in (*nearest[:2], nearest[0]):
        page.keyboard.press("p" if expected == nearest[0] and choice(page)["id"] == nearest[1] else "n")
        page.wait_for_function(f"location.search.includes('id={expected}')")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"!location.search.includes('id={nearest[0]}')")
    moved = choice(page)["id"]
    assert points.loc[moved, "umap_1"] > points.loc[nearest[0], "umap_1"]
    before = picture(page)
    page.keyboard.press("+")
    page.wait_for_timeout(300)
    assert np.abs(picture(page) - before).mean() > 3
    page.keyboard.press("0")
    page.wait_for_timeout(300)
    assert np.abs(picture(page) - before).mean() < 1


def test_on_a_phone_nothing_is_out_of_reach(visit, protein):
    page = visit(f"?id={protein}", viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for control in page.locator("#atlas :is(select, button, input):visible").all():
        if control.evaluate("node => node.closest('.atlas-scroll') !== null"):
            continue  # the table scrolls in its own box
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 24 and box["width"] >= 24
    part(page, "rows").locator("button").first.tap()
    page.wait_for_function(f"!location.search.includes('id={protein}')")


def test_the_dark_theme_is_dark(visit):
    page = visit(color_scheme="dark")
    assert np.median(picture(page)) < 128
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_timeout(500)
    assert np.median(picture(page)) > 128


def test_what_is_drawn_has_a_name(visit):
    page = visit()
    for control in page.locator("#atlas :is(select, button, input)").all():
        assert control.evaluate("n => (n.labels?.[0]?.textContent || n.ariaLabel || n.textContent).trim()")
    assert len(part(page, "map").get_attribute("aria-label")) > 20
    for name in ("status", "facts"):
        assert part(page, name).get_attribute("aria-live") == "polite"


def test_a_profile_without_a_map_says_so(browser, site, tmp_path):
    from plmbook.book import map_page

    (tmp_path / "book").mkdir()
    shutil.copy(site / "book" / f"{PAGE}.html", tmp_path / "book")
    shutil.copytree(site / "_static", tmp_path / "_static", ignore=shutil.ignore_patterns("data", "*.png"))
    page = browser.new_page()
    page.goto(f"{tmp_path.as_uri()}/book/{PAGE}.html")
    expect(part(page, "notice")).to_contain_text("could not be read", timeout=PATIENCE)
    map_page.write(tmp_path / "_static/atlas/data", "paper", source=tmp_path / "none")
    page.reload()
    expect(part(page, "notice")).to_contain_text("The profile paper has no map of proteins", timeout=PATIENCE)
    expect(part(page, "controls")).to_be_hidden()
    page.close()


def test_without_scripts_the_tables_are_named(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/book/{PAGE}.html")
    assert "embedding_map.<model>.parquet" in page.locator("article noscript code").all_inner_texts()
    context.close()
