/* Theme, and plots that are drawn when they come into view. */

const data = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(data.entries.map((one) => [one.id, one]));
const chosen = new Map(); // names of the attacks that are drawn, by place
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d", "pan2d"], toImageButtonOptions: { format: "svg" } };

function partOf(box) {
  return byId.get(box.dataset.entry).benchmarks[box.dataset.benchmark];
}

function shownOf(box) {
  const place = `${box.dataset.entry} ${box.dataset.benchmark}`;
  if (!chosen.has(place)) chosen.set(place, firstShown(partOf(box)));
  return chosen.get(place);
}

const FIGURES = {
  leakage: (box) => leakageFigure(data, box.dataset.benchmark, document.getElementById("leakage-axis").value),
  seeds: (box) => seedsFigure(data, box.dataset.benchmark, document.getElementById("seeds-metric").value),
  roc: (box) => rocFigure(partOf(box), shownOf(box)),
  histogram: (box) => histogramFigure(partOf(box)),
  curves: (box) => curvesFigure(partOf(box)),
};

function draw(box) {
  const figure = FIGURES[box.dataset.plot](box);
  box.dataset.drawn = "yes";
  if (figure) {
    Plotly.react(box, figure.traces, figure.layout, CONFIG);
    return;
  }
  Plotly.purge(box);
  box.replaceChildren(element("p", "Nothing to draw: no entry is scored in full and measured so.", "note"));
}

const watcher = new IntersectionObserver((seen) => {
  for (const { target } of seen.filter((each) => each.isIntersecting)) {
    watcher.unobserve(target);
    draw(target);
  }
}, { rootMargin: "300px" });

/* Draw again what is in view now, and the rest when it comes into view. */
function redraw(selector) {
  for (const box of document.querySelectorAll(selector)) {
    delete box.dataset.drawn;
    watcher.unobserve(box);
    watcher.observe(box);
  }
}

function open(entry) {
  for (const place of entry.querySelectorAll(".attacks:empty")) {
    const roc = entry.querySelector(`.roc[data-benchmark="${CSS.escape(place.dataset.benchmark)}"]`);
    place.append(attackTable(partOf(place), shownOf(place), () => draw(roc)));
    const count = place.querySelectorAll("tr.more").length;
    if (!count) continue;
    const more = element("button", `${count} more attacks`);
    more.type = "button";
    more.setAttribute("aria-expanded", "false");
    more.addEventListener("click", () => {
      const all = place.classList.toggle("all");
      more.setAttribute("aria-expanded", String(all));
      more.textContent = all ? "Fewer attacks" : `${count} more attacks`;
    });
    place.append(more);
  }
}

function follow() {
  const target = document.getElementById(location.hash.slice(1));
  if (target?.matches("details.entry")) {
    target.open = true;
    target.scrollIntoView();
  }
}

function themes(button) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => {
    button.setAttribute("aria-pressed", String(dark()));
    redraw("[data-drawn]");
  };
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
}

themes(document.getElementById("theme"));
sortable(document.getElementById("table"), document.getElementById("shown"));
for (const entry of document.querySelectorAll("details.entry")) entry.addEventListener("toggle", () => entry.open && open(entry));
for (const [id, kind] of [["leakage-axis", "leakage"], ["seeds-metric", "seeds"]])
  document.getElementById(id).addEventListener("change", () => redraw(`.${kind}`));
addEventListener("hashchange", follow);
follow();
redraw(".plot");
