// The dialog that shows one run whole.

/** Show a run; `load` returns a promise of its details. */
export async function showDetails(run, load) {
  const dialog = byId("details");
  byId("details-title").replaceChildren(nameOf(run), " ", statusMark(run.status));
  byId("details-body").replaceChildren(make("p", { class: "hint", role: "status" }, "Loading …"));
  dialog.showModal();
  dialog.dataset.run = run.id;
  try {
    const details = await load(run);
    if (dialog.dataset.run !== run.id || !dialog.open) return;
    byId("details-body").replaceChildren(...partsOf(run, details));
    dialog.querySelectorAll("[data-figure]").forEach(drawKept);
  } catch (error) {
    byId("details-body").replaceChildren(make("p", { class: "message", role: "alert" }, `It cannot be shown: ${error.message}`));
  }
}

/** Draw a figure that a run has kept; one that Plotly cannot draw says so, and leaves the others be. */
async function drawKept(place) {
  try {
    await draw(place, place.figure);
  } catch (error) {
    place.replaceChildren(none(`It cannot be drawn: ${error.message}`));
  }
}

export function prepareDetails() {
  const dialog = byId("details");
  byId("details-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.querySelectorAll("[data-figure]").forEach(clear));
}

export const statusMark = (status) => make("span", { class: `status ${status.toLowerCase()}` }, status.toLowerCase().replace("_", " "));

function partsOf(run, details) {
  const error = details.error || run.error_summary;
  return [
    make("p", { class: "hint" }, [run.id, moment(run.started), duration(run.seconds)].filter(Boolean).join(" · ")),
    error ? part("Error", make("pre", { class: "text error", tabindex: 0 }, printed(error))) : null,
    make(
      "div",
      { class: "pair" },
      part("Metrics", pairs(run.metrics, number) ?? none("none were recorded")),
      part("Parameters", pairs(run.parameters) ?? none("none were recorded")),
    ),
    ...details.artifacts.map(artifact),
    part("Code", codeOf(details.code ?? []), details.artifacts.length === 0 && !error),
    part("Log", details.log ? make("pre", { class: "text", tabindex: 0 }, printed(details.log)) : none("it has printed nothing"), false),
    part("Environment", pairs(environmentOf(run, details)), false),
  ].filter(Boolean);
}

const none = (text) => make("p", { class: "hint" }, text);

function part(title, content, open = true) {
  return make("details", { open }, make("summary", {}, title), content);
}

function pairs(values, read = (value) => value) {
  const rows = Object.entries(values ?? {}).map(([name, value]) => {
    const shown = valueText(typeof value === "number" ? value : Number.isNaN(read(value)) ? value : read(value));
    return make("tr", {}, make("th", { scope: "row" }, name), make("td", { title: String(typeof value === "object" ? shown : value) }, shown));
  });
  return rows.length ? make("table", { class: "pairs" }, make("tbody", {}, ...rows)) : null;
}

function environmentOf(run, details) {
  const clean = { true: " (clean)", false: " (with changes)" }[details.git_clean] ?? "";
  const values = {
    host: run.host,
    seed: run.seed,
    "peak memory": `${short(run.memory)} MiB`,
    "batches trained": run.steps,
    resumed: run.resumed ? "yes" : "no",
    "git commit": run.git ? run.git + clean : "",
    python: details.python,
    folder: details.model_dir,
    fingerprint: details.fingerprint,
    ...details.libraries,
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "" && value !== undefined));
}

function codeOf(files) {
  if (!files.length) return none("no copy was kept");
  const text = make("pre", { class: "text code", tabindex: 0, "aria-label": "Code" }, files[0].text);
  if (files.length === 1) return make("div", {}, none(files[0].name), text);
  const select = make("select", {}, ...files.map((file, place) => make("option", { value: place }, file.name)));
  select.addEventListener("change", () => (text.textContent = files[Number(select.value)].text));
  return make("div", {}, make("div", { class: "controls" }, make("label", {}, "File ", select)), text);
}

function artifact(kept) {
  if (kept.kind === "image") return part(kept.name, make("img", { src: kept.source, alt: kept.name, loading: "lazy" }));
  if (kept.kind === "table") return part(kept.name, tableOf(kept), false);
  if (kept.kind !== "figure") return none(kept.name ? `${kept.name}: ${kept.text}` : kept.text);
  const place = make("div", { class: "plot", role: "img", "aria-label": kept.name, "data-figure": true });
  place.figure = kept.figure;
  return part(kept.name, place);
}

function tableOf({ columns, rows, more }) {
  const head = make("thead", {}, make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name))));
  const body = make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell)))));
  const rest = more ? none(`… and ${more} more rows`) : null;
  return make("div", { class: "scrolled", tabindex: 0 }, make("table", { class: "kept" }, head, body), rest);
}
