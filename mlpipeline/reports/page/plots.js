// Pictures, drawn by Plotly in the colours of the page.

const PALETTE = ["#3b76d6", "#e07b39", "#2f9e68", "#c94f7c", "#8a63d2", "#b58a1a", "#1f9bb0", "#7f8ea3", "#7a9a2c", "#96786c"];
const DASHES = ["solid", "dash", "dot", "dashdot"];
const drawn = new Map(); // element -> figure, to draw again in other colours

export const colorOf = (place) => PALETTE[place % PALETTE.length];

/** Draw a figure of Plotly; a text instead of one says why there is none. */
export function draw(element, figure) {
  if (figure?.data?.[0]?.type === "parcoords" && !hasWebGL()) figure = "Parallel coordinates need WebGL, which this browser does not offer.";
  if (!figure || typeof figure === "string") {
    clear(element);
    element.replaceChildren(make("p", { class: "hint" }, figure || "nothing to draw"));
    return;
  }
  if (!drawn.has(element)) element.replaceChildren();
  drawn.set(element, figure);
  const options = { responsive: true, displaylogo: false, showSendToCloud: false, plotlyServerURL: "", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  const traces = figure.data.map((trace) => themed(trace, element.clientWidth < 600));
  window.Plotly.react(element, traces, layoutOf(figure.layout ?? {}, traces[0]?.type === "parcoords"), options);
}

/** Call with the ids of the runs that pass where somebody has dragged along the axes, or with null for all. */
export function onBrush(element, act) {
  if (element.removeAllListeners) element.removeAllListeners("plotly_restyle");
  element.on?.("plotly_restyle", () => {
    const [{ dimensions, ids }] = element.data;
    const narrowed = dimensions.filter((dimension) => dimension.constraintrange);
    const passes = (place) => narrowed.every(({ values, constraintrange }) => rangesOf(constraintrange).some(([low, high]) => values[place] >= low && values[place] <= high));
    act(narrowed.length ? new Set(ids.filter((_, place) => passes(place))) : null);
  });
}

const rangesOf = (constraint) => (Array.isArray(constraint[0]) ? constraint : [constraint]);

/** Take a picture away, and what Plotly keeps for it. */
export function clear(element) {
  if (drawn.delete(element)) window.Plotly.purge(element);
}

/** Draw all pictures again, in the colours of now. */
export function redrawAll() {
  for (const [element, figure] of drawn) if (element.isConnected) draw(element, figure);
}

/** Draw one metric of runs on top of each other. */
export function drawCurves(element, chosen, metric, { x, scale, smoothing }) {
  const traces = chosen
    .filter(({ curves }) => curves?.[metric])
    .map(({ run, curves, place }) => ({
      type: "scatter",
      mode: curves[metric].steps.length > 1 ? "lines" : "markers",
      name: plotText(nameOf(run)),
      x: curves[metric][x] ?? curves[metric].steps,
      y: smoothed(curves[metric].values.map(number), smoothing),
      line: { color: colorOf(place), width: 1.8, dash: DASHES[Math.floor(place / PALETTE.length) % DASHES.length] },
      hovertemplate: "%{y:.4g}",
    }));
  const layout = {
    xaxis: { title: { text: x === "times" ? "seconds" : "step" } },
    yaxis: { title: { text: plotText(metric) }, type: scale },
    hovermode: "x unified",
    showlegend: true,
    legend: { orientation: "h", yref: "container", yanchor: "bottom", y: 0.01 },
    uirevision: `${metric} ${x} ${scale}`, // a curve that grows leaves the zoom as it is
  };
  if (traces.length) draw(element, { data: traces, layout });
  else draw(element, "");
  return traces.length;
}

const hasWebGL = () => document.createElement("canvas").getContext("webgl") !== null;

function smoothed(values, weight) {
  if (!weight) return values;
  let last = NaN;
  return values.map((value) => (last = Number.isFinite(last) && Number.isFinite(value) ? weight * last + (1 - weight) * value : value));
}

function colors() {
  const style = getComputedStyle(document.body);
  return { ink: style.color, line: getComputedStyle(document.querySelector(".panel")).borderTopColor, font: style.fontFamily };
}

// from low to high; each stands out from its ground
const SCALES = {
  light: [[0, "#3b3f9e"], [0.5, "#1f9b8a"], [1, "#d08700"]],
  dark: [[0, "#7c7ff0"], [0.5, "#2fbfa8"], [1, "#f4dd5a"]],
};

function themed(trace, isNarrow) {
  const { ink } = colors();
  const isDark = document.documentElement.classList.contains("dark");
  if (trace.type === "parcoords") {
    const font = { color: ink, size: 11 };
    const line = { ...trace.line, colorscale: isDark ? SCALES.dark : SCALES.light };
    const quiet = { color: "rgba(0,0,0,0)", size: 1 };
    return { labelfont: { color: ink, size: 12 }, tickfont: font, rangefont: quiet, labelangle: isNarrow ? -25 : 0, ...trace, line };
  }
  if (trace.type === "bar") return { marker: { color: PALETTE[0] }, ...trace, error_x: { color: ink, thickness: 1, ...trace.error_x } };
  if (trace.type === "heatmap" && isDark) return { ...trace, colorscale: [[0, "#161a20"], [1, "#5b93ee"]] };
  return { ...trace };
}

/** Return a layout whose ground, text and lines are those of the page. */
function layoutOf(layout, isParallel) {
  const { ink, line, font } = colors();
  const ground = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", colorway: PALETTE };
  const themedLayout = { ...ground, ...layout, template: {}, autosize: true, font: { color: ink, family: font, size: 12 } };
  delete themedLayout.width;
  if (isParallel) themedLayout.margin = { l: 110, r: 60, t: 60, b: 24 };
  else themedLayout.margin = { l: 56, r: 24, t: layout.title ? 44 : 28, b: 48, ...layout.margin };
  for (const name of new Set(["xaxis", "yaxis", ...Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))])) {
    themedLayout[name] = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, ...layout[name] };
  }
  const ground2 = getComputedStyle(document.querySelector(".panel")).backgroundColor;
  themedLayout.hoverlabel = { bgcolor: ground2, bordercolor: line, font: { color: ink } };
  return themedLayout;
}
