/* The map of proteins: one choice (protein, colour, layout, model), kept in the address; everything is drawn from it.
   Its data are shards as those of the rescue atlas (src/plmbook/book/map_page.py writes them). */
"use strict";

(() => {
  const { colours, load, unpack } = plmbookAtlas;
  const root = document.getElementById("atlas");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const MATCHES = 20; // lines that the search offers
  const SYMBOLS = { o: "circle", s: "rect", "^": "triangle", D: "diamond", v: "arrow" };
  const SHAPES = { // the same marks in the legend, in a box of 10 x 10
    o: "M5 0a5 5 0 1 0 .01 0z", s: "M0 0h10v10H0z", "^": "M5 0l5 10H0z", D: "M5 0l5 5-5 5-5-5z", v: "M5 10L0 0l5 3 5-3z",
  };
  const COLOURS = ["family", "compartment", "species"];

  let index = null;
  let scene = null; // the proteins of one model
  let choice = {};
  let chart = null;
  let step = -1; // which of the nearest the keys N and P have come to
  const scenes = new Map();

  // --- the choice and the address ------------------------------------------------------------------------

  function fromAddress() {
    const query = new URLSearchParams(location.search);
    return Object.fromEntries(["id", "colour", "layout", "model"].filter((key) => query.get(key))
      .map((key) => [key, query.get(key)]));
  }

  const completed = (found) => (
    { colour: COLOURS[0], layout: Object.keys(index.layouts)[0], model: index.models[0].name, id: "", ...found });

  function choose(change, { push = true } = {}) {
    choice = { ...choice, ...change };
    const address = new URL(location.href);
    address.search = "";
    for (const [key, value] of Object.entries(choice)) if (value) address.searchParams.set(key, value);
    if (address.href !== location.href) history[push ? "pushState" : "replaceState"](null, "", address.href);
    return show();
  }

  /** What is wrong with a choice before its proteins are read; "" where nothing is. */
  function fault({ model, colour, layout }) {
    if (!index.models.some((each) => each.name === model)) return `There is no map by the model “${model}”. Choose one.`;
    if (!COLOURS.includes(colour)) return `There is no colour “${colour}”. Choose one.`;
    return index.layouts[layout] ? "" : `There is no map “${layout}”. Choose one.`;
  }

  // --- data ----------------------------------------------------------------------------------------------

  async function sceneOf(model) {
    if (!scenes.has(model)) {
      const shard = await load(`embedding_map/${model}`);
      const numbers = await unpack(shard.numbers);
      const place = new Map(shard.ids.map((id, i) => [id.toUpperCase(), i]));
      scenes.set(model, { ...shard, numbers, place, n: shard.ids.length });
    }
    return scenes.get(model);
  }

  const label = (i) => (scene.genes[i] ? `${scene.genes[i]} · ${scene.ids[i]}` : scene.ids[i]);
  const groupOf = (column, i) => scene.groups[column][scene.numbers[column][i]];
  const nearest = (i) => Array.from({ length: scene.k }, (_, r) => scene.numbers.neighbours[i * scene.k + r]);
  const chosen = () => scene?.place.get(choice.id.toUpperCase()) ?? -1;
  const point = (i) => [scene.numbers[choice.layout][2 * i], scene.numbers[choice.layout][2 * i + 1]];

  /** Proteins whose accession or gene symbol begins with a text; exact ones first. */
  function matches(text) {
    const wanted = text.trim().toUpperCase();
    if (!wanted) return [];
    const accession = wanted.split("·").at(-1).trim();
    if (scene.place.has(accession)) return [scene.place.get(accession)];
    const found = [];
    for (let i = 0; i < scene.n; i++) {
      const [gene, id] = [scene.genes[i].toUpperCase(), scene.ids[i].toUpperCase()];
      if (gene === wanted) found.push([0, i]);
      else if (gene.startsWith(wanted) || id.startsWith(wanted)) found.push([1, i]);
    }
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).slice(0, MATCHES).map(([, i]) => i);
  }

  // --- drawing -------------------------------------------------------------------------------------------

  const say = (name, text) => {
    part(name).textContent = text;
    part(name).hidden = !text && name === "notice";
  };

  async function show() {
    const asked = choice;
    fillControls();
    let wrong = fault(asked);
    root.setAttribute("aria-busy", "true");
    try {
      if (!wrong) {
        const found = await sceneOf(asked.model);
        if (asked !== choice) return; // another choice came meanwhile
        scene = found;
        if (asked.id && chosen() < 0) wrong = `There is no protein “${asked.id}” on this map. Search for another.`;
      }
      say("notice", wrong);
      part("panels").hidden = !scene;
      if (wrong && !(scene && asked.id)) return;
      draw();
    } catch (error) {
      say("notice", `${error.message} Build the book again, or reload the page.`);
      part("panels").hidden = true;
    } finally {
      if (asked === choice) root.setAttribute("aria-busy", "false");
    }
  }

  function fillControls() {
    const fill = (name, options, value) => {
      part(name).replaceChildren(...options.map(([key, text]) => new Option(text, key)));
      part(name).value = value;
    };
    fill("model", index.models.map(({ name, proteins }) =>
      [name, `${name} (${proteins.toLocaleString("en")} proteins)`]), choice.model);
    fill("layout", Object.entries(index.layouts), choice.layout);
    part("colour").value = choice.colour;
  }

  /** Whether a group is one of the grey ones. */
  const isRest = ([, colour]) => choice.colour !== "species" && colour === scene.groups[choice.colour].at(-1)[1];

  function paint(group) {
    if (!colours.isDark()) return group[1];
    return isRest(group) ? "#555b63" : lighter(group[1]);
  }

  /** Dark colours do not show on a dark page. */
  function lighter(colour) {
    const mixed = [1, 3, 5].map((i) => Math.round(parseInt(colour.slice(i, i + 2), 16) * 0.6 + 255 * 0.4));
    return "#" + mixed.map((value) => value.toString(16).padStart(2, "0")).join("");
  }

  function draw() {
    if (!chart) {
      chart = echarts.init(part("map"), null, { renderer: "canvas" });
      chart.on("click", ({ value }) => value && pick(value[2]));
    }
    const page = colours.ofPage();
    const font = getComputedStyle(part("map")).fontFamily;
    const hidden = { type: "value", axisLabel: { show: false }, axisTick: { show: false },
      axisLine: { lineStyle: { color: page.line }, onZero: false }, splitLine: { show: false },
      nameTextStyle: { color: page.muted }, nameLocation: "middle", nameGap: 8 };
    const zoom = chart.getOption()?.dataZoom?.slice(0, 2).map(({ start, end }) => ({ start, end }));
    const same = scene.drawn === choice.layout;
    scene.drawn = choice.layout;
    chart.setOption({
      animation: false,
      textStyle: { color: page.text, fontFamily: font },
      aria: { enabled: false }, // the page says it in words
      grid: { left: 22, right: 10, top: 10, bottom: 22 },
      xAxis: { ...hidden, ...bounds(0), name: axisName(1) },
      yAxis: { ...hidden, ...bounds(1), name: axisName(2) },
      dataZoom: [{ xAxisIndex: 0 }, { yAxisIndex: 0 }].map((axis, k) => ({
        type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseWheel: false,
        preventDefaultMouseMove: false, ...axis, ...(same && zoom ? zoom[k] : { start: 0, end: 100 }) })),
      tooltip: { trigger: "item", confine: true, backgroundColor: page.back, borderColor: page.line, padding: [5, 9],
        textStyle: { color: page.text, fontSize: 12 },
        formatter: ({ value }) => (value ? describe(value[2]).map(echarts.format.encodeHTML).join("<br>") : "") },
      series: [...pointSeries(), ...markSeries(page)],
    }, { notMerge: true });
    part("search").placeholder = `such as ${scene.genes.find(Boolean) ?? scene.ids[0]}`;
    say("map-title", `${scene.n.toLocaleString("en")} proteins by ${scene.model}, ${index.layouts[choice.layout]}`);
    fillLegend();
    fillChosen();
  }

  /** The ends of an axis: 3 % beyond the outermost points. */
  function bounds(axis) {
    const values = scene.numbers[choice.layout].filter((_, k) => k % 2 === axis);
    const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
    return { min: low - 0.03 * (high - low), max: high + 0.03 * (high - low) };
  }

  const axisName = (number) => (choice.layout === "pca" ? `component ${number}` : "no unit");

  /** One series a group; the grey ones come first and lie below. */
  function pointSeries() {
    const groups = scene.groups[choice.colour];
    const members = groups.map(() => []);
    for (let i = 0; i < scene.n; i++) members[scene.numbers[choice.colour][i]].push([...point(i), i]);
    return groups.map((group, g) => ({
      id: `group ${g}`, type: "scatter", data: members[g], symbol: SYMBOLS[group[2]], z: isRest(group) ? 1 : 2,
      symbolSize: isRest(group) ? 4 : 6, cursor: "pointer", progressive: 0,
      itemStyle: { color: paint(group), opacity: 0.85 },
      emphasis: { itemStyle: { borderColor: colours.ofPage().mark, borderWidth: 1.5 } },
    }));
  }

  /** The chosen protein and, as rings, its nearest. */
  function markSeries(page) {
    const i = chosen();
    const ring = (id, places, size, colour, width) => ({
      id, type: "scatter", z: 5, silent: true, symbol: "circle", symbolSize: size, data: places.map((p) => [...point(p), p]),
      itemStyle: { color: "transparent", borderColor: colour, borderWidth: width },
    });
    return [ring("nearest", i < 0 ? [] : nearest(i), 11, page.mark, 1.5),
      ring("chosen", i < 0 ? [] : [i], 17, colours.candidate, 4)];
  }

  function fillLegend() {
    const counts = new Array(scene.groups[choice.colour].length).fill(0);
    for (let i = 0; i < scene.n; i++) counts[scene.numbers[choice.colour][i]]++;
    part("legend").replaceChildren(...scene.groups[choice.colour].map((group, g) => {
      const [name, , mark, note] = group;
      const key = document.createElement("span");
      key.className = "atlas-key";
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 10 10");
      svg.setAttribute("aria-hidden", "true");
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
      shape.setAttribute("d", SHAPES[mark]);
      shape.setAttribute("fill", paint(group));
      svg.append(shape);
      key.append(svg, ` ${name} (${counts[g].toLocaleString("en")})`);
      if (note) key.title = note;
      return key;
    }));
  }

  /** What is known of a protein, line by line. */
  function describe(i) {
    const [, , , term] = groupOf("family", i);
    const family = groupOf("family", i)[0];
    const cluster = scene.clusters[scene.numbers.cluster[i]];
    const lines = [label(i), `${groupOf("species", i)[0]}, ${scene.numbers.length[i]} residues`,
      `compartment: ${groupOf("compartment", i)[0]}`,
      `cluster ${cluster}` + (term ? `, family ${family} (${term})` : "")];
    const ortholog = scene.numbers.ortholog[i];
    return ortholog < scene.n ? [...lines, `ortholog: ${label(ortholog)}`] : lines;
  }

  function fillChosen() {
    const i = chosen();
    if (i < 0) {
      say("name", "No protein chosen");
      say("facts", "Choose a point, or search for a gene or an accession.");
      say("caption", "");
      part("rows").replaceChildren();
      return say("status", "");
    }
    const [name, ...facts] = describe(i);
    say("name", name);
    say("facts", `${facts.join("; ")}.`);
    say("caption", `The ${scene.k} nearest proteins by cosine`);
    part("rows").replaceChildren(...nearest(i).map((other, r) => row(i, other, r)));
    const same = nearest(i).filter((other) => isKin(i, other)).length;
    say("status", `${name}: ${same} of the ${scene.k} nearest proteins are of its family; the nearest is ` +
      `${label(nearest(i)[0])}.`);
  }

  const isKin = (i, other) => scene.numbers.cluster[i] === scene.numbers.cluster[other];

  function row(i, other, r) {
    const made = document.createElement("tr");
    const cell = (text, className) => {
      const td = document.createElement("td");
      td.className = className;
      td.append(text);
      return td;
    };
    const button = document.createElement("button");
    button.type = "button";
    button.className = "atlas-pick";
    button.textContent = label(other);
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      pick(other);
    });
    const name = cell(button, "atlas-name");
    if (isKin(i, other)) name.append(" ●");
    made.append(cell(String(r + 1), "atlas-name"), name, cell(groupOf("species", other)[0], "atlas-name"),
      cell(groupOf("compartment", other)[0], "atlas-name"),
      cell((scene.numbers.cosines[i * scene.k + r] / 1000).toFixed(3), "atlas-cosine"));
    made.addEventListener("click", () => pick(other));
    return made;
  }

  // --- moving about --------------------------------------------------------------------------------------

  function pick(i, { keepStep = false } = {}) {
    if (!keepStep) step = -1;
    if (i < 0 || i === undefined) return;
    say("notice", "");
    choose({ id: scene.ids[i] });
  }

  function search() {
    const text = part("search").value;
    if (!text.trim()) return;
    const [first] = matches(text);
    if (first === undefined) {
      say("notice", `No gene or accession begins with “${text}”.`);
      return;
    }
    pick(first);
  }

  function offer() {
    part("matches").replaceChildren(...(scene ? matches(part("search").value) : []).map((i) => {
      const line = document.createElement("option");
      line.value = label(i);
      line.label = `${label(i)}, ${groupOf("species", i)[0]}`;
      return line;
    }));
  }

  /** The nearest point in a direction on the map, within 45 degrees of it. */
  function towards(dx, dy) {
    const i = chosen();
    if (i < 0) return pick(0);
    const [x, y] = point(i);
    let [best, least] = [-1, Infinity];
    for (let other = 0; other < scene.n; other++) {
      const [a, b] = [point(other)[0] - x, point(other)[1] - y];
      const [ahead, aside] = [a * dx + b * dy, Math.abs(a * dy - b * dx)];
      const far = Math.hypot(a, b);
      if (other !== i && ahead > 0 && aside <= ahead && far < least) [best, least] = [other, far];
    }
    return pick(best);
  }

  let centre = -1; // the protein from which N and P count

  function turn(by) {
    const i = chosen();
    if (i < 0) return;
    if (step < 0) centre = i;
    step = (step + by + scene.k) % scene.k;
    pick(nearest(centre)[step], { keepStep: true });
  }

  function zoom(factor) {
    const i = chosen();
    chart.getOption().dataZoom.forEach(({ start, end }, axis) => {
      const size = Math.min(100, (end - start) * factor);
      let middle = (start + end) / 2;
      if (i >= 0 && factor < 1) { // towards the chosen protein
        const { min, max } = bounds(axis);
        middle = (100 * (point(i)[axis] - min)) / (max - min);
      }
      const first = Math.max(0, Math.min(100 - size, middle - size / 2));
      chart.dispatchAction({ type: "dataZoom", dataZoomIndex: axis, start: first, end: first + size });
    });
  }

  const whole = () => [0, 1].forEach((axis) =>
    chart.dispatchAction({ type: "dataZoom", dataZoomIndex: axis, start: 0, end: 100 }));

  const keys = {
    ArrowLeft: () => towards(-1, 0), ArrowRight: () => towards(1, 0), ArrowUp: () => towards(0, 1),
    ArrowDown: () => towards(0, -1), n: () => turn(1), N: () => turn(1), p: () => turn(-1), P: () => turn(-1),
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1.6), 0: whole,
  };

  // --- the start -----------------------------------------------------------------------------------------

  function listen() {
    const on = (name, event, act) => part(name).addEventListener(event, act);
    on("colour", "change", (event) => choose({ colour: event.target.value }, { push: false }));
    on("layout", "change", (event) => choose({ layout: event.target.value }, { push: false }));
    on("model", "change", (event) => choose({ model: event.target.value }));
    on("search", "input", offer);
    on("search", "change", search);
    on("controls", "submit", (event) => { event.preventDefault(); search(); });
    on("zoom-in", "click", () => zoom(0.6));
    on("zoom-out", "click", () => zoom(1.6));
    on("whole", "click", whole);
    on("map", "keydown", (event) => {
      if (!scene || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    addEventListener("popstate", () => { choice = completed(fromAddress()); show(); });
    new ResizeObserver(() => chart?.resize()).observe(part("map"));
    new MutationObserver(() => scene && draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  async function start() {
    root.hidden = false;
    if (typeof DecompressionStream === "undefined") {
      return say("notice", "This page needs Chrome 92, Firefox 113, Safari 16.4 or a later browser.");
    }
    try {
      index = await load("embedding_map/index");
    } catch (error) {
      return say("notice", `${error.message} Build the book with make book; the map is a part of it.`);
    }
    if (!index.models.length) {
      return say("notice", `The profile ${index.profile} has no map of proteins: ${index.missing} does not exist. ` +
        `Run make book PROFILE=${index.profile}.`);
    }
    part("controls").hidden = false;
    choice = completed(fromAddress());
    listen();
    return show();
  }

  start();
})();
