// Images of classes: those of the chosen ones below the table, with captions and predictions, and small ones on hover.
"use strict";
const classImages = (() => {
const MOST = 12;  // classes
const COLUMNS = 16, SIDE = 80, AT_ONCE = 24;  // of a sprite; pixels of a shown cell; images on a page of wrong ones
const NONE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7";
let parsed = null;  // when they are first asked for: it is megabytes
const images = () => parsed ??= JSON.parse(document.getElementById("images").textContent);
const source = encoded => "data:image/webp;base64," + encoded;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text != null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function figure(encoded, alternative, lines) {
  const made = element("figure");
  const image = made.appendChild(element("img"));
  image.addEventListener("load", () => image.classList.toggle("pixelated", image.naturalWidth < 48));
  image.src = source(encoded);
  image.alt = alternative;
  const caption = made.appendChild(element("figcaption"));
  caption.append(...lines);
  return made;
}

// Such as 'clip: a photo of a comma'; without the runs where only one caption is known.
function captionLines(captions) {
  return captions.map(([text, kinds]) => {
    const line = element("p");
    if (captions.length > 1) line.append(element("span", kinds.join(", ") + ": ", "of"));
    line.append(element("q", text));
    return line;
  });
}

// A line for each prediction, the right one first, with those of these kinds of runs that have made it.
function predictionLines(predicted, runs, c, data, kinds) {
  const outcomes = new Map(), total = new Map();
  runs.forEach(([kind, seed], run) => {
    if (!kinds.has(kind)) return;
    total.set(kind, (total.get(kind) ?? 0) + 1);
    const label = predicted[run];
    if (!outcomes.has(label)) outcomes.set(label, new Map());
    const of = outcomes.get(label);
    of.set(kind, [...(of.get(kind) ?? []), seed]);
  });
  const count = of => [...of.values()].flat().length;
  const named = ([kind, seeds]) =>
    seeds.length === total.get(kind) ? kind :
    `${kind} (${seeds.length > 1 ? `${seeds.length} of ${total.get(kind)} runs` : seeds[0]})`;
  const sorted = [...outcomes].sort(([a, x], [b, y]) => (b === c) - (a === c) || count(y) - count(x));
  return sorted.map(([label, of]) => {
    const right = label === c;
    const line = element("p", null, right ? "right" : "wrong");
    line.append(element("strong", right ? "✓ right: " : `✗ taken for ${data.labels[label]}: `), [...of].map(named).join(", "));
    return line;
  });
}

// The predictions of the compared kinds, and those of the others folded.
function predictions(predicted, runs, c, data, visible, compared) {
  const others = new Set(runs.map(([kind]) => kind).filter(kind => visible.has(kind) && !compared.has(kind)));
  const lines = predictionLines(predicted, runs, c, data, new Set([...compared].filter(kind => visible.has(kind))));
  if (!others.size) return lines;
  const outcomes = predicted.filter((_, run) => others.has(runs[run][0]));
  const right = outcomes.filter(label => label === c).length;
  const folded = element("details");
  const kinds = others.size > 1 ? `${others.size} more kinds` : [...others][0];
  folded.append(element("summary", `${kinds}: ${right} of ${outcomes.length} run${outcomes.length > 1 ? "s" : ""} right`));
  folded.append(...predictionLines(predicted, runs, c, data, others));
  return [...lines, folded];
}

function row(title, figures) {
  const made = element("div", null, "image-row");
  const of = made.appendChild(element("div", null, "thumbnails"));
  of.append(...(figures.length ? figures : [element("p", "none", "note")]));
  made.prepend(element("h5", title));
  return made;
}

// The images of a class that a run of the compared kinds gets wrong, those that most runs get wrong first, in pages.
function wrongImages([sprite, cell, predicted], test, c, data, kinds) {
  const of = test.runs.map(([kind], run) => kinds.has(kind) ? run : -1).filter(run => run >= 0);
  const mistakes = predicted.map(labels => of.filter(run => labels[run] !== c).length);
  const wrong = [...mistakes.keys()].filter(i => mistakes[i]).sort((i, j) => mistakes[j] - mistakes[i]);
  const made = row(`Test images that a run of ${[...kinds].join(" or ")} gets wrong: ${wrong.length} of ${predicted.length}`, []);
  if (!wrong.length) return made;
  made.style.setProperty("--sprite", `url("${source(sprite)}")`);
  made.classList.toggle("pixelated", cell < 48);
  const [back, on] = ["Previous", "Next"].map(text => element("button", text));
  const place = element("output"), controls = element("p", null, "controls");
  controls.append(back, on, place);
  made.append(controls);
  function turn(start) {
    made.querySelector(".thumbnails").replaceChildren(...wrong.slice(start, start + AT_ONCE).map(i => {
      const shown = element("figure"), image = shown.appendChild(element("div", null, "sprite"));
      image.role = "img";
      image.ariaLabel = `Test image ${i + 1} of ${data.labels[c]}`;
      image.style.backgroundSize = `${COLUMNS * SIDE}px auto`;
      image.style.backgroundPosition = `${-SIDE * (i % COLUMNS)}px ${-SIDE * Math.floor(i / COLUMNS)}px`;
      shown.appendChild(element("figcaption")).append(...predictionLines(predicted[i], test.runs, c, data, kinds));
      return shown;
    }));
    place.textContent = `${start + 1} to ${Math.min(start + AT_ONCE, wrong.length)} of ${wrong.length}`;
    back.onclick = () => turn(start - AT_ONCE);
    on.onclick = () => turn(start + AT_ONCE);
    back.disabled = !start;
    on.disabled = start + AT_ONCE >= wrong.length;
  }
  turn(0);
  controls.hidden = wrong.length <= AT_ONCE;
  return made;
}

function show(chosen, visible, compared, data) {
  const {training, test} = images();
  const shown = chosen.slice(0, MOST);
  document.getElementById("images-note").textContent =
    chosen.length > MOST ? `Of the first ${MOST} of the ${chosen.length} chosen classes.` :
    chosen.length ? "" : "Choose a class in a plot or in the table to see its images.";
  document.getElementById("class-images").replaceChildren(...shown.map(c => {
    const name = data.labels[c];
    const part = element("section", null, "of-class");
    part.append(element("h4", name));
    if (training) {
      const figures = training.classes[c].map(([encoded, captions], i) =>
        figure(encoded, `Training image ${i + 1} of ${name}`, captionLines(captions)));
      part.append(row(`Training images of ${training.of}, from ${training.from}`, figures));
    }
    if (test) {
      const figures = test.classes[c].map(([encoded, predicted], i) =>
        figure(encoded, `Test image ${i + 1} of ${name}`, predictions(predicted, test.runs, c, data, visible, compared)));
      part.append(row(`Test images, from ${test.on}`, figures));
      if (test.every) {
        const kinds = new Set([...compared].filter(kind => visible.has(kind)));
        part.append(wrongImages(test.every[c], test, c, data, kinds));
      }
    }
    return part;
  }));
}

// The i-th training image of a class, to be shown on hover.
function thumbnail(c, i) {
  const found = images().training.classes[c][i];
  return found ? source(found[0]) : NONE;
}

return {show, thumbnail};
})();
