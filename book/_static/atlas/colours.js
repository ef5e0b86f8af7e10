/* Colours: one scale for rescue in the map, the tracks and the structure; the book's colours for ClinVar's classes. */
"use strict";

plmbookAtlas.colours = (() => {
  // PuOr of ColorBrewer, which readers of any colour vision can tell apart; purple is positive, as in the figures.
  const light = ["#7f3b08", "#b35806", "#e08214", "#fdb863", "#fee0b6", "#f7f7f7", "#d8daeb", "#b2abd2", "#8073ac",
    "#542788", "#2d004b"];
  const dark = ["#fed9a6", "#fdb863", "#e08214", "#a85a0c", "#5c3410", "#26262b", "#3b2f63", "#5b4a9c", "#8073ac",
    "#b2abd2", "#e3e0f5"];
  const classes = { "P/LP": "#D55E00", "B/LB": "#0072B2", VUS: "#999999", Other: "#BBBBBB" };
  const confidence = [[90, "#0053D6"], [70, "#65CBF3"], [50, "#FFDB13"], [0, "#FF7D45"]]; // AlphaFold DB's

  const distances = [16, 10, 8, 0]; // angstrom between C-beta atoms; below 8, and again below 10, is a contact
  const near = {
    light: ["#fbf5e8", "#e8cd93", "#b07d22", "#5b3a00"], dark: ["#24221d", "#54431c", "#a67c2a", "#ffe08a"],
  };

  const isDark = () => document.documentElement.dataset.theme === "dark";

  const diverging = () => (isDark() ? dark : light);

  /** Least distance and colour, the farthest first. */
  const reach = () => distances.map((least, k) => [least, near[isDark() ? "dark" : "light"][k]]);

  const parse = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));

  /** The colour of a value on a scale from -limit to limit. */
  function ofValue(value, limit) {
    if (Number.isNaN(value)) return isDark() ? "#555555" : "#cccccc";
    const stops = diverging();
    const place = (Math.max(-1, Math.min(1, value / limit || 0)) + 1) / 2 * (stops.length - 1);
    const first = Math.min(Math.floor(place), stops.length - 2);
    const [a, b] = [parse(stops[first]), parse(stops[first + 1])];
    return "#" + a.map((x, k) => Math.round(x + (b[k] - x) * (place - first)).toString(16).padStart(2, "0")).join("");
  }

  const ofConfidence = (plddt) => confidence.find(([least]) => plddt >= least)[1];

  function ofPage() {
    return isDark()
      ? { text: "#ced6dd", muted: "#9aa4ad", line: "#48566b", back: "#121212", blank: "#2e3640", mark: "#ffffff" }
      : { text: "#323232", muted: "#646776", line: "#c9c9c9", back: "#ffffff", blank: "#e3e3e3", mark: "#000000" };
  }

  return { classes, confidence, diverging, isDark, ofConfidence, ofPage, ofValue, reach };
})();
