/* Colours: one scale for rescue in the map, the tracks and the structure; the book's colours for ClinVar's classes. */
"use strict";

plmbookAtlas.colours = (() => {
  // PuOr of ColorBrewer, which readers of any colour vision can tell apart; purple is positive, as in the figures.
  // AlphaFold DB's colours of confidence. Distances in angstrom between C-beta atoms; below 8, and again below 10, is a
  // contact. All from the palette of the book (palette.js, written with the site).
  const { classes, atlas: palette } = plmbookPalette;
  const { confidence, distances, variant, candidate, positive, negative } = palette;

  const isDark = () => document.documentElement.dataset.theme === "dark";

  const ofTheme = () => (isDark() ? palette.dark : palette.light);

  const diverging = () => ofTheme().diverging;

  /** Least distance and colour, the farthest first. */
  const reach = () => distances.map((least, k) => [least, ofTheme().near[k]]);

  const parse = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  /** The colour of a value on a scale from -limit to limit. */
  function ofValue(value, limit) {
    if (Number.isNaN(value)) return ofTheme().missing;
    const stops = diverging();
    const place = (Math.max(-1, Math.min(1, value / limit || 0)) + 1) / 2 * (stops.length - 1);
    const first = Math.min(Math.floor(place), stops.length - 2);
    const [a, b] = [parse(stops[first]), parse(stops[first + 1])];
    return "#" + a.map((x, k) => Math.round(x + (b[k] - x) * (place - first)).toString(16).padStart(2, "0")).join("");
  }

  const ofConfidence = (plddt) => confidence.find(([least]) => plddt >= least)[1];

  const ofPage = () => ofTheme().page;

  return {
    candidate, classes, confidence, diverging, isDark, negative, ofConfidence, ofPage, ofValue, positive, reach, variant,
  };
})();
