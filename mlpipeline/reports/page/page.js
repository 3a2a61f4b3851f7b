// The page: its state, and what is drawn when it changes. Data comes from a source: this file, or a server.

const state = {
  source: null,
  runs: [],
  byId: new Map(),
  chosen: new Map(), // run id -> place in the palette
  curves: new Map(), // run id -> curves
};
export const settings = JSON.parse(byId("data-settings").textContent);
const MOST_CHOSEN = 40;
const FIGURES_EVERY_MS = 10_000;
let tableLibrary = null;

/** Show what a source has: `runs()`, `details(run)`, `curves(ids)`, `figures(metric)`, and `metrics(runs)` with figures. */
export async function start(source, jQuery) {
  state.source = source;
  tableLibrary = jQuery;
  prepareTheme();
  prepareDetails();
  byId("project").textContent = settings.project;
  for (const id of ["curve-metric", "curve-x", "curve-scale", "curve-smoothing"]) byId(id).addEventListener("input", showCurves);
  byId("figure-metric").addEventListener("change", showFigures);
  await reload();
  if (!state.chosen.size) await chooseAll(firstChoice());
}

/** Read the runs again and show them. */
export async function reload() {
  state.runs = await state.source.runs();
  state.byId = new Map(state.runs.map((run) => [run.id, run]));
  showCounts();
  showTable(tableLibrary, state.runs, state.chosen, { choose, chooseAll, open });
  fillSelect(byId("figure-metric"), state.source.metrics(state.runs), undefined);
  refreshFigures(); // not waited for: a server may take a while to draw them
}

let nextFigures = 0;
let waiting = null;

/** Draw the figures of all runs anew, but not each time that one of many short runs ends: they take work. */
function refreshFigures() {
  const rest = nextFigures - Date.now();
  if (rest <= 0) {
    nextFigures = Date.now() + FIGURES_EVERY_MS;
    showFigures().catch((error) => tell(`The figures cannot be drawn: ${error.message}`));
  } else {
    waiting ??= setTimeout(() => {
      waiting = null;
      refreshFigures();
    }, rest);
  }
}

/** Take in curves that have grown. */
export function takeCurves(byRun) {
  for (const [id, curves] of Object.entries(byRun)) state.curves.set(id, curves);
  if (Object.keys(byRun).some((id) => state.chosen.has(id))) showCurves();
}

/** Choose a run whose curves are to be seen, or not any more. */
export async function choose(run, on) {
  if (on) addChosen(run.id);
  else state.chosen.delete(run.id);
  await showChoice();
}

export const isKnown = (id) => state.byId.has(id);

export function tell(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

async function chooseAll(runs) {
  state.chosen.clear();
  for (const run of runs.slice(0, MOST_CHOSEN)) addChosen(run.id);
  await showChoice();
}

function addChosen(id) {
  const taken = new Set(state.chosen.values());
  let place = 0;
  while (taken.has(place)) place += 1;
  if (!state.chosen.has(id)) state.chosen.set(id, place);
}

async function showChoice() {
  showChosen(state.chosen);
  const missing = [...state.chosen.keys()].filter((id) => !state.curves.has(id));
  if (missing.length) {
    const found = await state.source.curves(missing);
    for (const id of missing) state.curves.set(id, found[id] ?? {});
  }
  showCurves();
}

function showCurves() {
  const chosen = [...state.chosen]
    .filter(([id]) => state.byId.has(id))
    .map(([id, place]) => ({ run: state.byId.get(id), curves: state.curves.get(id), place }));
  const metrics = [...new Set(chosen.flatMap(({ curves }) => Object.keys(curves ?? {})))];
  fillSelect(byId("curve-metric"), metrics, metrics[0]);
  const options = { x: byId("curve-x").value, scale: byId("curve-scale").value, smoothing: Number(byId("curve-smoothing").value) };
  const count = drawCurves(byId("curves"), chosen, byId("curve-metric").value, options);
  byId("curves").hidden = count === 0;
  byId("curves-hint").textContent = curvesHint(chosen.length, count);
}

function curvesHint(chosen, drawnCount) {
  if (!chosen) return "Choose runs in the table to see their curves on top of each other.";
  if (!drawnCount) return "The chosen runs have reported nothing over their steps.";
  const without = chosen - drawnCount ? `; ${chosen - drawnCount} chosen without this metric` : "";
  return `${byId("curve-metric").value} of ${drawnCount} run${drawnCount === 1 ? "" : "s"}${without}`;
}

async function showFigures() {
  const metric = byId("figure-metric").value;
  const figures = metric ? await state.source.figures(metric) : { parallel: "No run has a metric.", importance: "" };
  if (metric !== byId("figure-metric").value) return; // another was chosen meanwhile
  draw(byId("parallel"), figures.parallel);
  onBrush(byId("parallel"), showOnly);
  showOnly(null);
  draw(byId("importance"), figures.importance);
}

/** The runs whose curves are seen first: the last ones of the script that ended last. */
function firstChoice() {
  const has = (run) => (state.source.hasCurves ? state.source.hasCurves(run) : true);
  const last = state.runs.findLast(has);
  return last ? state.runs.filter((run) => run.script === last.script && has(run)).slice(-6) : [];
}

function open(run) {
  return showDetails(run, (one) => state.source.details(one));
}

function showCounts() {
  const counts = new Map();
  for (const run of state.runs) counts.set(run.status, (counts.get(run.status) ?? 0) + 1);
  const items = [...counts].map(([status, count]) => make("li", {}, make("b", {}, String(count)), " ", statusMark(status)));
  byId("counts").replaceChildren(make("li", {}, make("b", {}, String(state.runs.length)), " runs"), ...items);
}

const THEMES = ["auto", "light", "dark"];

function prepareTheme() {
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  let theme = stored() ?? "auto";
  const apply = () => {
    const isDark = theme === "dark" || (theme === "auto" && media.matches);
    document.documentElement.classList.toggle("dark", isDark);
    document.documentElement.classList.toggle("light", !isDark);
    byId("theme").textContent = `Theme: ${theme}`;
    redrawAll();
  };
  byId("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    try {
      localStorage.setItem("mlpipeline-theme", theme);
    } catch {} // a browser may forbid a file to keep anything
    apply();
  });
  media.addEventListener("change", apply);
  apply();
}

function stored() {
  try {
    const theme = localStorage.getItem("mlpipeline-theme");
    return THEMES.includes(theme) ? theme : null;
  } catch {
    return null;
  }
}

/** What this file holds itself; each part is read when it is first needed. */
function embedded() {
  const parts = new Map();
  const part = (name) => {
    if (!parts.has(name)) parts.set(name, JSON.parse(byId(`data-${name}`).textContent));
    return parts.get(name);
  };
  return {
    runs: async () => part("runs"),
    curves: async (ids) => Object.fromEntries(ids.map((id) => [id, part("curves")[id] ?? {}])),
    hasCurves: (run) => run.id in part("curves"),
    figures: async (metric) => part("figures")[metric],
    metrics: () => Object.keys(part("figures")),
    details: async (run) => {
      const details = part("details")[run.id];
      return { ...details, code: part("codes")[details.source_digest] };
    },
  };
}

/** The library is a module of its own: what is embedded as text becomes one. */
async function embeddedLibrary() {
  const source = JSON.parse(byId("data-dt_bundle").textContent);
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const { jQuery } = await import(address);
  URL.revokeObjectURL(address);
  return jQuery;
}

if (!settings.live) {
  start(embedded(), await embeddedLibrary()).catch((error) => {
    tell(`The page cannot be shown: ${error.message}`);
    throw error;
  });
}
