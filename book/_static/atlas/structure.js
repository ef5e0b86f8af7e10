/* The structure in 3D (3Dmol), coloured by position; it knows nothing of rescue. */
"use strict";

plmbookAtlas.structure = (() => {
  const threeLetters = {
    A: "ALA", C: "CYS", D: "ASP", E: "GLU", F: "PHE", G: "GLY", H: "HIS", I: "ILE", K: "LYS", L: "LEU", M: "MET",
    N: "ASN", P: "PRO", Q: "GLN", R: "ARG", S: "SER", T: "THR", V: "VAL", W: "TRP", Y: "TYR",
  };

  const NEAR = 18; // angstrom around the variant that the first view shows

  /** The backbone and C-beta atoms in PDB format. */
  function pdb(gene) {
    const { n, ca, c, o, cb, plddt } = gene.numbers;
    const atoms = [["N", n, 100], ["CA", ca, 100], ["C", c, 100], ["O", o, 100], ["CB", cb, 1]];
    const lines = [];
    [...gene.sequence].forEach((residue, i) => {
      for (const [name, places, unit] of atoms) {
        if (name === "CB" && residue === "G") continue;
        const xyz = [0, 1, 2].map((k) => (places[3 * i + k] / unit).toFixed(3).padStart(8)).join("");
        lines.push(
          `ATOM  ${String(lines.length + 1).padStart(5)}  ${name.padEnd(3)} ${threeLetters[residue]} A` +
          `${String(i + 1).padStart(4)}    ${xyz}  1.00${plddt[i].toFixed(2).padStart(6)}          ` +
          ` ${name[0]}`
        );
      }
    });
    return lines.join("\n") + "\nEND\n";
  }

  /** A viewer in `box`; `on.pick(position)` and `on.hover(position or null)` hear of the pointer. */
  function create(box, on) {
    const viewer = $3Dmol.createViewer(box, { backgroundColor: "white", antialias: true, disableFog: true });
    if (!viewer) throw new Error("no WebGL");
    let shown = null; // the gene whose model is loaded
    let focus = null;
    let selection = [];
    let chosen = null; // the label of the selected residue

    function loadGene(gene) {
      viewer.removeAllModels();
      viewer.removeAllShapes();
      viewer.addModel(pdb(gene), "pdb");
      viewer.setClickable({}, true, (atom) => on.pick(atom.resi));
      viewer.setHoverable({}, true, (atom) => on.hover(atom.resi), () => on.hover(null));
      viewer.setHoverDuration(60);
      shown = gene.gene;
    }

    const ball = (gene, position) => ({ resi: position, atom: gene.sequence[position - 1] === "G" ? "CA" : "CB" });

    function label(gene, position, text, look) {
      const atom = viewer.selectedAtoms(ball(gene, position))[0];
      const plain = { inFront: true, fontSize: 13, fontColor: "#ffffff", backgroundOpacity: 0.85 };
      return atom && viewer.addLabel(text, { position: atom, ...plain, ...look });
    }

    /** Draw: colours and distance to the variant (one a residue), variant {position, text}, candidates [{position,
        colour}], selected {position, text} or null. */
    function draw({ gene, colours, distance, variant, candidates, selected, page }) {
      const fresh = shown !== gene.gene;
      if (fresh) loadGene(gene);
      viewer.setBackgroundColor(page.back);
      viewer.removeAllLabels();
      viewer.setStyle({}, { cartoon: { colorfunc: (atom) => colours[atom.resi - 1], arrows: true, thickness: 0.5 } });
      for (const { position, colour } of candidates) {
        viewer.addStyle({ resi: position }, { stick: { radius: 0.25, color: colour } });
        viewer.addStyle(ball(gene, position), { sphere: { radius: 0.9, color: colour } });
      }
      viewer.addStyle(ball(gene, variant.position), { sphere: { radius: 1.7, color: plmbookAtlas.colours.variant } });
      label(gene, variant.position, variant.text, { backgroundColor: "#00664b" });
      chosen = null; // all labels are gone
      select(gene, selected);
      const near = Array.from(distance, (d, i) => (d < NEAR ? i + 1 : 0)).filter(Boolean);
      selection = [...candidates.map((each) => each.position), ...near];
      const key = `${gene.gene} ${variant.text}`;
      if (key !== focus) reset();
      focus = key;
      viewer.render();
    }

    /** Mark one residue, {position, text} or null, without drawing the chain again. */
    function select(gene, selected) {
      viewer.removeAllShapes();
      if (chosen) viewer.removeLabel(chosen);
      chosen = null;
      const atom = selected && viewer.selectedAtoms(ball(gene, selected.position))[0];
      if (atom) {
        const { x, y, z } = atom;
        viewer.addSphere({ center: { x, y, z }, radius: 1.4, color: plmbookAtlas.colours.candidate });
        const look = { backgroundColor: "#7a5200", alignment: "bottomRight" };
        chosen = label(gene, selected.position, selected.text, look);
      }
      viewer.render();
    }

    /** The variant's surroundings and its candidates fill the view. */
    function reset() {
      viewer.resize();
      viewer.zoomTo({ resi: selection });
      viewer.render();
    }

    const closer = (factor) => { viewer.zoom(factor); viewer.render(); };
    const turn = (angle, axis) => { viewer.rotate(angle, axis); viewer.render(); };
    function resize() {
      if (!box.clientWidth || !box.clientHeight) return; // hidden
      viewer.resize();
      viewer.render();
    }

    return { draw, select, reset, closer, turn, resize };
  }

  return { create, pdb };
})();
