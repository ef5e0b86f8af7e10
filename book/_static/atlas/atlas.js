/* The page: one choice (gene, variant, model, view, colour, substitution), kept in the address; everything is drawn
   from it. */
"use strict";

(() => {
  const { colours, load, unpack } = plmbookAtlas;
  const root = document.getElementById("atlas");
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const ABSENT = -128;
  const CONTACT = 8; // angstrom between C-beta atoms
  const MARKED = 10; // candidates on the map and the structure
  const FEW = 15; // rows of the table before "show all"
  const views = {
    epistasis: { name: "epistasis", low: "worse beside the variant", high: "better beside the variant" },
    background: { name: "score on the background", low: "disliked", high: "liked beside the variant" },
    wildtype: { name: "score on the wild type", low: "disliked", high: "liked on the wild type" },
  };
  const summaries = { max: "Maximum", mean: "Mean", plddt: "Maximum" };
  const columns = [
    { key: "rank", title: "#", about: "rank by epistasis among all second sites" },
    { key: "name", title: "Second site", about: "substitution" },
    { key: "epistasis", title: "Epistasis", about: "nats" },
    { key: "score_background", title: "On background", about: "natural-log likelihood ratio beside the variant" },
    { key: "score_wild_type", title: "On wild type", about: "the same on the wild type" },
    { key: "distance_angstrom", title: "Distance, Å", about: "between C-beta atoms, to the variant" },
    { key: "cpd", title: "Orthologs", about: "vertebrates that have the variant's residue and this one" },
    { key: "rank_background", title: "# on background", about: "rank by score on the background" },
  ];

  let index = null;
  let choice = {};
  let scene = null; // what is drawn now: gene, variant, model, numbers
  let latest = 0; // number of the last request; what an earlier one finds is dropped
  let sorted = { key: "rank", falling: false };
  let all = false; // rows of the table
  let map = null;
  let viewer = null;
  const unpacked = new Map();

  // --- words and numbers ---------------------------------------------------------------------------------

  const signed = (value, digits = 2) =>
    Number.isNaN(value) ? "–" : (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);

  /** The shortest decimal number that is this float32. */
  function shortest(value) {
    for (let digits = 1; digits < 9; digits++) {
      const text = value.toPrecision(digits);
      if (Math.fround(Number(text)) === value) return String(Number(text));
    }
    return String(Number(value.toPrecision(9)));
  }

  function frequency(value) {
    if (value === null) return "not in gnomAD";
    const [digits, power] = value.toExponential(1).split("e");
    const raised = [...String(Number(power))].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("");
    return `gnomAD ${digits} × 10${raised}`;
  }

  function quantile(values, share) {
    const known = Array.from(values, Math.abs).filter((value) => value >= 0).sort((a, b) => a - b);
    return known.length ? known[Math.min(known.length - 1, Math.floor(share * known.length))] || 1e-6 : 1;
  }

  /** A variant such as R175H. */
  const parseVariant = (text) => ({ text, position: parseInt(text.slice(1), 10), alt: text.at(-1) });

  // --- the choice and the address ------------------------------------------------------------------------

  function fromAddress() {
    const query = new URLSearchParams(location.search);
    const keys = ["gene", "variant", "model", "view", "colour", "at"];
    return Object.fromEntries(keys.filter((key) => query.get(key)).map((key) => [key, query.get(key)]));
  }

  function toAddress({ push }) {
    const address = new URL(location.href);
    address.search = "";
    for (const [key, value] of Object.entries(choice)) if (value) address.searchParams.set(key, value);
    if (address.href !== location.href) history[push ? "pushState" : "replaceState"](null, "", address.href);
  }

  const geneOf = (name) => index.genes.find((gene) => gene.gene === name);
  const has = (gene, variant, model) => typeof gene.best[model]?.[gene.mutations.indexOf(variant)] === "number";
  const keyOf = ({ gene, variant, model }) => `${gene} ${variant} ${model}`;
  const modelsOf = (gene, variant) => index.models.filter(({ name }) => has(gene, variant, name));

  /** What is wrong with a choice, in words for the reader; "" where it can be shown. */
  function fault({ gene: name, variant, model, view, colour }) {
    const gene = geneOf(name);
    if (!name) return "Choose a gene.";
    if (!gene) return `There is no gene “${name}” in this atlas. Choose one of its ${index.genes.length} genes.`;
    if (!variant) return `Choose one of the ${gene.mutations.length} scanned variants of ${name}.`;
    if (!gene.mutations.includes(variant)) {
      return `The variant “${variant}” of ${name} was not scanned. Choose one of ${gene.mutations.length}.`;
    }
    const known = index.models.some((each) => each.name === model);
    if (!known) return `There is no model “${model}” in this atlas. Choose one of ${index.models.length}.`;
    if (!has(gene, variant, model)) return `The model ${model} did not scan ${name} ${variant}. Choose another.`;
    if (!Object.hasOwn(views, view)) return `There is no view “${view}”. Choose one.`;
    return Object.hasOwn(summaries, colour) ? "" : `There is no colour “${colour}”. Choose one.`;
  }

  /** The first variant of a gene that a model scanned; of a gene or by a model without any, the first of all. */
  const firstOf = (gene, model) => ordered(gene, model).find((each) => has(gene, each, model)) ?? gene.mutations[0];

  /** What a reader sees first: the example of the page, where the model has it. */
  function start(model) {
    const { gene: name, variant } = root.dataset;
    const able = (gene, each) => (model ? has(gene, each, model) : gene.mutations.includes(each));
    if (geneOf(name) && able(geneOf(name), variant)) return { gene: name, variant };
    const first = index.genes.find((gene) => gene.mutations.some((each) => able(gene, each))) ?? index.genes[0];
    return { gene: first.gene };
  }

  function completed(found) {
    const first = found.gene || found.variant ? {} : start(found.model);
    const whole = { view: "epistasis", colour: "max", ...first, ...found };
    const gene = geneOf(whole.gene);
    if (gene) whole.variant ??= firstOf(gene, found.model);
    const able = gene ? modelsOf(gene, whole.variant) : [];
    return { ...whole, model: found.model ?? (able[0] ?? index.models[0]).name };
  }

  function choose(change, { push = true } = {}) {
    const moved = "gene" in change || "variant" in change;
    choice = { ...choice, ...(moved ? { at: "" } : {}), ...change };
    if (!Object.hasOwn(views, choice.view)) choice.view = "epistasis"; // a link's fault ends with the next choice
    if (!Object.hasOwn(summaries, choice.colour)) choice.colour = "max";
    const gene = geneOf(choice.gene);
    if (gene && moved && !has(gene, choice.variant, choice.model)) {
      choice.model = modelsOf(gene, choice.variant)[0]?.name ?? choice.model;
    }
    toAddress({ push });
    return show();
  }

  // --- data ----------------------------------------------------------------------------------------------

  async function numbersOf(key, packed) {
    if (!unpacked.has(key)) unpacked.set(key, await unpack(packed));
    return unpacked.get(key);
  }

  async function fetched({ gene: name, variant, model }) {
    const [gene, shard] = await Promise.all([load(`gene/${name}`), load(`${model}/${name}/${variant}`)]);
    const numbers = await numbersOf(`gene/${name}`, gene.numbers);
    const { score: wild } = await numbersOf(`wild/${model}/${name}`, gene.wild_type[model]);
    const found = await unpack(shard.numbers);
    const site = parseVariant(variant);
    const distance = distances(numbers.cb, site.position);
    const epistasis = Float32Array.from(found.map, (code) => (code === ABSENT ? NaN : Math.fround(code * shard.scale)));
    return {
      gene: { ...gene, numbers }, wild, epistasis, distance, model, half: shard.scale / 2,
      background: wild.map((value, k) => value + epistasis[k]),
      variant: site,
      candidates: candidatesOf(found, wild, gene.sequence, distance),
    };
  }

  /** From each residue to that of the variant, in angstrom between C-beta atoms. */
  function distances(cb, position) {
    const j = position - 1;
    const to = (i) => Math.sqrt([0, 1, 2].reduce((sum, k) => sum + (cb[3 * i + k] - cb[3 * j + k]) ** 2, 0));
    return Float64Array.from({ length: cb.length / 3 }, (_, i) => to(i));
  }

  function candidatesOf(found, wild, sequence, distance) {
    return Array.from(found.position, (position, k) => {
      const score_wild_type = wild[20 * (position - 1) + found.alt[k]];
      const [ref, alt] = [sequence[position - 1], index.residues[found.alt[k]]];
      return {
        rank: found.rank[k], position, ref, alt, name: `${ref}${position}${alt}`,
        score_background: found.score_background[k], score_wild_type,
        epistasis: found.epistasis ? found.epistasis[k] : Math.fround(found.score_background[k] - score_wild_type),
        rank_background: found.rank_background[k], distance_angstrom: distance[position - 1],
        cpd: found.cpd[k] < 0 ? NaN : found.cpd[k],
      };
    });
  }

  /** By position the maximum or mean of a view over the 19 substitutions; NaN at the variant. */
  function byPosition(values, sequence, absent, how) {
    return Float64Array.from(sequence, (residue, i) => {
      const there = [...index.residues].map((_, k) => 20 * i + k);
      const known = there.filter((k) => index.residues[k % 20] !== residue && !Number.isNaN(absent[k]));
      if (!known.length) return NaN;
      const found = known.map((k) => values[k]);
      return how === "mean" ? found.reduce((a, b) => a + b, 0) / found.length : Math.max(...found);
    });
  }

  /** The most severe class at each position; -1 where ClinVar has none. */
  function worstClass(gene) {
    const worst = new Int8Array(gene.sequence.length).fill(-1);
    const order = ["P/LP", "B/LB", "VUS", "Other"].map((name) => index.classes.indexOf(name));
    for (const [mutation, group] of gene.variants) {
      const i = parseInt(mutation.slice(1), 10) - 1;
      if (worst[i] < 0 || order.indexOf(group) < order.indexOf(worst[i])) worst[i] = group;
    }
    return worst;
  }

  // --- drawing -------------------------------------------------------------------------------------------

  /** Draw the choice; of several requests the last counts, in whatever order their files come. */
  async function show() {
    const [request, asked] = [++latest, choice];
    fillControls();
    const wrong = fault(asked);
    say("notice", wrong);
    if (wrong) {
      clear();
      say("status", "");
      return busy(false);
    }
    busy(true);
    try {
      const key = keyOf(asked);
      if (scene?.key !== key) {
        const found = await fetched(asked);
        if (request !== latest) return;
        scene = { ...found, key };
        all = false;
      }
      part("panels").hidden = false;
      draw();
    } catch (error) {
      if (request !== latest) return;
      clear();
      say("notice", `${error.message} Build the book again, or reload the page.`);
    }
    busy(false);
  }

  function clear() {
    scene = null;
    part("panels").hidden = true;
  }

  /** While a request is under way the page still shows the one before, which no file may mistake for the new one. */
  function busy(on) {
    root.setAttribute("aria-busy", String(on));
    for (const name of ["csv-candidates", "csv-map"]) part(name).disabled = on;
  }

  const say = (name, text) => {
    part(name).textContent = text;
    part(name).hidden = !text && name === "notice";
  };

  function draw() {
    const { gene, variant, candidates, epistasis } = scene;
    const values = { epistasis, background: scene.background, wildtype: scene.wild }[choice.view];
    scene.values = values;
    scene.limit = quantile(values.filter((_, k) => !Number.isNaN(epistasis[k])), 0.995);
    scene.usual = quantile(epistasis, 0.995);
    scene.bars = byPosition(values, gene.sequence, epistasis, choice.colour);
    scene.barLimit = choice.colour === "mean" ? quantile(scene.bars, 0.99) : scene.limit;
    fillSummary();
    fillLegends();
    fillTable();
    map ??= plmbookAtlas.map.create(part("map"), { pick, range: sayRange });
    map.draw({
      key: scene.key, sequence: gene.sequence, variant, values, residues: index.residues, limit: scene.limit,
      bars: scene.bars, barLimit: scene.barLimit, describe, classes: index.classes, selected: selected(),
      barTitle: `${summaries[choice.colour]} ${views[choice.view].name} at each position, nats`,
      distance: scene.distance, plddt: gene.numbers.plddt, conservation: gene.numbers.conservation,
      worst: worstClass(gene), candidates: candidates.slice(0, MARKED),
    });
    drawStructure();
    const best = candidates[0];
    say("status", `${gene.gene} ${variant.text} by ${scene.model}: the best second substitution of ` +
      `${(19 * epistasis.filter((value) => !Number.isNaN(value)).length / 20).toLocaleString("en")} is ${best.name}, ` +
      `epistasis ` +
      `${signed(best.epistasis)}, at ${best.distance_angstrom.toFixed(1)} Å.`);
    sayCell();
  }

  function drawStructure() {
    const { gene, variant, candidates } = scene;
    const box = part("structure");
    try {
      viewer ??= plmbookAtlas.structure.create(box, { pick: (position) => pick(position, null), hover: sayHover });
    } catch {
      say("structure-note", "This browser shows no 3D graphics (WebGL); the map and the table hold the same numbers.");
      box.hidden = true;
      return;
    }
    const paint = choice.colour === "plddt"
      ? Array.from(gene.numbers.plddt, colours.ofConfidence)
      : Array.from(scene.bars, (value) => colours.ofValue(value, scene.barLimit));
    const marked = new Map();
    for (const { position, epistasis } of candidates.slice(0, MARKED)) {
      if (!marked.has(position)) marked.set(position, epistasis);
    }
    viewer.draw({
      gene, colours: paint, distance: scene.distance, variant, page: colours.ofPage(),
      candidates: Array.from(marked, ([position, value]) => (
        { position, colour: colours.ofValue(value, scene.usual) })),
      selected: named(selected()),
    });
  }

  const named = (at) =>
    at && { position: at.position, text: `${scene.gene.sequence[at.position - 1]}${at.position}${at.alt}` };

  function option(value, text, { disabled = false } = {}) {
    const made = new Option(text, value);
    made.disabled = disabled;
    return made;
  }

  function fillControls() {
    const gene = geneOf(choice.gene);
    const { model } = choice;
    fill("gene", index.genes.map((each) => option(each.gene, `${each.gene} (${each.mutations.length})`)), choice.gene);
    fill("variant", gene ? variantOptions(gene, model) : [], choice.variant);
    fill("model", index.models.map(({ name, label, variants }) => option(
      name, `${label} (${variants.toLocaleString("en")} variants)`,
      { disabled: Boolean(gene?.mutations.includes(choice.variant)) && !has(gene, choice.variant, name) },
    )), model);
    part("colour").value = choice.colour;
    for (const radio of root.querySelectorAll('input[name="view"]')) radio.checked = radio.value === choice.view;
    part("previous").disabled = !neighbour(-1);
    part("next").disabled = !neighbour(1);
  }

  /** A select's options; an unknown value leaves it on a line that asks to choose. */
  function fill(name, options, value) {
    const select = part(name);
    select.replaceChildren(...options);
    if (!options.some((each) => each.value === value)) {
      select.prepend(option("", "choose …"));
      select.value = "";
    } else select.value = value;
  }

  /** The variants of a gene in the order that the reader asks for. */
  function ordered(gene, model) {
    if (part("order").value === "chain") return gene.mutations;
    const best = (mutation) => gene.best[model]?.[gene.mutations.indexOf(mutation)] ?? -Infinity;
    return [...gene.mutations].sort((a, b) => best(b) - best(a));
  }

  function variantOptions(gene, model) {
    return ordered(gene, model).map((mutation) => {
      const k = gene.mutations.indexOf(mutation);
      const best = gene.best[model]?.[k];
      const text = typeof best === "number" ? `best ${signed(best)}` : "not by this model";
      return option(mutation, `${mutation} · ${index.classes[gene.classes[k]]} · ${text}`);
    });
  }

  function fillSummary() {
    const { gene, variant, model } = scene;
    const about = geneOf(gene.gene);
    const k = about.mutations.indexOf(variant.text);
    const group = index.classes[about.classes[k]];
    part("name").textContent = `${gene.gene} ${variant.text}`;
    part("class").textContent = group;
    part("class").style.setProperty("--class", colours.classes[group]);
    const { position, alt } = variant;
    const own = scene.wild[20 * (position - 1) + index.residues.indexOf(alt)];
    const contacts = scene.distance.filter((d, i) => d < CONTACT && i + 1 !== position).length;
    part("facts").textContent = [
      model, `ClinVar ${index.release}`, frequency(about.frequencies[k]), `own score ${signed(own)}`,
      `pLDDT ${gene.numbers.plddt[position - 1].toFixed(0)}`, `${contacts} residues in contact`,
      `UniProt ${about.uniprot}, ${about.length} residues`,
    ].join(" · ");
    part("map-title").textContent = `Rescue map: ${views[choice.view].name}`;
  }

  function fillLegends() {
    const { low, high } = views[choice.view];
    const scale = (name, limit) => {
      const gradient = `linear-gradient(to right, ${colours.diverging().join(", ")})`;
      part(`${name}-scale`).style.background = gradient;
      part(`${name}-low`).textContent = `≤ ${signed(-limit)}`;
      part(`${name}-high`).textContent = `≥ ${signed(limit)}`;
    };
    scale("map", scene.limit);
    part("map-scale").setAttribute("aria-label", `Colours from orange, ${low}, over white, 0, to purple, ${high}`);
    part("map-words").textContent = `orange: ${low}; purple: ${high}`;
    const byConfidence = choice.colour === "plddt";
    part("structure-values").hidden = byConfidence;
    part("structure-bands").hidden = !byConfidence;
    scale("structure", scene.barLimit);
  }

  // --- the table -----------------------------------------------------------------------------------------

  function fillTable() {
    const rows = sortedCandidates();
    const head = columns.map(({ key, title, about }) => {
      const cell = document.createElement("th");
      const button = document.createElement("button");
      const state = sorted.key !== key ? "none" : sorted.falling ? "descending" : "ascending";
      cell.scope = "col";
      cell.className = `atlas-${key}`;
      cell.setAttribute("aria-sort", state);
      Object.assign(button, { type: "button", textContent: title, title: about });
      button.addEventListener("click", () => sortBy(key));
      cell.append(button);
      return cell;
    });
    part("head").replaceChildren(...head);
    part("rows").replaceChildren(...rows.slice(0, all ? rows.length : FEW).map(tableRow));
    part("more").hidden = all || rows.length <= FEW;
    part("more").textContent = `Show all ${rows.length}`;
    part("caption").textContent = `Candidates for ${scene.gene.gene} ${scene.variant.text}, ${scene.model}`;
    markRow();
  }

  function sortedCandidates() {
    const direction = sorted.falling ? -1 : 1;
    const value = (row) => (sorted.key === "name" ? row.position : row[sorted.key]);
    const last = (x) => (Number.isNaN(x) ? Infinity : x);
    return [...scene.candidates].sort((a, b) => direction * (last(value(a)) - last(value(b))) || a.rank - b.rank);
  }

  function sortBy(key) {
    const falls = ["epistasis", "score_background", "score_wild_type", "cpd"].includes(key);
    sorted = { key, falling: sorted.key === key ? !sorted.falling : falls };
    fillTable();
    part("head").children[columns.findIndex((column) => column.key === key)].firstChild.focus();
  }

  function tableRow(each) {
    const row = document.createElement("tr");
    row.dataset.at = `${each.position}${each.alt}`;
    const texts = {
      rank: each.rank.toLocaleString("en"), name: "", epistasis: signed(each.epistasis),
      score_background: signed(each.score_background), score_wild_type: signed(each.score_wild_type),
      distance_angstrom: each.distance_angstrom.toFixed(1),
      cpd: Number.isNaN(each.cpd) ? "–" : String(each.cpd),
      rank_background: each.rank_background.toLocaleString("en"),
    };
    for (const { key } of columns) {
      const cell = document.createElement("td");
      cell.className = `atlas-${key}`;
      cell.textContent = texts[key];
      row.append(cell);
    }
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: each.name, className: "atlas-pick" });
    row.children[1].append(button);
    row.addEventListener("click", () => pick(each.position, each.alt));
    const bar = row.children[2];
    bar.style.setProperty("--share", Math.min(1, Math.abs(each.epistasis) / scene.candidates[0].epistasis) || 0);
    bar.style.setProperty("--colour", each.epistasis > 0 ? colours.positive : colours.negative);
    if (each.distance_angstrom < CONTACT) {
      row.children[5].classList.add("atlas-contact");
      row.children[5].title = `in contact: within ${CONTACT} Å`;
    }
    return row;
  }

  function markRow() {
    for (const row of part("rows").children) {
      const on = row.dataset.at === choice.at;
      row.classList.toggle("atlas-selected", on);
      row.querySelector(".atlas-pick").setAttribute("aria-pressed", String(on));
    }
  }

  // --- one substitution ----------------------------------------------------------------------------------

  /** The substitution in the address, where it is a second site of this variant. */
  function selected() {
    const found = /^(\d+)([A-Z])$/.exec(choice.at ?? "");
    if (!found || scene?.key !== keyOf(choice)) return null;
    const [position, alt] = [Number(found[1]), found[2]];
    const { sequence } = scene.gene;
    const fits = position >= 1 && position <= sequence.length && index.residues.includes(alt);
    return fits && scene.variant.position !== position && sequence[position - 1] !== alt
      ? { position, alt } : null;
  }

  /** The residue with the highest value of the view at a position. */
  function bestAt(position) {
    const letters = [...index.residues].filter((letter) => letter !== scene.gene.sequence[position - 1]);
    const value = (letter) => scene.values[20 * (position - 1) + index.residues.indexOf(letter)];
    return letters.reduce((best, letter) => (value(letter) > value(best) ? letter : best));
  }

  function pick(position, alt) {
    if (scene?.key !== keyOf(choice) || scene.variant.position === position) return; // none while another one loads
    if (alt === scene.gene.sequence[position - 1]) return;
    choice = { ...choice, at: `${position}${alt ?? bestAt(position)}` };
    toAddress({ push: false });
    map.reveal(position);
    map.select(selected());
    markRow();
    viewer?.select(scene.gene, named(selected()));
    sayCell();
  }

  function move(rows, positions) {
    const letters = plmbookAtlas.map.rows;
    const at = selected() ?? { position: scene.candidates[0].position, alt: scene.candidates[0].alt };
    const { sequence } = scene.gene;
    let position = at.position;
    let row = letters.indexOf(at.alt);
    const blocked = () => scene.variant.position === position || sequence[position - 1] === letters[row];
    const step = [Math.sign(rows), positions];
    do {
      position += step[1];
      row += step[0];
      if (position < 1 || position > sequence.length || row < 0 || row > 19) return;
      step[1] = Math.sign(step[1]); // past what is no second site go on by one
    } while (blocked());
    pick(position, letters[row]);
  }

  const keys = {
    ArrowLeft: () => move(0, -1), ArrowRight: () => move(0, 1), ArrowUp: () => move(1, 0),
    ArrowDown: () => move(-1, 0), PageUp: () => move(0, -10), PageDown: () => move(0, 10),
    Home: () => pickRanked(0), n: () => pickNext(1), p: () => pickNext(-1),
    "+": () => map.zoom(0.6), "=": () => map.zoom(0.6), "-": () => map.zoom(1.6), 0: () => map.whole(),
  };

  const pickRanked = (k) => {
    const each = scene.candidates[k];
    if (each) pick(each.position, each.alt);
  };

  function pickNext(step) {
    pickRanked(scene.candidates.findIndex((each) => `${each.position}${each.alt}` === choice.at) + step);
  }

  /** What is known of a position, or of a substitution there, line by line. */
  function describe(position, alt) {
    const { gene, epistasis, wild, distance, variant } = scene;
    const ref = gene.sequence[position - 1];
    const lines = [];
    if (alt && alt !== ref && variant.position !== position) {
      const k = 20 * (position - 1) + index.residues.indexOf(alt);
      lines.push(`${ref}${position}${alt}: epistasis ${signed(epistasis[k])}`,
        `on the background ${signed(scene.background[k])}, on the wild type ${signed(wild[k])}`);
    } else lines.push(`${ref}${position}` + (variant.position === position ? ", the variant's position" : ""));
    const { plddt, conservation } = gene.numbers;
    lines.push(`${distance[position - 1].toFixed(1)} Å from the variant, pLDDT ${plddt[position - 1].toFixed(0)}` +
      (Number.isNaN(conservation[position - 1]) ? "" : `, conservation ${conservation[position - 1].toFixed(2)}`));
    const here = gene.variants.filter(([mutation]) => parseInt(mutation.slice(1), 10) === position);
    if (here.length) {
      lines.push(`ClinVar: ${here.map(([mutation, group]) => `${mutation} ${index.classes[group]}`).join(", ")}`);
    }
    return lines;
  }

  function sayCell() {
    const at = selected();
    say("cell", at ? `${describe(at.position, at.alt).join("; ")}.`
      : "Choose a cell, a residue or a candidate to read its numbers.");
  }

  function sayHover(position) {
    part("structure-note").textContent = position ? describe(position, null).slice(0, 2).join("; ") : "";
  }

  const sayRange = (first, last) => say("range", `positions ${first}–${last} of ${scene.gene.sequence.length}`);

  // --- files ---------------------------------------------------------------------------------------------

  function download(name, header, rows) {
    const text = [header, ...rows].map((row) => row.join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = `${name}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say("status", `${name}.csv: ${rows.length.toLocaleString("en")} rows.`);
  }

  const about = () => [scene.gene.gene, scene.variant.text, scene.model];
  const fileName = (what) => [what, ...about()].join("_").replaceAll(/[^\w.-]/g, "-");

  /** The columns of the table rescue.<model>. */
  function downloadCandidates() {
    const header = ["id", "mutation", "model", "rank", "position", "ref", "alt", "score_background",
      "score_wild_type", "epistasis", "rank_background", "distance_angstrom", "cpd"];
    const rows = scene.candidates.map((each) => [
      ...about(), each.rank, each.position, each.ref, each.alt, shortest(each.score_background),
      shortest(each.score_wild_type), shortest(each.epistasis), each.rank_background, each.distance_angstrom,
      Number.isNaN(each.cpd) ? "" : each.cpd,
    ]);
    download(fileName("candidates"), header, rows);
  }

  /** Every second site; epistasis is known to half a step, the last column. */
  function downloadMap() {
    const header = ["id", "mutation", "model", "position", "ref", "alt", "score_background", "score_wild_type",
      "epistasis", "distance_angstrom", "half_step"];
    const rows = [];
    scene.epistasis.forEach((value, k) => {
      const [i, alt] = [Math.floor(k / 20), index.residues[k % 20]];
      const ref = scene.gene.sequence[i];
      if (Number.isNaN(value) || alt === ref) return;
      rows.push([...about(), i + 1, ref, alt, shortest(Math.fround(scene.background[k])), shortest(scene.wild[k]),
        shortest(value), scene.distance[i], scene.half]);
    });
    download(fileName("map"), header, rows);
  }

  async function copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("status", "The link is copied.");
    } catch {
      say("status", "The link stands in the address bar.");
    }
  }

  // --- the start -----------------------------------------------------------------------------------------

  /** The next variant (step 1) or the one before (-1) that the chosen model scanned, in the reader's order. */
  function neighbour(step) {
    const gene = geneOf(choice.gene);
    const mutations = gene ? ordered(gene, choice.model) : [];
    const place = mutations.indexOf(choice.variant);
    if (place < 0) return undefined;
    const rest = step > 0 ? mutations.slice(place + 1) : mutations.slice(0, place).reverse();
    return rest.find((each) => has(gene, each, choice.model));
  }

  function stepVariant(step) {
    const variant = neighbour(step);
    if (variant) choose({ variant });
  }

  function firstVariant(name) {
    const gene = geneOf(name);
    return gene ? firstOf(gene, choice.model) : "";
  }

  function listen() {
    const on = (name, event, act) => part(name).addEventListener(event, act);
    on("gene", "change", (event) => choose({ gene: event.target.value, variant: firstVariant(event.target.value) }));
    on("variant", "change", (event) => choose({ variant: event.target.value }));
    on("model", "change", (event) => choose({ model: event.target.value }));
    on("order", "change", fillControls);
    on("colour", "change", (event) => choose({ colour: event.target.value }, { push: false }));
    on("views", "change", (event) => choose({ view: event.target.value }, { push: false }));
    on("previous", "click", () => stepVariant(-1));
    on("next", "click", () => stepVariant(1));
    on("link", "click", copyLink);
    on("csv-candidates", "click", downloadCandidates);
    on("csv-map", "click", downloadMap);
    on("more", "click", () => { all = true; fillTable(); part("rows").children[FEW].querySelector("button").focus(); });
    on("zoom-in", "click", () => map.zoom(0.6));
    on("zoom-out", "click", () => map.zoom(1.6));
    on("zoom-variant", "click", () => map.around(scene.variant.position));
    on("zoom-whole", "click", () => map.whole());
    on("closer", "click", () => viewer?.closer(1.25));
    on("farther", "click", () => viewer?.closer(0.8));
    on("turn", "click", () => viewer?.turn(30, "y"));
    on("reset", "click", () => viewer?.reset());
    on("controls", "submit", (event) => event.preventDefault());
    on("map", "keydown", (event) => {
      if (!scene || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    addEventListener("popstate", () => { choice = completed(fromAddress()); show(); });
    new ResizeObserver(() => { map?.resize(); viewer?.resize(); }).observe(root);
    new MutationObserver(() => scene && draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** Which variants there are, in the text below. */
  function sayScanned() {
    const groups = index.genes.flatMap((gene) => gene.classes);
    const numbers = index.classes.map((name, k) => [name, groups.filter((group) => group === k).length]);
    const said = numbers.filter(([, n]) => n).map(([name, n]) => `${n.toLocaleString("en")} ${name}`);
    document.getElementById("atlas-scanned").textContent = `${said.join(", ")} variants of ${index.genes.length} genes`;
    document.getElementById("atlas-top").textContent = `best ${index.top}`;
  }

  async function begin() {
    if (typeof DecompressionStream === "undefined") return; // the page's first line stays and says what it needs
    part("stuck").remove();
    try {
      index = await load("index");
    } catch (error) {
      return say("notice", `${error.message} Build the book with make book; the atlas is a part of it.`);
    }
    if (!index.models.length) {
      return say("notice", `The profile ${index.profile} has no rescue scan: ${index.missing} does not exist. ` +
        `Run make book PROFILE=${index.profile}.`);
    }
    sayScanned();
    part("controls").hidden = false;
    choice = completed(fromAddress());
    listen();
    return show();
  }

  begin();
})();
