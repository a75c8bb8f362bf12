"use strict";
// Patches come in the order of their scores, which is that of the sheets: those near any threshold share few sheets.
const count = DATA.score.length, GAP = 6, AXES = ["xy", "xz", "yz"];
const state = { t: DATA.threshold, order: "borderline", filter: "all", size: 112, at: -1 };
const OUT = new Set(["duplicate", "excluded"].map((r) => DATA.reasons.indexOf(r)).filter((i) => i >= 0));
const FILTERS = [["all", "all"], ["keep", "what the threshold keeps"], ["drop", "what it drops"], ...DATA.reasons.map((r, i) => [`r${i}`, `decided: ${r}`]), ...[..."012"].filter((a) => DATA.loc.some((l) => l.startsWith(`${a}_`))).map((a) => [`a${a}`, `slices ${AXES[a]}`])];
let order = [], columns = 1;
const cells = new Map();

function place(i) {
  const found = /^(?:(2d)-|([012])_(-?\d+)(?:-\d+)?_)(\d+)-(\d+)_(\d+)-(\d+)$/.exec(DATA.loc[i]);
  if (!found) return null;
  return { axis: found[1] ? -1 : +found[2], slice: found[1] ? 0 : +found[3], box: found.slice(4).map(Number) };
}
const keeps = (i) => DATA.score[i] > state.t && !OUT.has(DATA.reason[i]);
const wanted = (i) => {
  const f = state.filter;
  if (f === "keep") return keeps(i);
  if (f === "drop") return !keeps(i);
  if (f[0] === "r") return DATA.reason[i] === +f.slice(1);
  if (f[0] === "a" && f !== "all") return DATA.loc[i].startsWith(`${f[1]}_`);
  return true;
};

function sortAll() {
  order = Array.from({ length: count }, (_, i) => i).filter(wanted);
  if (state.order === "borderline") order.sort((a, b) => Math.abs(DATA.score[a] - state.t) - Math.abs(DATA.score[b] - state.t) || a - b);
  if (state.order === "best") order.reverse();
  if (state.order === "place") { const compare = new Intl.Collator("en", { numeric: true }).compare; order.sort((a, b) => DATA.source_of[a] - DATA.source_of[b] || compare(DATA.loc[a], DATA.loc[b])); }
}

function sprite(element, i, side, stem, perRow) {
  const sheet = Math.floor(i / perRow ** 2), inside = i % perRow ** 2;
  element.style.backgroundImage = `url("${stem}-${String(sheet).padStart(4, "0")}.jpg")`;
  element.style.backgroundSize = `${perRow * side}px auto`;
  element.style.backgroundPosition = `${-(inside % perRow) * side}px ${-Math.floor(inside / perRow) * side}px`;
}

function draw() {
  const side = state.size, pitch = side + GAP;
  const first = Math.max(0, Math.floor($("grid").scrollTop / pitch) - 1) * columns;
  const last = Math.min(order.length, (Math.ceil(($("grid").scrollTop + $("grid").clientHeight) / pitch) + 1) * columns);
  for (const [k, cell] of cells) if (k < first || k >= last) { cell.remove(); cells.delete(k); }
  for (let k = first; k < last; k++) {
    const i = order[k];
    let cell = cells.get(k);
    if (!cell) { cell = make("div", {}, make("span")); cells.set(k, cell); $("grid").append(cell); }
    cell.className = `cell ${keeps(i) ? "kept" : ""} ${OUT.has(DATA.reason[i]) ? "out" : ""} ${i === state.at ? "here" : ""}`;
    cell.dataset.k = k;
    cell.title = name(i);
    cell.firstChild.textContent = DATA.score[i].toFixed(2);
    sprite(cell, i, side - 6, "sheet", DATA.per_row);
    Object.assign(cell.style, { width: `${side}px`, height: `${side}px`, left: `${GAP + (k % columns) * pitch}px`, top: `${GAP + Math.floor(k / columns) * pitch}px` });
  }
}
const name = (i) => { const source = DATA.source_names[DATA.source_of[i]]; return source ? `${source}-LOC-${DATA.loc[i]}` : DATA.loc[i]; };

function layout() {
  columns = Math.max(1, Math.floor(($("grid").clientWidth - GAP) / (state.size + GAP)));
  $("space").style.height = `${Math.ceil(order.length / columns) * (state.size + GAP) + GAP}px`;
  draw();
}

function refresh(resort = true) {
  let kept = 0, possible = 0;
  for (let i = 0; i < count; i++) { if (!OUT.has(DATA.reason[i])) { possible++; if (DATA.score[i] > state.t) kept++; } }
  $("at").textContent = state.t.toFixed(3).replace(/0$/, "");
  $("keeps").textContent = `keeps ${number(kept)} of ${number(possible)} (${possible ? ((100 * kept) / possible).toFixed(1) : 0} %)`;
  [...$("bars").children].forEach((bar, i, all) => (bar.className = (i + 0.5) / all.length > state.t ? "kept" : ""));
  if (resort) sortAll();
  layout();
  const said = new URLSearchParams({ t: state.t, order: state.order, show: state.filter, size: state.size });
  if (state.at >= 0) said.set("patch", name(state.at));
  history.replaceState(null, "", `#${said}`);
}

function show(i) {
  state.at = i;
  $("side").hidden = i < 0;
  if (i >= 0) {
    const where = place(i), nm = DATA.voxel_size;
    const large = $("large"), side = large.clientWidth || 288;
    sprite(large, i, side, "sheet", DATA.per_row);
    const rows = [["name", name(i)], ["score", DATA.score[i]], ["decision", DATA.reasons[DATA.reason[i]]]];
    if (where && where.axis >= 0) rows.push(["slice", `${AXES[where.axis]} ${where.slice}${nm ? `, at ${+(where.slice * nm[where.axis]).toFixed(1)} nm` : ""}`]);
    if (where) { const [y0, y1, x0, x1] = where.box; rows.push(["box", `rows ${y0}–${y1}, columns ${x0}–${x1}`]); }
    $("said").replaceChildren(...rows.flatMap(([k, v]) => [make("dt", { textContent: k }), make("dd", { textContent: v })]));
    overview(i, where);
  }
  refresh(false);
}

function overview(i, where) {
  const source = DATA.source_names[DATA.source_of[i]];
  const found = where && DATA.overviews[`${source}\n${where.axis}`];
  $("over").replaceChildren();
  $("depth").replaceChildren();
  $("over").style.height = "0";
  if (!found) return;
  const [at, rows, columnsOf] = found, side = $("over").clientWidth || 288, scale = side / Math.max(rows, columnsOf);
  $("over").style.height = `${rows * scale}px`;
  sprite($("over"), at, side, "overview", DATA.overview_per_row);
  const [y0, y1, x0, x1] = where.box, box = make("i");
  Object.assign(box.style, { left: `${x0 * scale}px`, top: `${y0 * scale}px`, width: `${(x1 - x0) * scale}px`, height: `${(y1 - y0) * scale}px` });
  $("over").append(box);
  const depth = DATA.depths[source]?.[where.axis];
  if (where.axis >= 0 && depth) {
    const mark = make("i");
    mark.style.left = `${(100 * where.slice) / depth}%`;
    $("depth").append(mark, make("span", { textContent: `slice ${where.slice} of ${depth}, along ${"zyx"[where.axis]}` }));
  }
}

function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  const t = parseFloat(said.get("t"));
  if (t >= 0 && t <= 1) state.t = t;
  if ([...$("order").options].some((o) => o.value === said.get("order"))) state.order = said.get("order");
  if (FILTERS.some(([value]) => value === said.get("show"))) state.filter = said.get("show");
  const size = +said.get("size");
  if (size >= 48 && size <= 192) state.size = size;
  Object.assign($("threshold"), { value: state.t });
  Object.assign($("size"), { value: state.size });
  $("order").value = state.order;
  $("filter").value = state.filter;
  const patch = said.get("patch");
  refresh();
  if (patch) show(order.find((i) => name(i) === patch) ?? -1);
}

document.title = DATA.dataset;
$("title").textContent = DATA.dataset;
const facts = [DATA.cut === null ? null : `${number(DATA.cut)} cut`, `${number(DATA.deduplicated)} deduplicated`, `${number(DATA.across)} across datasets`, `${number(DATA.kept)} kept`, DATA.voxel_size ? `${DATA.voxel_size.join(" x ")} nm (z, y, x)` : null, DATA.shapes.join(", ") || null, DATA.split ? `split ${DATA.split}` : null, ...Object.entries(DATA.free).filter(([, v]) => v).map(([k, v]) => `${k}: ${v}`), `from ${DATA.sources.slice(0, 5).join(", ")}`];
$("facts").textContent = facts.filter(Boolean).join(" · ");
$("flags").append(...DATA.flags.map((flag) => make("span", { className: "flag", textContent: flag })));
$("bars").append(...DATA.histogram.map((n) => { const bar = make("i"); bar.style.height = `${(100 * n) / Math.max(1, ...DATA.histogram)}%`; return bar; }));
$("filter").append(...FILTERS.map(([value, textContent]) => make("option", { value, textContent })));
if (document.referrer.includes("index.html")) $("back").onclick = (event) => { event.preventDefault(); history.back(); };

let waiting;
$("threshold").oninput = () => { state.t = +$("threshold").value; $("grid").scrollTop = 0; clearTimeout(waiting); if (count > 50000) { refresh(false); waiting = setTimeout(refresh, 150); } else refresh(); };
$("order").onchange = () => { state.order = $("order").value; $("grid").scrollTop = 0; refresh(); };
$("filter").onchange = () => { state.filter = $("filter").value; $("grid").scrollTop = 0; refresh(); };
$("size").oninput = () => { state.size = +$("size").value; refresh(false); };
$("close").onclick = () => show(-1);
$("grid").onscroll = () => requestAnimationFrame(draw);
$("grid").onclick = (event) => { const cell = event.target.closest(".cell"); if (cell) show(order[+cell.dataset.k]); };
addEventListener("resize", layout);
addEventListener("keydown", (event) => {
  if (event.target.matches("input, select")) return;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (event.key === "Escape") show(-1);
  if (by && order.length) {
    event.preventDefault();
    const k = Math.max(0, Math.min(order.length - 1, (state.at < 0 ? -1 : order.indexOf(state.at)) + by)), top = Math.floor(k / columns) * (state.size + GAP);
    if (top < $("grid").scrollTop || top + state.size > $("grid").scrollTop + $("grid").clientHeight) $("grid").scrollTop = top - 40;
    show(order[k]);
  }
});
recall();
document.body.dataset.ready = "yes";
