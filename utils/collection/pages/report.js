"use strict";
const percent = (a, b) => (b ? `${((100 * a) / b).toFixed(a / b < 0.1 ? 1 : 0)} %` : "–");
const PAGE = 150, FACET = 12;
const { datasets, columns, totals } = DATA;
const state = { sort: "dataset", down: false, search: "", facets: {} };

const voxels = (d) => (d.voxel_size ? d.voxel_size.map((v) => +v.toFixed(2)).join(" x ") : "");
const COLUMNS = [
  { key: "dataset", title: "dataset", value: (d) => d.dataset, cell: link, class: "name" },
  { key: "patches", title: "typical patches", cell: strip },
  { key: "cut", title: "cut", value: (d) => d.cut ?? -1, cell: (d) => number(d.cut), class: "number" },
  { key: "deduplicated", title: "deduplicated", value: (d) => d.deduplicated, cell: (d) => number(d.deduplicated), class: "number" },
  { key: "across", title: "across datasets", value: (d) => d.across, cell: (d) => number(d.across), class: "number" },
  { key: "kept", title: "kept", value: (d) => d.kept, cell: (d) => number(d.kept), class: "number" },
  { key: "share", title: "share kept", value: (d) => (d.deduplicated ? d.kept / d.deduplicated : -1), cell: (d) => percent(d.kept, d.deduplicated), class: "number" },
  { key: "scores", title: "scores", cell: bars },
  { key: "flags", title: "to look at", value: (d) => d.flags.length, cell: flagged, class: "flags" },
  { key: "voxel size", title: "voxel size, nm (z, y, x)", value: (d) => (d.voxel_size ? d.voxel_size[1] : Infinity), cell: (d) => voxels(d) || "missing", facet: (d) => voxels(d) || "missing" },
  { key: "shape", title: "shape (z, y, x)", value: (d) => d.shapes[0] || "", cell: (d) => d.shapes.join(", ") },
  ...(datasets.some((d) => d.split) ? [{ key: "split", title: "split", value: (d) => d.split, cell: (d) => d.split, facet: (d) => d.split || "none" }] : []),
  ...columns.map((name) => ({ key: `:${name}`, title: name, value: (d) => d.free[name] || "", cell: (d) => free(d.free[name] || ""), facet: (d) => d.free[name] || "–" })),
  { key: "source", title: "source", value: (d) => d.sources[0] || "", cell: (d) => free(d.sources[0] || ""), class: "long" },
];
const kind = (flag) => flag.replace(/^(kept|duplicates) .*/, "$1 …").replace(/^\d+ /, "… ").replace(/ of .*$/, "");
const FACETS = [{ key: "flags", title: "to look at", values: (d) => (d.flags.length ? [...new Set(d.flags.map(kind))] : ["nothing"]) },
  ...COLUMNS.filter((c) => c.facet).map((c) => ({ key: c.key, title: c.title, values: (d) => [c.facet(d)] }))];
for (const d of datasets) {
  d.text = [d.dataset, ...d.sources, ...Object.values(d.free), ...d.flags].join("\n").toLowerCase();
  d.facets = Object.fromEntries(FACETS.map((f) => [f.key, f.values(d)]));
}

function free(text) {
  const doi = /^10\.\d{4,9}\/\S+$/.test(text) ? `https://doi.org/${text}` : text;
  if (!/^https?:\/\/[^\s]+$/i.test(doi)) return text;
  return make("a", { href: doi, textContent: text.length > 60 ? `${text.slice(0, 57)}…` : text, rel: "noreferrer noopener", target: "_blank" });
}
function link(d) { return d.slug ? make("a", { href: `datasets/${d.slug}/index.html`, textContent: d.dataset }) : d.dataset; }
function strip(d) {
  if (!d.slug) return "";
  const picture = make("img", { loading: "lazy", alt: "", src: `datasets/${d.slug}/strip.jpg` });
  return make("a", { href: `datasets/${d.slug}/index.html`, tabIndex: -1 }, picture);
}
function bars(d) {
  const most = Math.max(1, ...d.histogram);
  const found = make("div", { className: "bars", title: "scores from 0 to 1" });
  d.histogram.forEach((n, i) => { const bar = make("i", { className: i >= d.histogram.length / 2 ? "kept" : "" }); bar.style.height = `${(100 * n) / most}%`; found.append(bar); });
  return found;
}
function flagged(d) {
  return make("div", {}, ...d.flags.map((flag) => make("span", { className: /^failed|nothing kept/.test(flag) ? "flag bad" : "flag", textContent: flag })));
}

const passes = (d, but) => (!state.search || state.search.toLowerCase().split(/\s+/).every((word) => d.text.includes(word))) &&
  Object.entries(state.facets).every(([key, wanted]) => key === but || !wanted.length || d.facets[key]?.some((v) => wanted.includes(v)));

let shown = PAGE;
function draw() {
  const column = COLUMNS.find((c) => c.key === state.sort && c.value) || COLUMNS[0];
  const found = datasets.filter((d) => passes(d));
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  found.sort((a, b) => { const [x, y] = [column.value(a), column.value(b)]; return (typeof x === "number" ? x - y || 0 : compare(x, y)) * (state.down ? -1 : 1) || compare(a.dataset, b.dataset); });
  const body = $("table").tBodies[0];
  body.replaceChildren(...found.slice(0, shown).map((d) => make("tr", {}, ...COLUMNS.map((c) => make("td", { className: c.class || "" }, c.cell(d))))));
  $("more")?.remove();
  if (found.length > shown) {
    const more = make("button", { id: "more", textContent: `show the other ${found.length - shown}` });
    more.onclick = () => { shown = Infinity; draw(); };
    $("wide").after(more);
  }
  for (const head of $("table").tHead.rows[0].cells) head.setAttribute("aria-sort", head.dataset.key === column.key ? (state.down ? "descending" : "ascending") : "none");
  const kept = found.reduce((sum, d) => sum + d.kept, 0);
  $("shown").textContent = `${number(found.length)} of ${number(datasets.length)} datasets, ${number(kept)} patches kept`;
  facets();
  remember();
}

const opened = new Map();
function facets() {
  $("facets").replaceChildren(...FACETS.map((facet) => {
    const counts = new Map(), wanted = state.facets[facet.key] || [];
    for (const d of datasets) for (const v of d.facets[facet.key]) if (!counts.has(v)) counts.set(v, 0);
    for (const d of datasets) if (passes(d, facet.key)) for (const v of d.facets[facet.key]) counts.set(v, counts.get(v) + 1);
    const values = [...counts].sort((a, b) => wanted.includes(b[0]) - wanted.includes(a[0]) || b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const all = opened.get(`${facet.key} all`);
    const box = make("details", { open: opened.get(facet.key) ?? (counts.size <= 40 || wanted.length > 0) }, make("summary", { textContent: facet.title }));
    box.ontoggle = () => opened.set(facet.key, box.open);
    for (const [value, count] of all ? values : values.slice(0, FACET)) {
      const tick = make("input", { type: "checkbox", checked: wanted.includes(value) });
      tick.onchange = () => { state.facets[facet.key] = tick.checked ? [...wanted, value] : wanted.filter((v) => v !== value); shown = PAGE; draw(); };
      box.append(make("label", { className: count ? "" : "off" }, tick, make("span", { textContent: value }), make("i", { textContent: count })));
    }
    if (!all && values.length > FACET) {
      const more = make("button", { textContent: `${values.length - FACET} more` });
      more.onclick = () => { opened.set(`${facet.key} all`, true); facets(); };
      box.append(more);
    }
    return box;
  }));
}

// What is chosen stands in the address, so that it can be kept, sent and gone back to.
function remember() {
  const said = new URLSearchParams();
  if (state.search) said.set("search", state.search);
  if (state.sort !== "dataset" || state.down) said.set("sort", (state.down ? "-" : "") + state.sort);
  for (const [key, wanted] of Object.entries(state.facets)) for (const value of wanted) said.append(`is ${key}`, value);
  const hash = said.toString();
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}
function recall() {
  const said = new URLSearchParams(location.hash.slice(1));
  state.search = said.get("search") || "";
  state.down = (said.get("sort") || "").startsWith("-");
  state.sort = (said.get("sort") || "dataset").replace(/^-/, "");
  state.facets = {};
  for (const [key, value] of said) if (key.startsWith("is ")) (state.facets[key.slice(3)] ||= []).push(value);
  $("search").value = state.search;
  draw();
}

function head() {
  document.title = DATA.title;
  $("title").textContent = DATA.title;
  const steps = [["cut", (totals.cut_known ? "" : "≥ ") + number(totals.cut)], ["deduplicated", number(totals.deduplicated)], ["across datasets", number(totals.across)], ["kept", number(totals.kept)]];
  $("totals").append(...steps.flatMap(([what, n], i) => [...(i ? ["→"] : []), make("b", { textContent: n }), make("i", { textContent: what })]), make("i", { textContent: `of ${number(datasets.length)} datasets` }));
  const points = DATA.imbalance, NS = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(NS, "svg"), line = document.createElementNS(NS, "polyline"), even = document.createElementNS(NS, "polyline");
  svg.setAttribute("viewBox", "-2 -2 124 84");
  even.setAttribute("points", "0,80 120,0"); even.setAttribute("stroke", "currentColor"); even.setAttribute("stroke-opacity", ".25");
  line.setAttribute("points", points.map(([x, y]) => `${120 * x},${80 - 80 * y}`).join(" "));
  line.setAttribute("fill", "none"); line.setAttribute("stroke", "#1f6fb2"); line.setAttribute("stroke-width", "2");
  svg.append(even, line);
  const half = points.findIndex(([, y]) => y >= 0.5), ten = points.findIndex(([x]) => x >= 0.1);
  const largest = datasets.reduce((a, b) => (b.kept > a.kept ? b : a), datasets[0]);
  const text = totals.kept ? `Half of the kept patches come from ${half} of ${datasets.length} datasets; the largest, ${largest.dataset}, gives ${percent(largest.kept, totals.kept)}, the largest tenth ${percent(points[ten][1], 1)}.` : "Nothing is kept.";
  $("imbalance").append(svg, make("figcaption", { textContent: text }));
  const counts = new Map();
  for (const d of datasets) for (const flag of new Set(d.flags.map(kind))) counts.set(flag, (counts.get(flag) || 0) + 1);
  for (const [flag, n] of [...counts].sort((a, b) => b[1] - a[1])) {
    const button = make("button", { textContent: `${flag}: ${n}` });
    button.onclick = () => { state.facets = { flags: [flag] }; draw(); };
    $("odd").append(button, " ");
  }
  if (DATA.unclassified.length) $("odd").append(make("p", { textContent: `Not classified yet: ${DATA.unclassified.slice(0, 20).join(", ")}${DATA.unclassified.length > 20 ? ` and ${DATA.unclassified.length - 20} more` : ""}` }));
  $("table").tHead.append(make("tr", {}, ...COLUMNS.map((c) => {
    const cell = make("th", { textContent: c.title, scope: "col" });
    cell.dataset.key = c.key;
    if (c.value) {
      cell.tabIndex = 0;
      cell.onclick = () => { state.down = state.sort === c.key ? !state.down : typeof c.value(datasets[0]) === "number"; state.sort = c.key; draw(); };
      cell.onkeydown = (event) => { if (event.key === "Enter") cell.onclick(); };
    }
    return cell;
  })));
}

let waiting;
$("search").oninput = () => { clearTimeout(waiting); waiting = setTimeout(() => { state.search = $("search").value.trim(); shown = PAGE; draw(); }, 80); };
$("clear").onclick = () => { Object.assign(state, { search: "", facets: {} }); $("search").value = ""; draw(); };
addEventListener("keydown", (event) => { if (event.key === "/" && event.target !== $("search")) { event.preventDefault(); $("search").focus(); } });
addEventListener("hashchange", recall);
head();
recall();
document.body.dataset.ready = "yes";
