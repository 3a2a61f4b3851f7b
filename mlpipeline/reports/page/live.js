// What is added by a server: what runs, curves that grow, a log that follows, and the queue as a list.
import { byId, choose, duration, fillSelect, isKnown, make, number, printed, reload, settings, short, start, takeCurves, tell } from "./page.js";
import { jQuery } from "./dt_bundle.js";

const LONGEST_LOG = 200_000;
let events = null;
let queue = { scripts: [], revision: "", editable: false };
let running = [];

class RequestError extends Error {
  constructor(status, body) {
    super(body.detail ?? `the server answered ${status}`);
    Object.assign(this, { status, body });
  }
}

async function request(path, options = {}) {
  const headers = { "X-Requested-With": "mlpipeline", ...(options.body ? { "Content-Type": "application/json" } : {}) };
  const answer = await fetch(path, { ...options, headers, credentials: "same-origin" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new RequestError(answer.status, body);
  return body;
}

const server = {
  runs: async () => (await request("/api/runs")).runs,
  details: (run) => request(`/api/runs/${encodeURIComponent(run.id)}`),
  curves: (ids) => request(`/api/curves?${ids.map((id) => `run=${encodeURIComponent(id)}`).join("&")}`),
  figures: (metric) => request(`/api/figures?metric=${encodeURIComponent(metric)}`),
  metrics: (runs) => {
    const names = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
    return names.sort((one, other) => other.startsWith("test.") - one.startsWith("test."));
  },
};

// ---- what runs

function showOverview(overview) {
  const { queued, unlisted, done, failed, is_running: isRunning } = overview;
  const known = new Set(running.map((run) => run.run_id));
  running = overview.running;
  const counts = `${running.length} running, ${queued} queued${unlisted ? `, ${unlisted} scripts not read yet` : ""}, ${done} done, ${failed} failed`;
  const text = isRunning ? counts : `No daemon is running. ${counts}`;
  if (byId("running-summary").textContent !== text) byId("running-summary").textContent = text;
  const list = byId("running");
  const rows = new Map([...list.children].map((row) => [row.dataset.run, row]));
  list.replaceChildren(...running.map((run) => progressRow(rows.get(run.run_id) ?? newProgressRow(run), run)));
  showLogChoices();
  if (running.some((run) => !known.has(run.run_id) && !isKnown(run.run_id))) refreshRuns();
}

function newProgressRow(run) {
  const name = `${run.script}:${run.version}`;
  const parts = [make("b", {}, name), make("span", { class: "left" }), make("progress", { "aria-label": `Progress of ${name}` }), make("span", { class: "numbers" })];
  return make("li", { "data-run": run.run_id }, ...parts);
}

function progressRow(row, run) {
  const progress = row.querySelector("progress");
  if (run.total) Object.assign(progress, { max: run.total, value: run.step ?? 0 });
  else progress.removeAttribute("value");
  const left = Number.isFinite(run.seconds_left) ? `, ${duration(run.seconds_left)} left` : "";
  row.querySelector(".left").textContent = `${duration(run.seconds)}${left}`;
  const metrics = Object.entries(run.metrics ?? {}).map(([name, value]) => `${name} ${short(number(value))}`);
  const step = run.step ? `step ${run.step}${run.total ? ` of ${run.total}` : ""}` : "working";
  row.querySelector(".numbers").textContent = [step, ...metrics].join(" · ");
  return row;
}

let refreshing = null;
let isStale = false;

/** Read the runs again; what comes meanwhile leads to one more reading, not many. */
async function refreshRuns() {
  isStale = true;
  refreshing ??= (async () => {
    while (isStale) {
      isStale = false;
      await reload();
    }
  })().catch(showFailure);
  await refreshing;
  refreshing = null;
}

const showFailure = (error) => tell(`The server cannot be asked: ${error.message}`);

// ---- the log

function showLogChoices() {
  const select = byId("log-run");
  const ids = running.map((run) => run.run_id);
  if (select.value && !ids.includes(select.value)) ids.push(select.value); // it has ended: its log stays to be read
  if (JSON.stringify(ids) === JSON.stringify([...select.options].map((option) => option.value))) return;
  const before = select.value;
  const names = new Map([...select.options].map((option) => [option.value, option.textContent]));
  for (const run of running) names.set(run.run_id, `${run.script}:${run.version}`);
  fillSelect(select, ids, ids[0]);
  for (const option of select.options) option.textContent = names.get(option.value);
  if (select.value !== before) followLog();
}

function followLog() {
  byId("log").textContent = "";
  listen();
}

function takeLog({ run_id: run, text, reset }) {
  if (run !== byId("log-run").value) return;
  const log = byId("log");
  const whole = (reset ? "" : log.textContent) + printed(text);
  log.textContent = whole.slice(-LONGEST_LOG);
  if (byId("log-follow").checked) log.scrollTop = log.scrollHeight;
}

// ---- the queue

async function loadQueue() {
  showQueue(await request("/api/queue"));
}

function showQueue(told) {
  // rows are left as they are where nothing has changed: a key may be down on one of them
  const isShown = JSON.stringify(told) === JSON.stringify(queue);
  queue = told;
  if (isShown) return;
  byId("queue-hint").textContent = [queueHint(), ...(queue.warnings ?? [])].join(" ");
  byId("queue-available").replaceChildren(...queue.available.map((name) => make("option", { value: name })));
  for (const control of byId("queue-add").elements) control.disabled = !queue.editable;
  const { name, button } = focused();
  byId("queue").replaceChildren(...queue.scripts.map((entry, place) => queueRow(entry, place)));
  if (name) focusOn(name, button);
}

/** Return the script and the button that have the focus, which a list that is made anew would lose. */
function focused() {
  const element = document.activeElement;
  const name = element?.closest("#queue li")?.dataset.name;
  return { name, button: element?.title };
}

/** Whether nobody holds the focus: a reader who has gone on meanwhile keeps it. */
const focusIsFree = () => !document.activeElement || document.activeElement === document.body;

function focusOn(name, button) {
  const row = [...byId("queue").children].find((one) => one.dataset.name === name);
  const buttons = [...(row?.querySelectorAll("button:not(:disabled)") ?? [])];
  (buttons.find((one) => one.title === button) ?? buttons[0])?.focus();
}

function queueHint() {
  if (queue.editable) return "Drag a script, or use its buttons. The list is written to models.config, which the daemon reads before each run.";
  if (settings.edit) return "The queue cannot be edited here: models.config does not name its scripts one by one.";
  return "Read-only: start `mlpipeline ui --edit` to change the queue here.";
}

function queueRow(entry, place) {
  const disabled = !queue.editable;
  const button = (label, text, act, unusable) => make("button", { type: "button", "aria-label": `${label} ${entry.name}`, title: label, disabled: disabled || unusable, onclick: act }, text);
  const remark = entry.is_pattern ? "pattern" : entry.exists ? null : "no such script";
  const row = make(
    "li",
    { draggable: disabled ? null : "true", "data-place": place, "data-name": entry.name },
    make("span", { class: "name" }, entry.name),
    remark ? make("span", { class: entry.is_pattern ? "hint" : "hint missing" }, remark) : null,
    button("Move up", "↑", () => moveBy(entry.name, -1, "Move up"), place === 0),
    button("Move down", "↓", () => moveBy(entry.name, 1, "Move down"), place === queue.scripts.length - 1),
    button("Remove", "✕", () => inTurn(() => remove(entry.name)), false),
  );
  if (!disabled) makeDraggable(row);
  return row;
}

function makeDraggable(row) {
  row.addEventListener("dragstart", (event) => {
    event.dataTransfer.setData("text/plain", row.dataset.name);
    event.dataTransfer.effectAllowed = "move";
    row.classList.add("dragged");
  });
  row.addEventListener("dragend", () => row.classList.remove("dragged"));
  row.addEventListener("dragover", (event) => {
    event.preventDefault();
    row.classList.add("over");
  });
  row.addEventListener("dragleave", () => row.classList.remove("over"));
  row.addEventListener("drop", (event) => {
    event.preventDefault();
    row.classList.remove("over");
    const name = event.dataTransfer.getData("text/plain");
    inTurn(() => move(name, names().indexOf(row.dataset.name), ""));
  });
}

const names = () => queue.scripts.map((entry) => entry.name);

let turn = Promise.resolve();

/** Make a change after those before it: each starts from the list that the last one has left. */
function inTurn(change) {
  turn = turn.catch(() => {}).then(change);
  return turn;
}

const moveBy = (name, places, button) => inTurn(() => move(name, names().indexOf(name) + places, button));

async function move(name, to, button) {
  const wanted = names();
  const from = wanted.indexOf(name);
  if (from < 0 || from === to || !(to in wanted)) return;
  wanted.splice(from, 1);
  wanted.splice(to, 0, name);
  if ((await writeQueue(wanted, `${name} is now number ${to + 1} of ${wanted.length}.`)) && focusIsFree()) focusOn(name, button);
}

async function remove(name) {
  const wanted = names();
  const place = wanted.indexOf(name);
  if (place < 0) return;
  wanted.splice(place, 1);
  if (!(await writeQueue(wanted, `${name} was removed from the queue.`)) || !focusIsFree()) return;
  const next = byId("queue").children[Math.min(place, wanted.length - 1)];
  (next?.querySelector('button[title="Remove"]') ?? byId("queue-name")).focus();
}

async function add() {
  const field = byId("queue-name");
  const name = field.value.trim();
  if (!name) return announce("Name a script first.");
  if (names().includes(name)) return announce(`${name} is in the queue already.`);
  if (await writeQueue([...names(), name], `${name} was added at the end.`)) field.value = "";
  if (focusIsFree()) field.focus();
}

/** Write the queue and say what has changed; return whether it was written. */
async function writeQueue(scripts, said) {
  try {
    const body = JSON.stringify({ revision: queue.revision, scripts });
    showQueue(await request("/api/queue", { method: "PUT", body }));
    announce(said);
    return true;
  } catch (error) {
    if (error.status === 409 && error.body.queue) showQueue(error.body.queue);
    announce(`Not changed: ${error.message}`);
    return false;
  }
}

const announce = (text) => (byId("queue-status").textContent = text);

// ---- events

function listen() {
  events?.close();
  const followed = byId("log-pane").open ? byId("log-run").value : "";
  events = new EventSource(followed ? `/api/events?log=${encodeURIComponent(followed)}` : "/api/events");
  const on = (name, act) => events.addEventListener(name, (event) => act(JSON.parse(event.data || "{}")));
  on("overview", showOverview);
  on("runs", refreshRuns);
  on("curves", takeGrown);
  on("log", takeLog);
  on("queue", () => inTurn(loadQueue).catch(showFailure));
  events.addEventListener("open", () => showConnection(true));
  events.addEventListener("error", () => showConnection(false));
}

const seenGrowing = new Set();

/** Curves of a run that has just begun are shown without being asked for, once. */
function takeGrown(byRun) {
  takeCurves(byRun);
  for (const id of Object.keys(byRun)) {
    if (seenGrowing.has(id) || !isKnown(id)) continue;
    seenGrowing.add(id);
    choose({ id }, true).catch(showFailure);
  }
}

let wasAway = false;

function showConnection(isThere) {
  if (isThere && wasAway) {
    // what has changed meanwhile was told to nobody
    refreshRuns();
    inTurn(loadQueue).catch(showFailure);
  }
  wasAway = !isThere;
  byId("connection").hidden = isThere;
  byId("connection").textContent = isThere ? "" : "The server is away; trying again …";
  if (isThere) tell("");
}

byId("live").hidden = false;
byId("queue-add").addEventListener("submit", (event) => {
  event.preventDefault();
  inTurn(add);
});
byId("log-pane").addEventListener("toggle", followLog);
byId("log-run").addEventListener("change", followLog);
await Promise.all([start(server, jQuery), loadQueue()]).catch(showFailure);
listen();
