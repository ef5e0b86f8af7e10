/* The rescue map (ECharts): positions along the chain by the twenty residues, with aligned tracks above it. */
"use strict";

plmbookAtlas.map = (() => {
  const { colours } = plmbookAtlas;
  const rows = [..."EDRKHQNTSGPCAVILMFYW"]; // from below: charged, polar, special, aliphatic, aromatic
  const trackNames = ["Contact", "pLDDT", "Conserved", "ClinVar"]; // from below
  const cell = 15; // height of a row of the map in CSS pixels
  const track = 13;
  const left = 78;
  const right = 14;
  const bars = { top: 24, height: 46 };
  const tracks = { top: bars.top + bars.height + 6, height: trackNames.length * track };
  const map = { top: tracks.top + tracks.height + 20, // between them stands the variant's name
    height: rows.length * cell };
  const height = map.top + map.height + 76;
  const narrowest = 15; // positions

  /** How many positions fit at a legible width. */
  const fitting = (width) => Math.max(narrowest, Math.floor((width - left - right) / 11));

  function create(box, on) {
    box.style.height = `${height}px`;
    const chart = echarts.init(box, null, { renderer: "canvas" });
    let length = 1;
    let range = [0, 0]; // 0-based positions that are shown
    let drawn = null;

    chart.on("click", (event) => {
      if (event.seriesId === "map" || event.seriesId === "candidates") {
        on.pick(event.value[0] + 1, rows[event.value[1]]);
      } else if (event.value) on.pick((Array.isArray(event.value) ? event.value[0] : event.dataIndex) + 1, null);
    });
    chart.on("datazoom", () => {
      const zoom = chart.getOption().dataZoom[0];
      range = [zoom.startValue, zoom.endValue];
      chart.setOption({ series: [{ id: "wild type", symbolSize: dot() }] });
      on.range(range[0] + 1, range[1] + 1);
    });

    /** The mark of the wild type is no wider than half a cell. */
    const dot = () => Math.max(1, Math.min(4, (box.clientWidth - left - right) / (range[1] - range[0] + 1) / 2));

    /** Show some positions, 1-based. */
    function show(first, last) {
      const size = Math.max(narrowest, Math.min(length, last - first + 1));
      const start = Math.max(0, Math.min(length - size, first - 1));
      chart.dispatchAction({ type: "dataZoom", startValue: start, endValue: start + size - 1 });
    }

    function around(position) {
      const size = Math.min(length, fitting(box.clientWidth));
      show(position - Math.floor(size / 2), position - Math.floor(size / 2) + size - 1);
    }

    /** Scroll no farther than needed. */
    function reveal(position) {
      const [first, last] = [range[0] + 1, range[1] + 1];
      if (position < first || position > last) around(position);
    }

    function zoom(factor) {
      const middle = (range[0] + range[1]) / 2 + 1;
      const size = Math.round((range[1] - range[0] + 1) * factor);
      show(Math.round(middle - size / 2), Math.round(middle - size / 2) + size - 1);
    }

    function draw(data) {
      length = data.sequence.length;
      if (!drawn || drawn.key !== data.key) {
        const size = Math.min(length, fitting(box.clientWidth));
        const middle = data.variant.position - 1;
        const asked = data.selected ? data.selected.position - 1 : middle;
        const centre = Math.abs(asked - middle) < size / 2 ? middle : asked;
        const start = Math.max(0, Math.min(length - size, centre - Math.floor(size / 2)));
        range = [start, start + size - 1];
      }
      drawn = data;
      data.font = getComputedStyle(box).fontFamily;
      data.dot = dot();
      chart.setOption(option(data, range), { notMerge: true });
      on.range(range[0] + 1, range[1] + 1);
    }

    function select(selected) {
      if (!drawn) return;
      drawn.selected = selected;
      chart.setOption({ series: [selectionSeries(drawn)] });
    }

    const resize = () => { chart.resize(); };
    return { draw, select, show, around, reveal, zoom, resize, whole: () => show(1, length) };
  }

  // --- the option of the chart, piece by piece -------------------------------------------------------------

  function option(data, range) {
    const page = colours.ofPage();
    const { text, muted, line } = page;
    const positions = [...data.sequence].map((_, i) => i);
    const grid = (where) => ({ left, right, top: where.top, height: where.height });
    const bare = { axisLine: { show: false }, axisTick: { show: false }, axisLabel: { show: false } };
    const along = (gridIndex, more) => ({ type: "category", data: positions, gridIndex, ...bare, ...more });
    const letters = { color: text, fontFamily: "monospace" };
    return {
      animation: false,
      textStyle: { color: text, fontFamily: data.font },
      aria: { enabled: false }, // the page says it in words
      grid: [grid(bars), grid(tracks), grid(map)],
      xAxis: [
        along(0, { axisLine: { show: true, onZero: true, lineStyle: { color: line } } }),
        along(1),
        along(2, {
          axisLabel: {
            show: true, color: muted, fontSize: 11, hideOverlap: true, interval: ticks(data.sequence.length),
            formatter: (i) => `${data.sequence[i]}\n${Number(i) + 1}`, lineHeight: 13,
          },
          axisTick: { show: true, alignWithLabel: true, interval: ticks(data.sequence.length),
            lineStyle: { color: line } },
        }),
      ],
      yAxis: [
        { type: "value", gridIndex: 0, ...ends(data.bars), splitLine: { lineStyle: { color: line, opacity: 0.4 } },
          axisLabel: { color: muted, fontSize: 10, formatter: (value) => value.toFixed(1) } },
        { type: "category", gridIndex: 1, data: trackNames, ...bare,
          axisLabel: { show: true, color: muted, fontSize: 11, interval: 0 } },
        { type: "category", gridIndex: 2, data: rows, ...bare,
          axisLabel: { show: true, fontSize: 11, interval: 0, ...letters } },
      ],
      title: { text: data.barTitle, left, top: 2, textStyle: { fontSize: 11, fontWeight: "normal", color: muted } },
      dataZoom: zooms(range, page),
      visualMap: scales(data, page),
      tooltip: tooltip(data, page),
      series: [...trackSeries(data), barSeries(data), mapSeries(data, page), variantSeries(data, page),
        ...marks(data, page)],
    };
  }

  /** An axis with 0 and the largest and smallest bar on it, and no other line. */
  function ends(bars) {
    const known = Array.from(bars).filter((value) => !Number.isNaN(value));
    return { min: Math.min(0, ...known), max: Math.max(0, ...known) || 1, interval: 1e9 };
  }

  function ticks(length) {
    return (i) => Number(i) === 0 || (Number(i) + 1) % 10 === 0 || Number(i) === length - 1;
  }

  function zooms(range, page) {
    const both = { xAxisIndex: [0, 1, 2], startValue: range[0], endValue: range[1], minValueSpan: narrowest - 1 };
    return [
      { type: "inside", ...both, zoomOnMouseWheel: "ctrl", moveOnMouseWheel: "shift", preventDefaultMouseMove: false },
      { type: "slider", ...both, bottom: 8, height: 26, left, right, showDetail: false, brushSelect: false,
        borderColor: page.line, fillerColor: colours.isDark() ? "rgba(178,171,210,0.25)" : "rgba(84,39,136,0.15)",
        handleStyle: { color: page.back, borderColor: page.muted }, moveHandleSize: 5,
        dataBackground: { lineStyle: { color: page.muted, width: 1 }, areaStyle: { color: page.line, opacity: 0.6 } },
        selectedDataBackground: { lineStyle: { color: colours.positive, width: 1 }, areaStyle: { color: colours.positive } } },
    ];
  }

  /** One scale a series: 0-2 tracks, 3 ClinVar, 4 bars, 5 map. */
  function scales(data, page) {
    const hidden = { show: false };
    const stops = colours.diverging();
    const grey = colours.isDark() ? ["#1f2730", "#d5dbe1"] : ["#ffffff", "#3d3d3d"];
    return [
      { ...hidden, type: "piecewise", seriesIndex: 0, dimension: 2,
        pieces: colours.reach().map(([gte, color], k, all) => ({ gte, color, ...(k ? { lt: all[k - 1][0] } : {}) })) },
      { ...hidden, type: "piecewise", seriesIndex: 1, dimension: 2,
        pieces: colours.confidence.map(([least, color], k) => ({
          gte: least, color, ...(k ? { lt: colours.confidence[k - 1][0] } : { lte: 100 }) })) },
      { ...hidden, type: "continuous", seriesIndex: 2, min: 0, max: 1, dimension: 2, inRange: { color: grey } },
      { ...hidden, type: "piecewise", seriesIndex: 3, dimension: 2,
        pieces: data.classes.map((name, value) => ({ value, color: colours.classes[name] })) },
      { ...hidden, type: "continuous", seriesIndex: 4, min: -data.barLimit, max: data.barLimit, dimension: 1,
        inRange: { color: stops } },
      { ...hidden, type: "continuous", seriesIndex: 5, min: -data.limit, max: data.limit, dimension: 2,
        inRange: { color: stops }, outOfRange: { color: page.blank } },
    ];
  }

  function trackSeries(data) {
    const values = [data.distance, data.plddt, data.conservation, data.worst];
    return values.map((numbers, row) => ({
      id: `track ${trackNames[row]}`, type: "heatmap", xAxisIndex: 1, yAxisIndex: 1, progressive: 0,
      data: Array.from(numbers, (value, i) => [i, row, value]).filter(([, , value]) => value >= 0),
      emphasis: { disabled: true }, cursor: "pointer",
    }));
  }

  function barSeries(data) {
    return {
      id: "bars", type: "bar", xAxisIndex: 0, yAxisIndex: 0, barCategoryGap: 0, large: false, cursor: "pointer",
      data: Array.from(data.bars, (value, i) => [i, Number.isNaN(value) ? null : value]),
      emphasis: { disabled: true },
    };
  }

  function mapSeries(data, page) {
    const points = [];
    data.values.forEach((value, k) => {
      if (!Number.isNaN(value)) points.push([Math.floor(k / 20), rows.indexOf(data.residues[k % 20]), value]);
    });
    return {
      id: "map", type: "heatmap", xAxisIndex: 2, yAxisIndex: 2, data: points, progressive: 2000, cursor: "pointer",
      emphasis: { itemStyle: { borderColor: page.mark, borderWidth: 1 } },
    };
  }

  /** The variant's own position: a framed column without numbers. */
  function variantSeries(data, page) {
    return {
      id: "variant", type: "custom", xAxisIndex: 2, yAxisIndex: 2, z: 3, silent: true, clip: false,
      data: [[data.variant.position - 1, 0]],
      renderItem: (_, api) => {
        const [x] = api.coord([api.value(0), 0]);
        const width = Math.max(4, api.size([1, 1])[0]);
        const where = { x: x - width / 2, y: map.top, width, height: map.height };
        const text = { text: `${data.variant.text} ▾`, fill: page.text, font: `bold 11px ${data.font}` };
        return {
          type: "group",
          children: [
            { type: "rect", shape: where, style: { fill: page.blank, stroke: colours.variant, lineWidth: 2 } },
            { type: "text", style: { ...text, x, y: map.top - 4, align: "center", verticalAlign: "bottom" } },
          ],
        };
      },
    };
  }

  function marks(data, page) {
    const on = { type: "scatter", xAxisIndex: 2, yAxisIndex: 2, z: 4 };
    return [
      { ...on, id: "wild type", silent: true, symbol: "circle", symbolSize: data.dot, itemStyle: { color: page.muted },
        data: [...data.sequence].map((residue, i) => [i, rows.indexOf(residue)])
          .filter(([i, row]) => row >= 0 && data.variant.position !== i + 1) },
      { ...on, id: "candidates", symbol: "circle", symbolSize: 10, cursor: "pointer",
        data: data.candidates.map((each) => ({
          value: [each.position - 1, rows.indexOf(each.alt)],
          itemStyle: { color: "transparent", borderColor: ringColour(data, each), borderWidth: 1.5 },
        })) },
      selectionSeries(data),
    ];
  }

  /** Black or white, whichever shows on the cell: the ends of the scale are dark on a light page, else light. */
  function ringColour(data, { position, alt }) {
    const value = data.values[20 * (position - 1) + data.residues.indexOf(alt)];
    const atTheEnd = Math.abs(value) > 0.5 * data.limit;
    return atTheEnd === colours.isDark() ? "#000000" : "#ffffff";
  }

  function selectionSeries(data) {
    const at = data.selected;
    return {
      id: "selected", type: "scatter", xAxisIndex: 2, yAxisIndex: 2, z: 5, silent: true, symbol: "rect",
      symbolSize: 15, itemStyle: { color: "transparent", borderColor: colours.candidate, borderWidth: 3 },
      data: at ? [[at.position - 1, rows.indexOf(at.alt)]] : [],
    };
  }

  function tooltip(data, page) {
    return {
      trigger: "item", confine: true, backgroundColor: page.back, borderColor: page.line, padding: [5, 9],
      textStyle: { color: page.text, fontSize: 12 },
      formatter: ({ seriesId, value, dataIndex }) => {
        if (!value) return "";
        const position = (Array.isArray(value) ? value[0] : dataIndex) + 1;
        const isCell = seriesId === "map" || seriesId === "candidates";
        return data.describe(position, isCell ? rows[value[1]] : null).map(echarts.format.encodeHTML).join("<br>");
      },
    };
  }

  return { create, rows };
})();
