"""The rescue atlas of the built book in headless Chromium, from a folder and from a web server, as readers use it."""

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

from plmbook import tables
from plmbook.core import paths
from plmbook.core.residues import AMINO_ACIDS
from plmbook.sources import alphafold
from plmbook.variants.rescue_tables import RESCUE

PAGE = "atlas"
GENE, VARIANT = "TP53", "R175H"
PHONE = {"width": 390, "height": 844}
PATIENCE = 60_000  # milliseconds: software rendering on two busy cores is slow


def settled(page):
    page.wait_for_selector("#atlas[aria-busy='false']")


def part(page, name):
    return page.locator(f"#atlas [data-part='{name}']")


def choice(page):
    """What the address says."""
    return {key: value for key, (value,) in parse_qs(urlsplit(page.url).query).items()}


def picture(locator):
    """RGB pixels of an element as they are on the screen: int (height, width, 3)."""
    locator.scroll_into_view_if_needed()
    return np.array(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def n_colours(pixels):
    """How many colours cover at least ten pixels, sixteen shades a channel."""
    _, counts = np.unique((pixels // 16).reshape(-1, 3), axis=0, return_counts=True)
    return int((counts >= 10).sum())


def index(site):
    text = (site / "_static" / "atlas" / "data" / "index.js").read_text(encoding="ascii")
    return json.loads(re.fullmatch(r"plmbookAtlas\.receive\((.*)\);\n", text, re.DOTALL)[1].join("[]"))[1]


def result(site, name, model):
    return pd.read_parquet(paths.results(index(site)["profile"]) / f"{name}.{model}.parquet")


def model_of(site):
    """The first model that scanned the variant of these tests."""
    (gene,) = [each for each in index(site)["genes"] if each["gene"] == GENE]
    place = gene["mutations"].index(VARIANT)
    return next(each["name"] for each in index(site)["models"] if gene["best"].get(each["name"], {})[place] is not None)


def downloaded(page, name):
    with page.expect_download() as caught:
        part(page, name).click()
    return caught.value.suggested_filename, pd.read_csv(caught.value.path())


# --- choosing ----------------------------------------------------------------------------------------------------


def test_choose_a_variant_and_see_its_map_and_structure(visit, site):
    page = visit()
    other = next(each["gene"] for each in index(site)["genes"] if each["gene"] != GENE)
    part(page, "gene").select_option(other)
    settled(page)
    expect(part(page, "name")).to_contain_text(other)
    part(page, "gene").select_option(GENE)
    part(page, "variant").select_option(VARIANT)
    settled(page)
    expect(part(page, "name")).to_have_text(f"{GENE} {VARIANT}")
    expect(part(page, "status")).to_contain_text(f"{GENE} {VARIANT} by {model_of(site)}")
    expect(part(page, "stuck")).to_have_count(0)
    assert choice(page).items() >= {"gene": GENE, "variant": VARIANT, "model": model_of(site)}.items()
    assert n_colours(picture(part(page, "map"))) > 30
    assert n_colours(picture(part(page, "structure"))) > 10
    page.go_back()  # the choice before is in the history
    settled(page)
    assert choice(page)["gene"] == GENE and choice(page)["variant"] != VARIANT


def test_a_link_shows_the_same_to_another_reader(visit, site):
    page = visit()
    part(page, "gene").select_option(GENE)
    part(page, "variant").select_option(VARIANT)
    settled(page)
    page.get_by_label("background", exact=True).check()
    part(page, "colour").select_option("mean")
    part(page, "rows").locator("button").nth(2).click()
    link, said = page.url, part(page, "cell").inner_text()
    assert set(choice(page)) == {"gene", "variant", "model", "view", "colour", "at"}
    fresh = visit(f"?{urlsplit(link).query}")
    assert fresh.url == link
    for name in ("name", "facts", "status", "cell"):
        expect(part(fresh, name)).to_have_text(part(page, name).inner_text())
    assert said == part(fresh, "cell").inner_text()
    assert fresh.locator("#atlas input[name='view']:checked").get_attribute("value") == "background"
    assert part(fresh, "colour").input_value() == "mean"
    expect(part(fresh, "rows").locator("button[aria-pressed='true']")).to_have_count(1)
    assert np.abs(picture(part(fresh, "map")) - picture(part(page, "map"))).mean() < 1


@pytest.mark.parametrize(
    "query, message",
    [
        ("?gene=NOGENE1", "There is no gene “NOGENE1” in this atlas"),
        (f"?gene={GENE}&variant=Q0X", f"The variant “Q0X” of {GENE} was not scanned"),
        (f"?gene={GENE}&variant={VARIANT}&model=gpt", "There is no model “gpt” in this atlas"),
        (f"?gene={GENE}&variant={VARIANT}&view=constructor", "There is no view “constructor”"),
        (f"?gene={GENE}&variant={VARIANT}&colour=toString", "There is no colour “toString”"),
        ("?gene=<img src=x onerror=alert(1)>", "There is no gene “<img src=x onerror=alert(1)>”"),
    ],
)
def test_a_link_to_what_is_not_there_says_so(visit, query, message):
    page = visit(query)
    expect(part(page, "notice")).to_contain_text(message)
    assert part(page, "notice").get_attribute("role") == "alert"
    expect(part(page, "panels")).to_be_hidden()
    part(page, "gene").select_option(GENE)  # the way out
    settled(page)
    expect(part(page, "panels")).to_be_visible()
    expect(part(page, "notice")).to_be_hidden()


def test_every_model_has_a_map(visit, site):
    for model in index(site)["models"]:
        gene = next(each for each in index(site)["genes"] if any(each["best"].get(model["name"], [])))
        best = gene["best"][model["name"]]
        mutation = next(m for m, value in zip(gene["mutations"], best, strict=True) if value is not None)
        page = visit(f"?gene={gene['gene']}&variant={mutation}&model={model['name']}")
        expect(part(page, "status")).to_contain_text(f"{mutation} by {model['name']}")
        assert n_colours(picture(part(page, "map"))) > 10


def test_next_and_previous_stay_with_the_model(visit, site):
    """Of the scans the sparsest: between its variants lie others, which another model scanned."""
    scans = [
        (gene["gene"], model, [m for m, value in zip(gene["mutations"], best, strict=True) if value is not None])
        for gene in index(site)["genes"]
        for model, best in gene["best"].items()
    ]
    total = {gene["gene"]: len(gene["mutations"]) for gene in index(site)["genes"]}
    gene, model, mutations = min((scan for scan in scans if len(scan[2]) > 2), key=lambda s: len(s[2]) / total[s[0]])
    page = visit(f"?gene={gene}&model={model}")  # without a variant: the model's first
    expect(part(page, "previous")).to_be_disabled()
    for name, k in [(None, 0), ("next", 1), ("next", 2), ("previous", 1)]:
        if name:
            part(page, name).click()
            settled(page)
            assert (choice(page)["variant"], choice(page)["model"]) == (mutations[k], model)
        expect(part(page, "name")).to_have_text(f"{gene} {mutations[k]}")
        expect(part(page, "model")).to_have_value(model)
    part(page, "variant").select_option(mutations[-1])
    settled(page)
    expect(part(page, "next")).to_be_disabled()


def test_the_page_counts_what_was_scanned(visit, site):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    known = index(site)
    groups = [known["classes"][k] for gene in known["genes"] for k in gene["classes"]]
    counted = [f"{groups.count(name):,} {name}" for name in known["classes"] if name in groups]
    expect(page.locator("#atlas-scanned")).to_have_text(f"{', '.join(counted)} variants of {len(known['genes'])} genes")
    model = model_of(site)
    ranks = result(site, "rescue", model).query("id == @GENE and mutation == @VARIANT")
    best = ranks[ranks["rank"] <= known["top"]]
    assert len(best) == known["top"] and len(ranks) <= 2 * known["top"]
    expect(page.locator("#atlas-top")).to_have_text(f"best {known['top']}")


# --- while files are on their way --------------------------------------------------------------------------------


@pytest.fixture
def slow(browser, server):
    """The page with R175H, from a server whose shards a test keeps back, cuts or loses."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{server}/book/{PAGE}.html?gene={GENE}&variant={VARIANT}")
    settled(page)
    yield page
    context.close()


def others(site):
    """Two genes beside that of these tests."""
    return [each["gene"] for each in index(site)["genes"] if each["gene"] != GENE][:2]


def kept_back(page, gene):
    """The requests for the maps of a gene, which wait for `continue_`, `abort` or `fulfill`."""
    routes = []
    page.route(re.compile(rf"/data/[^/]+/{gene}/[^/]+\.js$"), lambda route: routes.append(route))
    return routes


def choose_gene(page, gene, routes=None):
    """Choose; where its requests are kept back, wait for the first."""
    part(page, "gene").select_option(gene)
    for _ in range(PATIENCE // 50):
        if routes is None or routes:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"the page does not ask for {gene}")


def agree(page, site):
    """The address, the heading, the table and the file are of one choice."""
    asked = choice(page)
    name = f"{asked['gene']} {asked['variant']}"
    expect(part(page, "name")).to_have_text(name)
    expect(part(page, "caption")).to_have_text(f"Candidates for {name}, {asked['model']}")
    expect(part(page, "status")).to_contain_text(f"{name} by {asked['model']}: ")
    shown = part(page, "rows").locator("button").all_inner_texts()
    file, found = downloaded(page, "csv-candidates")
    assert file == f"candidates_{asked['gene']}_{asked['variant']}_{asked['model']}.csv"
    for column, value in {"id": asked["gene"], "mutation": asked["variant"], "model": asked["model"]}.items():
        assert set(found[column]) == {value}
    names = found["ref"] + found["position"].astype(str) + found["alt"]
    assert shown == names[: len(shown)].tolist()
    expected = result(site, "rescue", asked["model"])
    expected = expected[(expected["id"] == asked["gene"]) & (expected["mutation"] == asked["variant"])]
    np.testing.assert_allclose(found["epistasis"], expected["epistasis"], rtol=1e-6)


def test_while_a_map_loads_the_page_is_that_of_the_one_before(slow, site):
    other = others(site)[0]
    routes = kept_back(slow, other)
    choose_gene(slow, other, routes)
    assert choice(slow)["gene"] == other
    slow.evaluate("document.documentElement.dataset.theme = 'dark'")  # draws again
    slow.wait_for_timeout(500)
    part(slow, "more").click()  # and the table
    said = f"{GENE} {VARIANT}"
    expect(part(slow, "name")).to_have_text(said)
    expect(part(slow, "status")).to_contain_text(f"{said} by {model_of(site)}: ")
    expect(part(slow, "caption")).to_have_text(f"Candidates for {said}, {model_of(site)}")
    for name in ("csv-candidates", "csv-map"):
        expect(part(slow, name)).to_be_disabled()
    part(slow, "rows").locator("button").nth(2).click()  # would choose a substitution of what is gone
    assert "at" not in choice(slow)
    routes[0].continue_()
    settled(slow)
    assert choice(slow)["gene"] == other
    agree(slow, site)


def test_the_last_of_several_choices_counts(slow, site):
    """Whichever file comes first."""
    first, second = others(site)
    early, late = kept_back(slow, first), kept_back(slow, second)
    choose_gene(slow, first, early)
    choose_gene(slow, second, late)
    early[0].continue_()
    slow.wait_for_timeout(1000)
    assert slow.locator("#atlas").get_attribute("aria-busy") == "true"  # the second is still under way
    expect(part(slow, "name")).to_have_text(f"{GENE} {VARIANT}")
    late[0].continue_()
    settled(slow)
    assert choice(slow)["gene"] == second
    agree(slow, site)


def test_what_fails_after_another_choice_is_no_fault_of_that(slow, site):
    first, second = others(site)
    early = kept_back(slow, first)
    choose_gene(slow, first, early)
    choose_gene(slow, second)
    settled(slow)
    early[0].abort()
    slow.wait_for_timeout(1000)
    expect(part(slow, "notice")).to_be_hidden()
    expect(part(slow, "panels")).to_be_visible()
    agree(slow, site)


@pytest.mark.parametrize("kind", ["cut", "another page"])
def test_a_damaged_file_is_named_and_asked_for_again(slow, site, kind):
    other = others(site)[0]
    routes = kept_back(slow, other)
    choose_gene(slow, other, routes)
    if kind == "cut":
        text = routes[0].fetch().text()
        routes[0].fulfill(body=text[: len(text) // 2], content_type="text/javascript")
    else:
        routes[0].fulfill(body="<!doctype html><title>Not here</title>", content_type="text/html")
    expect(part(slow, "notice")).to_contain_text("of the atlas is damaged", timeout=10_000)
    settled(slow)
    expect(part(slow, "panels")).to_be_hidden()
    slow.unroute_all()
    choose_gene(slow, GENE)
    settled(slow)
    choose_gene(slow, other)
    settled(slow)
    expect(part(slow, "notice")).to_be_hidden()
    agree(slow, site)


def test_the_browser_gets_the_stream_and_nothing_after_it(slow):
    """Firefox refuses the bytes that base 85 pads with; what is handed over is a Blob."""
    found = slow.evaluate(
        """async (name) => {
          const { numbers, wild_type } = await plmbookAtlas.load(`gene/${name}`);
          const given = [];
          const Plain = Blob;
          window.Blob = class extends Plain { constructor(...all) { super(...all); given.push(this.size); } };
          const packed = [numbers, ...Object.values(wild_type)];
          for (const each of packed) await plmbookAtlas.unpack(each);
          window.Blob = Plain;
          return { given, expected: packed.map((each) => each.deflated) };
        }""",
        GENE,
    )
    assert found["given"] == found["expected"]
    assert any(size % 4 for size in found["expected"])  # so that there is something to leave out


# --- numbers -----------------------------------------------------------------------------------------------------


def test_downloaded_candidates_are_those_of_the_result_table(visit, site):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    name, found = downloaded(page, "csv-candidates")
    model = model_of(site)
    assert name == f"candidates_{GENE}_{VARIANT}_{model}.csv"
    expected = result(site, "rescue", model).query("id == @GENE and mutation == @VARIANT").reset_index(drop=True)
    assert found.columns.tolist() == list(RESCUE.names)
    found = tables.check(found, RESCUE, where=name)
    pd.testing.assert_frame_equal(found, expected[found.columns], check_dtype=False, rtol=1e-12)


def test_the_downloaded_map_is_that_of_the_result_table(visit, site):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    _, found = downloaded(page, "csv-map")
    model = model_of(site)
    row = result(site, "rescue_maps", model).query("id == @GENE and mutation == @VARIANT").iloc[0]
    codes = np.frombuffer(row["epistasis"], dtype=np.int8).reshape(-1, 20)
    expected = codes * np.float32(row["scale"])  # no absent place is downloaded
    wild = result(site, "rescue_wild_type", model).query("id == @GENE").set_index("position")
    assert len(found) == 19 * (len(expected) - 1)
    j, column = found["position"] - 1, found["alt"].map(AMINO_ACIDS.index)
    assert (found["epistasis"].astype("float32") == expected[j, column]).all()
    own = wild[list(AMINO_ACIDS)].to_numpy()[j, column]
    assert (found["score_wild_type"].astype("float32") == own).all()
    assert (found["score_background"].astype("float32") == own + expected[j, column]).all()
    assert found["half_step"].nunique() == 1 and found["half_step"][0] == pytest.approx(row["scale"] / 2)


def test_the_table_shows_the_best_and_sorts(visit, site):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    expected = result(site, "rescue", model_of(site)).query("id == @GENE and mutation == @VARIANT")
    names = (expected["ref"] + expected["position"].astype(str) + expected["alt"]).tolist()
    buttons = part(page, "rows").locator("button")
    assert buttons.all_inner_texts() == names[: buttons.count()]
    part(page, "more").click()
    assert buttons.all_inner_texts() == names
    page.get_by_role("button", name="Distance").click()
    heads = part(page, "head").locator("th[aria-sort='ascending']")
    assert heads.all_inner_texts()[0].startswith("Distance")
    shown = [
        float(text.removeprefix("● "))
        for text in part(page, "rows").locator("td.atlas-distance_angstrom").all_inner_texts()
    ]
    assert shown == sorted(expected["distance_angstrom"].round(1)) or np.allclose(
        shown, sorted(expected["distance_angstrom"]), atol=0.051
    )


def test_the_drawn_structure_is_that_of_the_bundled_tables(visit):
    """What the page hands to 3Dmol is a PDB file that our own reader takes."""
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    text = page.evaluate(
        """async (name) => {
          const gene = await plmbookAtlas.load(`gene/${name}`);
          return plmbookAtlas.structure.pdb({ ...gene, numbers: await plmbookAtlas.unpack(gene.numbers) });
        }""",
        GENE,
    )
    found = alphafold.read_structure(io.StringIO(text)).merge(alphafold.read_backbone(io.StringIO(text)))
    expected = tables.load("structures").merge(tables.load("backbone")).query("gene == @GENE").reset_index(drop=True)
    assert found["residue"].tolist() == expected["residue"].tolist()
    for name in found.columns.drop(["position", "residue"]):
        np.testing.assert_allclose(found[name], expected[name], atol=0.0051, err_msg=name)


# --- map and structure answer to each other ----------------------------------------------------------------------


def test_a_click_on_the_map_chooses_a_substitution(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    box = part(page, "map").bounding_box()
    part(page, "map").click(position={"x": box["width"] / 2 + 60, "y": 300})
    page.wait_for_function("location.search.includes('at=')")
    assert re.fullmatch(r"\d+[A-Z]", choice(page)["at"])
    position = choice(page)["at"][:-1]
    expect(part(page, "cell")).to_contain_text(re.compile(rf"^[A-Z]{position}[A-Z]: epistasis [+−]\d"))


def test_a_click_on_a_residue_chooses_its_best_substitution(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    structure = part(page, "structure")
    structure.scroll_into_view_if_needed()
    box = structure.bounding_box()
    middle = [
        (box["width"] * (0.5 + dx / 20), box["height"] * (0.5 + dy / 20))
        for dx in range(-6, 7, 2)
        for dy in range(-6, 7, 2)
    ]
    for x, y in middle:  # some residue lies under one of these
        structure.click(position={"x": x, "y": y})
        if "at" in choice(page):
            break
    position = choice(page)["at"][:-1]
    expect(part(page, "cell")).to_contain_text(re.compile(rf"^[A-Z]{position}[A-Z]: epistasis"))


def test_a_candidate_moves_the_map(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    part(page, "more").click()
    first, last = map(int, re.findall(r"\d+", part(page, "range").inner_text())[:2])
    far = next(
        button
        for button in part(page, "rows").locator("button").all()
        if not first <= int(button.inner_text()[1:-1]) <= last
    )
    position = int(far.inner_text()[1:-1])
    far.click()
    first, last = map(int, re.findall(r"\d+", part(page, "range").inner_text())[:2])
    assert first <= position <= last
    expect(part(page, "rows").locator("tr.atlas-selected")).to_have_count(1)


# --- keyboard, phone, theme --------------------------------------------------------------------------------------


def test_the_keyboard_is_enough(visit):
    page = visit()

    def tab_to(name):
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.dataset.part") == name:
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("gene")
    page.keyboard.type(GENE)
    settled(page)
    tab_to("variant")
    page.keyboard.type(VARIANT)
    page.wait_for_function(f"location.search.includes('variant={VARIANT}')")
    settled(page)
    expect(part(page, "name")).to_have_text(f"{GENE} {VARIANT}")
    tab_to("map")
    page.keyboard.press("Home")
    best = part(page, "rows").locator("button").first.inner_text()
    assert choice(page)["at"] == best[1:]
    page.keyboard.press("ArrowRight")
    moved = choice(page)["at"]
    assert moved[-1] == best[-1] and int(moved[:-1]) > int(best[1:-1])
    page.keyboard.press("0")
    expect(part(page, "range")).to_contain_text("positions 1–")
    tab_to("csv-candidates")
    with page.expect_download() as caught:
        page.keyboard.press("Enter")
    assert caught.value.suggested_filename.startswith(f"candidates_{GENE}_{VARIANT}_")


def test_on_a_phone_nothing_is_out_of_reach(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}", viewport=PHONE, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for control in page.locator("#atlas :is(select, button):visible").all():
        if control.evaluate("node => node.closest('.atlas-scroll') !== null"):
            continue  # the table scrolls in its own box
        box = control.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
        assert box["height"] >= 24 and box["width"] >= 24
    part(page, "next").tap()
    page.wait_for_function(f"!location.search.includes('variant={VARIANT}')")
    settled(page)
    part(page, "rows").locator("button").first.tap()
    assert "at" in choice(page)
    assert n_colours(picture(part(page, "map"))) > 30
    assert n_colours(picture(part(page, "structure"))) > 10


def test_the_dark_theme_is_dark(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}", color_scheme="dark")
    for name in ("map", "structure"):
        assert np.median(picture(part(page, name))) < 128, name
    page.evaluate("document.documentElement.dataset.theme = 'light'")
    page.wait_for_timeout(500)
    assert np.median(picture(part(page, "map"))) > 128


def luminance(colour):
    """Of a CSS colour such as rgb(1, 2, 3); WCAG 2.2."""
    parts = np.array(re.findall(r"[\d.]+", colour)[:3], dtype=float) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_focus_stand_out(visit, site, theme):
    """WCAG 2.2: text 4.5 to 1, and what marks the focus 3 to 1."""
    page = visit(f"?gene={GENE}&variant={VARIANT}", color_scheme=theme)
    behind = """(node) => {
      const clear = (n) => getComputedStyle(n).backgroundColor.replaceAll(" ", "") === "rgba(0,0,0,0)";
      while (clear(node) && node.parentElement) node = node.parentElement;
      return getComputedStyle(node).backgroundColor;
    }"""
    badge = part(page, "class")
    assert contrast(badge.evaluate("n => getComputedStyle(n).color"), badge.evaluate(behind)) >= 4.5
    known = index(site)
    dot = badge.evaluate("n => getComputedStyle(n, '::before').backgroundColor")
    assert luminance(dot) == pytest.approx(luminance("rgb(213, 94, 0)"))  # vermilion: R175H is P/LP
    assert badge.inner_text() in known["classes"]
    page.keyboard.press("Tab")
    for name in ("gene", "next", "map"):
        part(page, name).focus()
        ring = part(page, name).evaluate("n => [getComputedStyle(n).outlineColor, getComputedStyle(n).boxShadow]")
        around = part(page, name).locator("..").evaluate(behind)
        assert max(contrast(colour, around) for colour in ring if "rgb" in colour) >= 3, (name, ring, around)


def test_what_is_drawn_has_a_name(visit):
    page = visit(f"?gene={GENE}&variant={VARIANT}")
    for control in page.locator("#atlas :is(select, button, input)").all():
        named = control.evaluate("n => (n.labels?.[0]?.textContent || n.ariaLabel || n.textContent).trim()")
        assert named
    for name in ("map", "structure", "map-scale"):
        assert len(part(page, name).get_attribute("aria-label")) > 20
    for name in ("status", "cell"):
        assert part(page, name).get_attribute("aria-live") == "polite"


# --- without what it needs ---------------------------------------------------------------------------------------


def test_without_scripts_the_tables_are_named(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site.as_uri()}/book/atlas.html")
    expect(page.locator("article noscript p")).to_be_visible()
    assert "rescue_maps.<model>.parquet" in page.locator("article noscript code").all_inner_texts()
    context.close()


@pytest.mark.parametrize("lack", ["syntax", "DecompressionStream"])
def test_a_browser_that_is_too_old_says_so(browser, server, lack):
    page = browser.new_page()
    if lack == "syntax":  # what an old browser makes of the script
        page.route("**/atlas/atlas.js", lambda route: route.fulfill(body="?", content_type="text/javascript"))
    else:
        page.add_init_script(f"delete window.{lack}")
    page.goto(f"{server}/book/{PAGE}.html")
    expect(part(page, "stuck")).to_be_visible()
    expect(part(page, "stuck")).to_contain_text("does not start in this browser")
    expect(part(page, "controls")).to_be_hidden()
    page.close()


def test_a_profile_without_a_scan_says_so(browser, site, tmp_path):
    """The index that `plmbook.book.atlas.write` makes where no scan has run, in a copy of the page."""
    from plmbook.book import atlas

    (tmp_path / "book").mkdir()
    shutil.copy(site / "book" / "atlas.html", tmp_path / "book")
    shutil.copytree(site / "_static", tmp_path / "_static", ignore=shutil.ignore_patterns("data", "*.png"))
    atlas.write(tmp_path / "_static" / "atlas" / "data", "paper", source=tmp_path / "none")
    page = browser.new_page()
    page.goto(f"{tmp_path.as_uri()}/book/atlas.html")
    expect(part(page, "notice")).to_contain_text("The profile paper has no rescue scan", timeout=PATIENCE)
    expect(part(page, "controls")).to_be_hidden()
    page.close()


def test_a_missing_file_is_named(browser, site, tmp_path):
    (tmp_path / "book").mkdir()
    shutil.copy(site / "book" / "atlas.html", tmp_path / "book")
    shutil.copytree(site / "_static", tmp_path / "_static", ignore=shutil.ignore_patterns("data", "*.png"))
    page = browser.new_page()
    page.goto(f"{tmp_path.as_uri()}/book/atlas.html")
    expect(part(page, "notice")).to_contain_text("index.js of the atlas could not be read", timeout=PATIENCE)
    page.close()
