"use strict";
// One patch is one index into `items`, in the order in which the server put them. What is shown as labelled is on disk:
// the page shows a label when the server has answered, and takes the next key only then.

const $ = (id) => document.getElementById(id);
const grid = $("grid"), space = $("space"), single = $("single");
const LABELS = { g: "good", 1: "good", b: "bad", 2: "bad", n: "none", 3: "none", 0: "", Delete: "" };
const MARKS = { good: "✓", bad: "✗", none: "–" };
const SIZES = [64, 88, 112, 144, 184, 232, 300, 400];
const GAP = 6;

let items = [], datasets = [], about = {};
let labels = [], revision = 0;
let here = 0, chosen = new Set(), anchor = null;
let size = 144, columns = 1, step = 0, done = [];
const cells = new Map();

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ ...body, since: revision }) };
  const answer = await fetch(path, { cache: "no-store", ...options });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.error || `refused (${answer.status})`);
  return said;
}

function take(said) {
  revision = said.revision;
  for (const [i, label] of said.changes) labels[i] = label;
  if (said.changes.length) draw();
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

async function act(path, body) {
  try {
    const said = await ask(path, body);
    take(said);
    trouble("");
    return said;
  } catch (error) {
    const gone = error instanceof TypeError;
    trouble(gone ? "The server is gone; this key was not saved. Run the command again and open the address that it prints." : String(error.message || error));
    return null;
  }
}

async function label(value) {
  const wanted = chosen.size ? [...chosen].sort((a, b) => a - b) : [here];
  if (!(await act("label", { items: wanted, label: value }))) return;
  const now = Date.now();
  for (const _ of wanted) done.push(now);
  chosen.clear();
  anchor = null;
  if (value) next(wanted[wanted.length - 1]);
  draw();
}

async function undo() {
  const said = await act("undo", {});
  if (said && said.undone.length) go(said.undone[0]);
  else if (said) trouble("Nothing is left to undo.");
}

function next(from) {
  for (let k = 1; k <= items.length; k++) {
    const i = (from + k) % items.length;
    if (!labels[i]) return go(i);
  }
  go(Math.min(from + 1, items.length - 1));
}

function go(i) {
  here = Math.max(0, Math.min(items.length - 1, i));
  step = 0;
  if (anchor !== null) {
    chosen = new Set();
    for (let k = Math.min(anchor, here); k <= Math.max(anchor, here); k++) chosen.add(k);
  }
  const top = Math.floor(here / columns) * (size + GAP);
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + size + GAP > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + size + GAP - grid.clientHeight;
  draw();
}

// Only the cells that are on the screen, and a row or two around it, are in the page.
function draw() {
  const pitch = size + GAP;
  const first = Math.max(0, Math.floor(grid.scrollTop / pitch) - 1) * columns;
  const last = Math.min(items.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / pitch) + 1) * columns);
  for (const [i, cell] of cells) if (i < first || i >= last) { cell.remove(); cells.delete(i); }
  for (let i = first; i < last; i++) {
    let cell = cells.get(i);
    if (!cell) {
      cell = document.createElement("div");
      const picture = new Image(), mark = document.createElement("b"), score = document.createElement("span");
      picture.decoding = "async";
      picture.alt = "";
      picture.src = `patch/${i}`;
      picture.draggable = false;
      cell.append(picture, mark, score);
      cell.title = items[i][0];
      score.textContent = items[i][2] === null ? "" : items[i][2].toFixed(2);
      cells.set(i, cell);
      grid.append(cell);
    }
    cell.className = `cell ${labels[i] || ""} ${chosen.has(i) ? "chosen" : ""} ${i === here ? "here" : ""}`;
    cell.dataset.index = i;
    cell.children[1].textContent = MARKS[labels[i]] || "";
    Object.assign(cell.style, { width: `${size}px`, height: `${size}px`, left: `${GAP + (i % columns) * pitch}px`, top: `${GAP + Math.floor(i / columns) * pitch}px` });
  }
  count();
  if (!single.hidden) drawSingle();
}

function count() {
  const n = { good: 0, bad: 0, none: 0 };
  for (const value of labels) if (value in n) n[value]++;
  const all = n.good + n.bad + n.none;
  for (const kind in n) document.querySelector(`#bar .${kind}`).style.width = `${(100 * n[kind]) / items.length}%`;
  $("counts").textContent = `${n.good} good, ${n.bad} bad, ${n.none} none; ${items.length - all} of ${items.length} left` + (chosen.size ? `; ${chosen.size} selected` : "");
  done = done.filter((time) => time > Date.now() - 120000);
  const minutes = done.length > 1 ? Math.max(1 / 30, (Date.now() - done[0]) / 60000) : 0;
  $("pace").textContent = minutes ? `${Math.round(done.length / minutes)} a minute` : "";
  const [name, dataset] = items[here];
  $("about").textContent = `${about.who} · ${datasets[dataset]} · ${name.slice(name.lastIndexOf("-LOC-") + 5)}`;
  $("about").title = name;
}

function drawSingle() {
  const [name, dataset, score] = items[here];
  const wanted = about.slices && /-LOC-[012]_/.test(name) ? [step - 1, step, step + 1] : [0];
  const key = `${here} ${wanted}`;
  if ($("pictures").dataset.key !== key) {
    $("pictures").dataset.key = key;
    $("pictures").replaceChildren(...wanted.map((at) => {
      const picture = new Image();
      picture.alt = at ? `${at} slices on` : "the patch";
      picture.src = at === 0 ? `patch/${here}` : `slice/${here}/${at}`;
      picture.onerror = () => (picture.style.visibility = "hidden");
      return picture;
    }));
  }
  [...$("pictures").children].forEach((picture, k) => (picture.className = wanted[k] === step ? `middle ${labels[here] || ""}` : "beside"));
  const at = step ? `, ${Math.abs(step)} slice${Math.abs(step) > 1 ? "s" : ""} ${step < 0 ? "before" : "after"}` : "";
  $("caption").textContent = `${here + 1} of ${items.length} · ${labels[here] || "not labelled"} · ${datasets[dataset]} · ${name}${score === null ? "" : ` · score ${score}`}${at}`;
  for (const ahead of [here + 1, here + 2]) if (ahead < items.length) new Image().src = `patch/${ahead}`;
}

function zoom(on) {
  document.documentElement.style.setProperty("--top", `${document.querySelector("header").offsetHeight}px`);
  single.hidden = !on;
  draw();
}

function resize(by) {
  const at = SIZES.findIndex((s) => s >= size);
  size = SIZES[Math.max(0, Math.min(SIZES.length - 1, at + by))];
  layout();
}

function layout() {
  const wide = grid.clientWidth;
  columns = Math.max(1, Math.floor((wide - GAP) / (size + GAP)));
  space.style.height = `${Math.ceil(items.length / columns) * (size + GAP) + GAP}px`;
  go(here);
}

function moves() {
  const screen = Math.max(1, Math.floor(grid.clientHeight / (size + GAP))) * columns;
  const row = single.hidden ? columns : 1;
  return { ArrowLeft: here - 1, ArrowRight: here + 1, ArrowUp: here - row, ArrowDown: here + row, Home: 0, End: items.length - 1, PageUp: here - screen, PageDown: here + screen };
}

async function press(key) {
  const move = moves();
  if (key in LABELS) return label(LABELS[key]);
  if (key in move) return go(move[key] < 0 || move[key] >= items.length ? (/Up|Down/.test(key) && !/Page/.test(key) ? here : move[key]) : move[key]);
  switch (key) {
    case "u": case "z": case "Backspace": return undo();
    case "j": return next(here);
    case "x": chosen.has(here) ? chosen.delete(here) : chosen.add(here); return draw();
    case "v": anchor = anchor === null ? here : null; if (anchor !== null) chosen.add(here); return draw();
    case "a": for (const [i, cell] of cells) if (cell.offsetTop + size > grid.scrollTop && cell.offsetTop < grid.scrollTop + grid.clientHeight) chosen.add(i); return draw();
    case "Escape": if (!single.hidden) zoom(false); chosen.clear(); anchor = null; return draw();
    case "Enter": case " ": return zoom(single.hidden);
    case "[": if (!single.hidden && about.slices) { step--; drawSingle(); } return;
    case "]": if (!single.hidden && about.slices) { step++; drawSingle(); } return;
    case "+": case "=": return resize(1);
    case "-": return resize(-1);
    case "?": return $("keys").open ? $("keys").close() : $("keys").showModal();
  }
}

// Keys wait for each other, so that none counts before the one before it is on disk.
let busy = Promise.resolve();
const later = (work) => (busy = busy.then(work, work));

const KEYS = new Set(["u", "z", "j", "x", "v", "a", "Escape", "Enter", " ", "[", "]", "+", "=", "-", "?", "Backspace", ...Object.keys(LABELS)]);
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !items.length) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (!KEYS.has(key) && !(key in moves())) return;
  if ($("keys").open && key !== "?") return;
  event.preventDefault();
  later(() => press(key));
});

for (const [id, key] of Object.entries({ good: "g", bad: "b", none: "n", undo: "u", look: "Enter", help: "?" })) {
  $(id).addEventListener("click", () => { $(id).blur(); later(() => press(key)); });
}
$("keys").addEventListener("click", () => $("keys").close());
single.addEventListener("click", () => zoom(false));

// Dragging selects what it crosses; a click moves the frame, a double click zooms.
let drag = null;
const at = (event) => { const box = grid.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top + grid.scrollTop]; };
grid.addEventListener("pointerdown", (event) => {
  if (event.button || event.offsetX > grid.clientWidth) return;
  drag = { from: at(event), moved: false };
  grid.setPointerCapture(event.pointerId);
});
grid.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = at(event), [x0, y0] = drag.from;
  drag.moved ||= Math.hypot(x - x0, y - y0) > 6;
  if (!drag.moved) return;
  if (event.clientY > grid.getBoundingClientRect().bottom - 20) grid.scrollTop += 20;
  const box = [Math.min(x, x0), Math.min(y, y0), Math.max(x, x0), Math.max(y, y0)];
  Object.assign($("band").style, { left: `${box[0]}px`, top: `${box[1]}px`, width: `${box[2] - box[0]}px`, height: `${box[3] - box[1]}px` });
  $("band").hidden = false;
  chosen = new Set(within(box));
  draw();
});
addEventListener("pointerup", (event) => {
  if (!drag) return;
  if (!drag.moved) { const [x, y] = at(event), [i] = within([x, y, x, y]); if (i !== undefined) { chosen.clear(); anchor = null; go(i); } }
  drag = null;
  $("band").hidden = true;
});
grid.addEventListener("dblclick", () => zoom(true));

function within([x0, y0, x1, y1]) {
  const pitch = size + GAP, found = [];
  const [c0, c1] = [x0, x1].map((x) => Math.floor((x - GAP / 2) / pitch)), [r0, r1] = [y0, y1].map((y) => Math.floor((y - GAP / 2) / pitch));
  for (let r = Math.max(0, r0); r <= r1; r++)
    for (let c = Math.max(0, c0); c <= Math.min(columns - 1, c1); c++) if (r * columns + c < items.length) found.push(r * columns + c);
  return found;
}

grid.addEventListener("scroll", () => requestAnimationFrame(draw), { passive: true });
addEventListener("resize", layout);

// What other pages and people label is looked up every few seconds.
async function look() {
  if (document.hidden) return;
  try { take(await ask(`news?since=${revision}`)); } catch { trouble("The server is gone. Run the command again and open the address that it prints."); }
}
setInterval(look, 3000);
addEventListener("focus", look);
addEventListener("visibilitychange", look);

ask("items.json").then((said) => {
  ({ items, datasets } = said);
  about = said;
  labels = new Array(items.length).fill("");
  take(said);
  document.title = `${about.table} · ${about.order}`;
  layout();
  const open = labels.findIndex((value) => !value);
  go(open < 0 ? 0 : open);
  grid.focus();
  document.body.dataset.ready = "yes";
}, () => trouble("The server is gone."));
