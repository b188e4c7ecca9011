// What the page does: switches, sorting, filters, the choice of two runs and of classes, confusion, downloads, copying.
"use strict";
(async () => {
const byId = id => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const kinds = new Map(data.kinds.map(kind => [kind.name, kind]));
const visible = new Set(kinds.keys());
const chosen = new Set();  // classes, by their number
const MOST = innerWidth < 600 ? 8 : 16;  // so many classes are shown in a plot of confusion, and half as many more predictions

// Plots

let model = () => null;  // a model of Bokeh's by its id
if (Object.keys(data.figures).length) {
  const roots = Object.fromEntries(Object.entries(data.figures).map(([name, id]) => [id, byId("plot-" + name)]));
  const item = {docid: "plots", roots, root_ids: Object.keys(roots)};
  await Bokeh.embed.embed_items({plots: JSON.parse(byId("document").textContent)}, [item]);
  for (const preview of document.querySelectorAll(".preview")) preview.remove();
  const doc = Bokeh.documents[0];
  model = id => doc.get_model_by_id(id);
  // Tables have the numbers: a keyboard does not stop at each tool of each plot.
  for (const name of Object.keys(data.figures)) byId("plot-" + name).firstElementChild.tabIndex = -1;
}
const figures = Object.values(data.figures).map(model);
const points = data.points && model(data.points);

const dark = matchMedia("(prefers-color-scheme: dark)");
function paint(isDark) {
  const [text, line] = isDark ? ["#e8e9ec", "#3a3f48"] : ["#1c1d21", "#d8dbe1"];  // as the style has them
  for (const figure of figures) {
    figure.outline_line_color = line;
    for (const part of [...figure.left, ...figure.right, ...figure.above, ...figure.below, ...figure.center]) {
      const set = {
        axis_label_text_color: text, major_label_text_color: text, axis_line_color: text, major_tick_line_color: text,
        minor_tick_line_color: text, grid_line_color: line, label_text_color: text, line_color: text,
        background_fill_color: null, border_line_color: null,
      };
      for (const [name, value] of Object.entries(set))
        if (name in part.properties && !(name.startsWith("background") && !("label_text_color" in part.properties)))
          part[name] = value;
    }
    for (const renderer of figure.renderers)
      if (renderer.glyph && renderer.glyph.type === "Text") renderer.glyph.text_color = {value: text};
  }
  for (const kind of data.kinds)
    for (const [id, colours] of kind.shows)
      model(id).setv(Object.fromEntries(colours.map(name => [name, {value: kind.colours[isDark ? 1 : 0]}])));
  document.documentElement.classList.toggle("dark-plots", isDark);
}
paint(dark.matches);
let printing = false;
dark.addEventListener("change", () => { if (!printing) paint(dark.matches); });
function print(on) {  // plots cannot be repainted in time: those painted for a dark page are inverted by the style
  printing = on;
  if (!on) paint(dark.matches);
  for (const figure of figures) figure.toolbar.visible = !on;
}
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
if (matchMedia("(pointer: coarse)").matches)  // a finger that scrolls must not select
  for (const figure of figures) figure.toolbar.active_drag = null;

// Runs

const allRows = data.rows ? [...model(data.rows).factors] : [];
function show(name, on) {
  on ? visible.add(name) : visible.delete(name);
  for (const [id] of kinds.get(name).shows) {
    const shown = model(id);
    if ("visible" in shown.properties) shown.visible = on;
  }
  for (const box of switches) if (box.dataset.kind === name) box.checked = on;
  for (const row of document.querySelectorAll("tr[data-kind]"))
    if (row.dataset.kind === name) row.classList.toggle("off", !on);
}
let afterSwitches = () => {
  if (data.rows) model(data.rows).factors = allRows.filter(name => visible.has(name));
};
const switches = [...document.querySelectorAll("input[type=checkbox][data-kind]")];
for (const box of switches) {
  box.checked = true;  // a browser may remember another state from before a reload
  box.addEventListener("change", () => { show(box.dataset.kind, box.checked); afterSwitches(); });
}
for (const button of document.querySelectorAll("button[data-all]"))
  button.addEventListener("click", () => {
    const on = button.dataset.all === "true";
    for (const box of switches)
      if (box.closest("tr")?.hidden === false) show(box.dataset.kind, on);
    afterSwitches();
    isPairChosen = false;
    writeAddress();
  });

// Tables

const valueOf = cell => cell.dataset.value ?? cell.textContent.trim();
const byName = new Intl.Collator(undefined, {numeric: true});
function compare(a, b) {
  if (a === b) return 0;
  if (a === "" || b === "") return a === "" ? -1 : 1;
  const [x, y] = [Number(a), Number(b)];
  return Number.isNaN(x) || Number.isNaN(y) ? byName.compare(a, b) : x - y;
}
// The first click on a header sorts names from a to z and numbers from the highest; the next one turns that.
function turn(header, isText) {
  const now = header.getAttribute("aria-sort");
  const direction = (now === "none" ? isText : now === "descending") ? "ascending" : "descending";
  for (const other of header.parentNode.children) other.setAttribute("aria-sort", "none");
  header.setAttribute("aria-sort", direction);
  return direction === "ascending" ? 1 : -1;
}
function sort(table, header) {
  const place = header.cellIndex;
  const rows = [...table.tBodies[0].rows];
  const values = rows.map(row => valueOf(row.cells[place]));
  const sign = turn(header, place === 0 || values.every(value => Number.isNaN(Number(value))));
  rows.sort((a, b) => sign * compare(valueOf(a.cells[place]), valueOf(b.cells[place])));
  table.tBodies[0].append(...rows);
}
for (const table of document.querySelectorAll("table.sortable:not(#classes)"))
  table.tHead.addEventListener("click", event => {
    const header = event.target.closest("th");
    if (header && event.target.closest("button")) sort(table, header);
  });
for (const box of document.querySelectorAll("input[data-filter]")) {
  box.value = "";
  box.addEventListener("input", () => {
    if (box.dataset.filter === "classes") return listClasses();
    for (const row of byId(box.dataset.filter).tBodies[0].rows)
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(box.value.toLowerCase());
  });
}

function add(parent, tag, text) {
  const made = parent.appendChild(document.createElement(tag));
  if (text != null) made.textContent = text;
  return made;
}
function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
// The header and the rows of a table: with all digits, but for that of the classes, which the page makes.
function contentOf(name) {
  if (data.tables[name]) return data.tables[name];
  const cell = c => (c.tagName === "TH" && c.closest("thead") ? c.textContent : valueOf(c)).trim().replace(/\s+/g, " ");
  const [header, ...rows] = [...byId(name).rows].map(row => [...row.cells].map(cell));
  return [header, rows];
}
const downloads = [...document.querySelectorAll("button[data-tsv]")];
for (const button of downloads)
  button.addEventListener("click", () => {
    const [header, rows] = contentOf(button.dataset.tsv);
    save([header, ...rows].map(row => row.map(value => value ?? "").join("\t") + "\n").join(""),
         button.dataset.tsv + ".tsv", "text/tab-separated-values");
  });
byId("download-tables")?.addEventListener("click", () => {
  const table = ([header, rows]) => rows.map(row => Object.fromEntries(row.map((value, i) => [header[i], value])));
  const tables = downloads.map(button => [button.dataset.tsv, table(contentOf(button.dataset.tsv))]);
  save(JSON.stringify(Object.fromEntries(tables), null, 1), "tables.json", "application/json");
});
for (const button of document.querySelectorAll("button[data-copy]"))
  button.addEventListener("click", async () => {
    const code = byId(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {  // where a page of a file has no clipboard
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

// The two runs that are compared. The address keeps them and the chosen classes, such as '#sl,clip/digit-four'.

const MOST_IN_ADDRESS = 100;  // classes
let {pair} = data, isPairChosen = false;
let choose = () => {}, showPairOfClasses = () => {};
const selects = ["kind-a", "kind-b"].map(byId).filter(Boolean);
for (const select of selects) {
  select.append(...data.kinds.map(kind => new Option(kind.name)));
  select.addEventListener("change", () => compareRuns(selects.map(({value}) => value)));
}
const slugs = [];
data.labels.forEach((label, c) => {
  const slug = label.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  slugs.push(slug && !slugs.includes(slug) ? slug : `${slug}-${c}`);
});

function compareRuns(names) {
  [pair, isPairChosen] = [names, true];
  for (const name of kinds.keys()) show(name, names.includes(name));
  afterSwitches();
  showPair();
  writeAddress();
}
function writeAddress() {
  const names = isPairChosen ? pair.map(encodeURIComponent).join(",") : "";
  const classes = chosen.size && chosen.size <= MOST_IN_ADDRESS ? "/" + [...chosen].map(c => encodeURIComponent(slugs[c])) : "";
  history.replaceState(null, "", location.href.split("#")[0] + (names || classes ? "#" + names + classes : ""));
}
function readAddress() {
  let names, classes;
  try {
    [names, classes = []] = location.hash.slice(1).split("/").map(part => part.split(",").map(decodeURIComponent));
  } catch {  // no address that this page has written
    return;
  }
  const of = classes.map(slug => slugs.indexOf(slug)).filter(c => c >= 0 && c < data.classes);
  if (of.length) choose(of);
  const found = names.filter(name => kinds.has(name));
  if (found.length) compareRuns([found[0], found.at(-1)]);
}
function leaveRoomForKey() {  // above a part of the page that a link leads to
  document.documentElement.style.scrollPaddingTop = `${(byId("key")?.offsetHeight ?? 0) + 8}px`;
}
leaveRoomForKey();
addEventListener("resize", leaveRoomForKey);
addEventListener("hashchange", readAddress);
for (const link of document.querySelectorAll("nav a"))
  link.addEventListener("click", event => {  // and leave the choice in the address
    event.preventDefault();
    const part = byId(link.hash.slice(1));
    part.scrollIntoView();
    part.focus({preventScroll: true});
  });
byId("claims")?.addEventListener("click", event => {
  if (!event.target.closest("a")) event.target.closest("tr").querySelector("a.runs")?.click();
});

// Rounds as Python does: the exact value of x, and halves to an even digit.
function rounded(x, digits) {
  const isHalf = Math.abs(x * 2 ** (digits + 1)) % 2 === 1, down = Math.trunc(x * 10 ** digits);
  return isHalf && down % 2 === 0 ? down / 10 ** digits : Number(x.toFixed(digits));
}
const number = (x, digits) => typeof x === "string" ? x : x == null ? "–" :
  rounded(x, digits).toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});
function fill(table, header, rows) {
  const line = (cells, tag) => {
    const made = document.createElement("tr");
    cells.forEach((text, place) => {
      const cell = add(made, place ? tag : "th", text);
      if (cell.tagName === "TH") cell.scope = tag === "th" ? "col" : "row";
    });
    return made;
  };
  table.tHead.replaceChildren(line(header, "th"));
  table.tBodies[0].replaceChildren(...rows.map(row => line(row, "td")));
}
function showPair() {
  const [a, b] = pair;
  selects.forEach((select, side) => { select.value = pair[side]; });
  const hash = "#" + [...new Set(pair)].join(",");
  for (const link of document.querySelectorAll("a.runs"))
    link.setAttribute("aria-current", isPairChosen && decodeURIComponent(link.hash) === hash);
  if (byId("pair")) {
    const [titles, runs] = data.tables.runs, differences = data.differences[a]?.[b];
    const value = (name, title) => runs.find(([of]) => of === name)[titles.indexOf(title)];
    fill(byId("pair"), ["statistic", a, b, `${a} − ${b} [95 %]`], data.measures.map(([title, digits], place) =>
      [title, number(value(a, title), digits), number(value(b, title), digits), differences?.[place] ?? "–"],
    ).filter(row => row.slice(1).some(text => text !== "–")));
  }
  if (byId("pair-confounded")) {
    const factors = data.confounded.find(([c, d]) => c === a && d === b || c === b && d === a)?.[2];
    byId("pair-confounded").hidden = !factors;
    byId("pair-confounded").querySelector("span").textContent =
      `${a} and ${b} differ in ${factors}, so that their differences have no single cause.`;
  }
  if (byId("pair-configs")) {
    const [names, ...fields] = [...byId("configs")?.rows ?? []].map(row => [...row.cells].map(cell => cell.textContent));
    const [i, j] = pair.map(name => names?.indexOf(name));
    fill(byId("pair-configs"), ["field", a, b], fields.filter(row => row[i] !== row[j]).map(row => [row[0], row[i], row[j]]));
  }
  showPairOfClasses();
}

// Classes

if (!data.classes || !byId("classes")) {
  showPair();
  return readAddress();
}
const evaluated = data.kinds.filter(kind => kind.accuracy);

// The table has all classes that match the filter, chosen ones and then the rarest first, and hides those after the first
// LISTED. Its rows are made anew only when other kinds are compared: with 1,000 classes and 12 kinds, that is the slowest step.
// A row is a class, or in mirrored pairs a class in one of the directions, where it has another number of images.
const LISTED = 20;
const classOf = r => r % data.classes, directionOf = r => data.directions[Math.floor(r / data.classes)];
const numRows = data.classes * data.directions.length;
const table = byId("classes");
let columns = [], rows = [], order = [];
let sorted = {title: Object.keys(data.frequencies)[0] ?? "", sign: 1}, allListed = false;
function compared() {
  const found = [...new Set(pair.map(name => kinds.get(name)).filter(kind => kind.accuracy))];
  return found.length ? found : evaluated.slice(0, 1);
}

function columnsOf([a, b]) {
  const accuracy = kind => ({title: `${kind.name} %`, values: kind.accuracy, digits: 1, of: kind.name, hidden: false});
  const difference = () => ({
    title: `${a.name} − ${b.name}`, digits: 1,
    values: a.accuracy.map((x, c) => x == null || b.accuracy[c] == null ? null : x - b.accuracy[c]),
  });
  const mistaken = kind => ({
    title: `mostly taken for by ${kind.name}`,
    values: kind.wrong.map(([label, count], c) =>
      count ? `${data.labels[label]} (${number(100 * count / kind.examples[c], 0)} %)` : "–"),
  });
  const pair = b ? [a, b] : [a];
  const all = Array.from({length: numRows}, (_, r) => r);
  return [
    {title: "class", values: all.map(r => data.labels[classOf(r)])},
    ...pair.map(accuracy), ...(b ? [difference()] : []),
    ...Object.entries(data.frequencies).map(([title, values]) => ({title, values, digits: 0})),
    ...(data.directions.length > 1 ? [{title: "run", values: all.map(directionOf)}] : []),
    ...pair.map(mistaken),
    ...evaluated.filter(kind => !pair.includes(kind)).map(accuracy),
  ];
}

function addButton(cell, text) {
  const button = add(cell, "button", text);
  button.type = "button";
}

function makeClasses() {
  columns = columnsOf(compared());
  const header = document.createElement("tr");
  for (const {title, digits} of columns) {
    const cell = add(header, "th");
    cell.scope = "col";
    cell.setAttribute("aria-sort", title !== sorted.title ? "none" : sorted.sign > 0 ? "ascending" : "descending");
    cell.classList.toggle("text", digits == null);
    addButton(cell, title);
  }
  table.tHead.replaceChildren(header);
  rows = Array.from({length: numRows}, (_, r) => {
    const row = document.createElement("tr");
    row.dataset.class = classOf(r);
    for (const {values, digits} of columns) {
      const isName = !row.firstChild;
      const cell = add(row, isName ? "th" : "td", isName ? null : digits == null ? values[r] : number(values[r], digits));
      if (isName) addButton(cell, values[r]);
      if (isName) cell.scope = "row";
      else if (digits == null) cell.className = "text";
      else cell.dataset.value = values[r] ?? "";
    }
    return row;
  });
  sortClasses();
  showColumns();
}
function showColumns() {
  columns.forEach((column, place) => {
    const hidden = column.of != null && !visible.has(column.of);
    if (hidden === Boolean(column.hidden)) return;
    column.hidden = hidden;
    for (const row of [table.tHead.rows[0], ...rows]) row.cells[place].hidden = hidden;
  });
}
function sortClasses() {
  const column = columns.find(({title}) => title === sorted.title);
  order = [...rows.keys()];
  if (column) order.sort((c, d) => sorted.sign * compare(column.values[c] ?? "", column.values[d] ?? ""));
}
function listClasses() {
  const wanted = document.querySelector("input[data-filter=classes]").value.toLowerCase();
  const found = order.filter(r => !wanted || data.labels[classOf(r)].toLowerCase().includes(wanted));
  const isChosen = r => chosen.has(classOf(r));
  const listed = [...found.filter(isChosen), ...found.filter(r => !isChosen(r))];
  listed.forEach((r, place) => {
    rows[r].hidden = place >= LISTED && !allListed;
    rows[r].classList.toggle("chosen", isChosen(r));
    rows[r].querySelector("button").setAttribute("aria-pressed", isChosen(r));
  });
  table.tBodies[0].replaceChildren(...listed.map(r => rows[r]));
  byId("list-all").hidden = allListed || listed.length <= LISTED;
  byId("list-all").textContent = `List all ${listed.length.toLocaleString("en")}`;
  const matching = wanted ? `${new Set(listed.map(classOf)).size.toLocaleString("en")} of ` : "";
  byId("chosen").textContent =
    `${matching}${data.classes.toLocaleString("en")} classes${wanted ? " match" : ""}, ${chosen.size || "none"} chosen`;
}
function showImages() {
  if (byId("class-images")) classImages.show([...chosen], visible, new Set(compared().map(kind => kind.name)), data);
}
table.tHead.addEventListener("click", event => {
  const header = event.target.closest("button")?.closest("th");
  if (!header) return;
  const column = columns[header.cellIndex];
  sorted = {title: column.title, sign: turn(header, column.digits == null)};
  sortClasses();
  listClasses();
});
byId("list-all").addEventListener("click", () => {
  allListed = true;
  listClasses();
});

let choosing = false;  // whether the selection in the plots follows, and does not lead
choose = classes => {
  const same = classes.length === chosen.size && classes.every(c => chosen.has(c));
  if (!same) {
    chosen.clear();
    classes.forEach(c => chosen.add(c));
  }
  if (points) {
    const indices = [], of = points.data.class;
    if (chosen.size) for (let i = 0; i < of.length; i++) if (chosen.has(of[i])) indices.push(i);
    choosing = true;
    points.selected.indices = indices;
    choosing = false;
  }
  listClasses();
  showImages();
  drawConfusion();
  writeAddress();
};
if (points)
  points.selected.properties.indices.change.connect(() => {
    if (choosing) return;
    choose([...new Set(points.selected.indices.map(i => points.data.class[i]))]);
  });
table.tBodies[0].addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  const c = Number(button.closest("tr").dataset.class);
  choose(chosen.has(c) ? [...chosen].filter(other => other !== c) : [...chosen, c]);
  button.focus({preventScroll: event.detail > 0});  // the row has moved: a keyboard follows it, a mouse stays
});
byId("clear").addEventListener("click", () => choose([]));
byId("choose-listed").addEventListener("click", () =>
  choose([...new Set([...table.tBodies[0].rows].map(row => Number(row.dataset.class)))]));
const showRuns = afterSwitches;
afterSwitches = () => {
  showRuns();
  showColumns();
  showImages();
};
showPairOfClasses = () => {
  makeClasses();
  listClasses();
  showImages();
  drawConfusion();
};

// Confusion, of the most frequent wrong predictions that the page has

const worst = kind => {
  const share = r => (kind.wrong[r][1] ?? 0) / Math.max(kind.examples[r], 1);
  return [...rows.keys()].sort((r, s) => share(s) - share(r));
};
const short = new Set();
data.labels.forEach((label, i) => {  // names that fit beside an axis, all different
  const cut = label.length > 28 ? label.slice(0, 27) + "…" : label;
  short.add(short.has(cut) ? `${cut} ${i}` : cut);
});
const tick = [...short];
const rowTick = r => tick[classOf(r)] + (data.directions.length > 1 ? ` (${directionOf(r)})` : "");
function drawConfusion() {
  const [a, b = a] = compared();
  const of = chosen.size ? [...chosen].flatMap(c => data.directions.map((_, d) => d * data.classes + c)) : worst(a);
  const shown = of.slice(0, MOST);
  byId("confusion-note").textContent = (of.length > MOST && chosen.size ? `The first ${MOST} of the ${of.length} rows of chosen classes` :
    chosen.size ? "The chosen classes" : `No class is chosen: the ${shown.length} whose errors ${a.name} concentrates most on one class`) +
    ", by rows, and what they are taken for, in percent: the right class, and at most six wrong ones of each.";
  const columns = new Set(shown.map(classOf));
  for (const kind of [a, b])
    for (const place of [0, 2, 4])
      for (const r of shown)
        if (columns.size < 1.5 * MOST && kind.wrong[r].length > place) columns.add(kind.wrong[r][place]);
  [a, b].forEach((kind, side) => {
    const cells = {true: [], predicted: [], share: [], count: [], text: [], alpha: []};
    const add = (r, label, count) => {
      if (!count || !columns.has(label)) return;
      const share = 100 * count / kind.examples[r];
      cells.true.push(rowTick(r));
      cells.predicted.push(tick[label]);
      cells.share.push(share);
      cells.count.push(count);
      cells.text.push(share < 0.5 ? "" : share.toFixed(0));
      cells.alpha.push(0.08 + 0.6 * share / 100);
    };
    for (const r of shown) {
      add(r, classOf(r), kind.right[r]);
      for (let i = 0; i < kind.wrong[r].length; i += 2) add(r, kind.wrong[r][i], kind.wrong[r][i + 1]);
    }
    const figure = model(data.figures[side ? "confusion_b" : "confusion_a"]);
    figure.x_range.factors = [...columns].map(label => tick[label]);
    figure.y_range.factors = shown.map(rowTick).reverse();
    figure.height = 200 + 22 * shown.length;
    model(data.confusions[side]).data = cells;
    const caption = byId(side ? "plot-confusion_b" : "plot-confusion_a").parentNode.querySelector("figcaption");
    caption.textContent = `Confusion of ${kind.name}`;
    caption.parentNode.hidden = side === 1 && a === b;
  });
}
const address = location.hash;
showPair();
choose([]);  // which removes it
if (address) history.replaceState(null, "", address);
readAddress();
})().then(() => { document.documentElement.dataset.ready = "true"; });
