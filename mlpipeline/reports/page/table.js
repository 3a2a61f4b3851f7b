// The table of runs: DataTables sorts, filters and shows columns; cells are elements with text.

// without the choices "empty" and "not empty", which would take the sign of a missing number for one
const SEARCH_NUMBERS = [{ extend: "searchDropdown", excludeLogic: ["empty", "notEmpty"] }];
const MOST_SHOWN = 5; // of parameters or metrics at first; the others can be chosen
let table = null;
let signature = "";

/** Show rows; with other columns than before the table is made anew. Events: `choose(run, on)`, `open(run)`. */
export function showTable(jQuery, runs, chosen, events) {
  const columns = columnsOf(runs, chosen, events);
  const wanted = JSON.stringify(columns.map((column) => column.name));
  if (table && wanted === signature) {
    const focused = focusedControl();
    table.clear();
    table.rows.add(runs).draw(false);
    if (focused) document.querySelector(focused)?.focus();
    return;
  }
  if (table) table.destroy();
  signature = wanted;
  const element = byId("runs");
  element.replaceChildren(make("thead", {}, make("tr", {}, ...columns.map(({ heading, full }) => make("th", { title: full }, heading)))));
  const noHTML = columns.map(({ heading, full, ...column }) => column);
  table = jQuery(element).DataTable({
    data: runs,
    columns: noHTML,
    order: [[columns.findIndex((column) => column.name === "ended"), "desc"]],
    rowId: (run) => `run-${run.id}`,
    deferRender: true,
    scroller: { rowHeight: 31 },
    scrollX: true,
    scrollY: "min(52vh, 34rem)",
    scrollCollapse: true,
    autoWidth: false,
    columnControl: [{ target: 0, content: ["searchDropdown"] }],
    layout: {
      topStart: { buttons: [{ extend: "colvis", text: "Columns", columns: ":not(.kept-column)" }, ...buttons(events)] },
      topEnd: { search: { placeholder: "Search all columns", text: "_INPUT_" } },
      bottomStart: "info",
      bottomEnd: null,
    },
    language: { emptyTable: "Nothing has been recorded yet.", info: "_TOTAL_ runs", infoEmpty: "no runs", infoFiltered: "of _MAX_" },
  });
  byId("runs").tBodies[0].addEventListener("keydown", moveByArrow);
  table.on("column-visibility", nameSearches);
  nameSearches();
}

/** Say of each button that searches in a column in which one. */
function nameSearches() {
  for (const button of document.querySelectorAll("th .dtcc-button")) button.setAttribute("aria-label", `Search ${button.closest("th").title}`);
}

/** Return how to find the control of a row that has the focus, which rows that are made anew would lose. */
function focusedControl() {
  const row = document.activeElement?.closest("#runs tbody tr");
  return row ? `#${CSS.escape(row.id)} ${document.activeElement.matches("input") ? "input" : "button"}` : null;
}

/** Draw the marks of the chosen runs anew. */
export function showChosen(chosen) {
  byId("runs").querySelectorAll("input[data-run]").forEach((box) => mark(box, chosen));
}

/** Show only runs with these ids, besides what else is searched for; null shows all. */
export function showOnly(ids) {
  if (!table) return;
  table.search.fixed("brush", ids ? (_text, run) => ids.has(run.id) : null).draw();
}

/** Return the runs that the table shows, in its order. */
export const shownRuns = () => (table ? table.rows({ search: "applied", order: "applied" }).data().toArray() : []);

function buttons(events) {
  return [
    { text: "Choose the first 10", action: () => events.chooseAll(shownRuns().slice(0, 10)), attr: { title: "Show the curves of the first ten runs in the table" } },
    { text: "Choose none", action: () => events.chooseAll([]) },
  ];
}

function columnsOf(runs, chosen, events) {
  const parameters = namesOf(runs, "parameters");
  const metrics = namesOf(runs, "metrics").sort((one, other) => other.startsWith("test.") - one.startsWith("test."));
  const tests = metrics.filter((name) => name.startsWith("test.")).length;
  const differing = parameters.filter((name) => tellsApart(runs, name));
  const scripts = new Set(runs.map((run) => run.script)).size;
  return [
    { name: "chosen", heading: hidden("Chosen"), className: "kept-column", orderable: false, columnControl: [], data: () => "", render: (_, type, run) => (type === "display" ? box(run, chosen, events) : "") },
    text("script", (run) => run.script, scripts > 1),
    { ...text("version", (run) => run.version || "(none)", true), className: "kept-column", render: (name, type, run) => (type === "display" ? opener(run, events) : name) },
    { ...text("status", (run) => run.status.toLowerCase().replace("_", " "), true), render: (status, type, run) => (type === "display" ? statusMark(run.status) : status) },
    ...metrics.map((name, place) => numeric(`metric ${name}`, name, (run) => run.metrics[name], place < Math.min(MOST_SHOWN, tests || MOST_SHOWN))),
    ...parameters.map((name) => parameter(runs, name, differing.indexOf(name) >= 0 && differing.indexOf(name) < MOST_SHOWN)),
    numeric("seconds", "time", (run) => whenEnded(run, run.seconds), true, duration),
    numeric("memory", "memory, MiB", (run) => whenEnded(run, run.memory), false),
    numeric("steps", "batches", (run) => whenEnded(run, run.steps), false),
    // what goes on has no end yet: it stands before what ended last
    { ...text("ended", (run) => moment(run.ended), true, (run) => run.ended || "9"), className: "when" },
    text("host", (run) => run.host, false),
    numeric("seed", "seed", (run) => run.seed, false),
    text("commit", (run) => run.git.slice(0, 10), false),
    text("error", (run) => run.error_summary, false),
  ];
}

/** A run that goes on has no measurements yet. */
const whenEnded = (run, value) => (run.status === "RUNNING" ? undefined : value);

/** Return the names of parameters or metrics, those that most runs have first. */
function namesOf(runs, kind) {
  const counts = new Map();
  for (const run of runs) for (const name of Object.keys(run[kind])) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts.keys()].sort((one, other) => counts.get(other) - counts.get(one));
}

/** Whether a parameter differs between runs of one script, and is not just another name of the version. */
function tellsApart(runs, name) {
  const values = runs.map((run) => [run.script, JSON.stringify(run.parameters[name])]);
  const scripts = new Set(values.map(([script]) => script));
  const isName = runs.every((run) => run.parameters[name] === undefined || run.parameters[name] === run.version);
  return !isName && new Set(values.map(String)).size > scripts.size;
}

function text(name, read, visible, order = read) {
  const render = (value, type, run) => {
    if (type === "display") return make("span", { title: value }, value);
    return type === "sort" ? order(run) : value;
  };
  return { name, heading: name, full: name, visible, type: "string", data: read, render };
}

function numeric(name, heading, read, visible, format = short) {
  const render = (value, type) => {
    const known = value !== null && value !== undefined;
    if (type === "display") return make("span", known ? { title: value } : {}, known ? format(number(value)) : "");
    if (type === "sort" || type === "type") return known && Number.isFinite(number(value)) ? value : -Infinity;
    // a filter by size takes an empty text for less than anything
    return known ? value : "–";
  };
  return { name, heading, full: heading, visible, type: "num", className: "numeric", columnControl: SEARCH_NUMBERS, data: (run) => read(run) ?? null, render };
}

function parameter(runs, name, visible) {
  const read = (run) => run.parameters[name];
  const areNumbers = runs.every((run) => (read(run) ?? null) === null || typeof read(run) === "number");
  return areNumbers ? numeric(`parameter ${name}`, name, read, visible) : { ...text(`parameter ${name}`, (run) => valueText(read(run)), visible), heading: name, full: name };
}

const hidden = (label) => make("span", { class: "unseen" }, label);

function box(run, chosen, events) {
  const input = make("input", { type: "checkbox", "data-run": run.id, "aria-label": `Show curves of ${nameOf(run)}` });
  input.addEventListener("change", () => events.choose(run, input.checked));
  mark(input, chosen);
  return input;
}

function mark(input, chosen) {
  const place = chosen.get(input.dataset.run);
  input.checked = place !== undefined;
  input.style.accentColor = place === undefined ? "" : colorOf(place);
}

function opener(run, events) {
  return make("button", { type: "button", class: "opener", title: `Show ${nameOf(run)}`, onclick: () => events.open(run) }, run.version || "(none)");
}

/** The arrow keys go from row to row, in the same column. */
function moveByArrow(event) {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const row = event.target.closest("tr");
  const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  const target = next?.querySelector(event.target.matches("input") ? "input" : "button");
  if (!target) return;
  event.preventDefault();
  target.focus();
}
