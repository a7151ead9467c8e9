/* What is drawn: each function takes the data and returns traces and a layout for plotly. */

const KINDS = ["agent", "vanilla", "baseline", "control", "published"];
const SYMBOLS = { agent: "star", vanilla: "diamond", baseline: "circle", control: "square", published: "x-thin-open" };
const DASHES = ["solid", "dash", "dot", "dashdot"];

/* Foreign text as plotly shall show it: plotly takes some tags and entities in labels for markup. */
function plain(text, limit = 40) {
  const letters = [...String(text)];
  const cut = letters.length > limit ? letters.slice(0, limit - 1).join("") + "…" : letters.join("");
  return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function fixed(value) {
  return value === null || value === undefined ? "–" : value.toFixed(3);
}

function spread(mean) {
  return mean ? (mean[1] === null ? fixed(mean[0]) : `${fixed(mean[0])} ± ${fixed(mean[1])}`) : "–";
}

function axis(title, more = {}) {
  const line = { gridcolor: css("grid"), linecolor: css("line"), zeroline: false, ticks: "outside", ticklen: 4, tickcolor: css("line") };
  return { title: { text: title, standoff: 8 }, automargin: true, ...line, ...more };
}

function layout(x, y, more = {}) {
  const label = { bgcolor: css("page"), bordercolor: css("soft"), font: { color: css("ink"), size: 12 }, align: "left" };
  return {
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: css("soft") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 48, r: 14, t: 12, b: 44 },
    hovermode: "closest", hoverlabel: label, dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11 }, itemwidth: 30 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: css("soft"), activecolor: css("ink") },
    xaxis: x, yaxis: y, ...more,
  };
}

/* Accuracy against leakage. */

function leakagePoints(data, benchmark, measure) {
  const points = [];
  const add = (one, part, leak, score) => {
    const accuracy = part.means.test_acc;
    if (part.sound && accuracy && leak !== null && leak !== undefined)
      points.push({ one, x: leak, y: accuracy[0], accuracy, score });
  };
  for (const one of data.entries) {
    const part = one.benchmarks[benchmark];
    const mean = part.means.mia_auc;
    if (measure === "advantage") add(one, part, part.advantage, null);
    else add(one, part, mean ? mean[0] : null, part.means.privacy_score);
  }
  if (measure === "mia_auc")
    for (const one of data.published.filter((row) => row.benchmark === benchmark))
      add(one, { sound: true, means: one.means }, one.means.mia_auc?.[0], one.means.privacy_score);
  return points;
}

function padded(values, least) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = Math.max((high - low) * 0.12, least);
  return [low - room, high + room];
}

function step(width) {
  return [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5].find((size) => width / size <= 8) ?? 1;
}

/* Lines of equal score, y = c + loss(x), and where each leaves the window. */
function scoreLines(xs, ys, loss) {
  const traces = [];
  const notes = [];
  const size = step(ys[1] - loss(xs[0]) - (ys[0] - loss(xs[1])));
  const first = Math.ceil((ys[0] - loss(xs[1])) / size);
  for (let i = first; i * size < ys[1] - loss(xs[0]); i++) {
    const c = i * size;
    const bend = xs[0] < 0.5 && 0.5 < xs[1] ? [0.5] : [];
    const x = [xs[0], ...bend, xs[1]];
    const top = c + loss(xs[1]) > ys[1];
    traces.push({ x, y: x.map((value) => c + loss(value)), mode: "lines", line: { color: css("line"), width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false });
    if (loss(xs[1]) > 0) {
      const end = top ? { y: ys[1], x: xs[1] - (c + loss(xs[1]) - ys[1]) } : { y: c + loss(xs[1]), x: xs[1] };
      if (end.x > xs[0] + 0.06 * (xs[1] - xs[0]) && end.y > ys[0] + 0.04 * (ys[1] - ys[0]))
        notes.push({ ...end, text: c.toFixed(size < 0.01 ? 3 : 2), showarrow: false, xanchor: "right", yanchor: top ? "top" : "middle", bgcolor: css("page"), font: { size: 10, color: css("soft") } });
    }
  }
  return [traces, notes];
}

function controlFront(points, xs, ys) {
  const sorted = points.filter((point) => point.one.kind === "control").sort((a, b) => a.x - b.x || b.y - a.y);
  if (!sorted.length) return [];
  const front = sorted.filter((point, i) => sorted.slice(0, i).every((other) => other.y < point.y));
  const x = [front[0].x, ...front.map((point) => point.x), xs[1]];
  const y = [ys[0], ...front.map((point) => point.y), front.at(-1).y];
  return [{ x, y, mode: "lines", name: "control front", line: { color: css("control"), width: 1.5, shape: "hv" }, hoverinfo: "skip" }];
}

function leakageFigure(data, benchmark, measure) {
  const points = leakagePoints(data, benchmark, measure);
  if (!points.length) return null;
  const loss = measure === "advantage" ? (x) => x : (x) => Math.max(x - 0.5, 0);
  const xs = padded(points.map((point) => point.x), 0.01);
  const ys = padded(points.map((point) => point.y), 0.01);
  const [lines, annotations] = scoreLines(xs, ys, loss);
  const label = measure === "advantage" ? "largest folded advantage" : "mia_auc";
  const labelled = points.length > 20 ? 10 : 20; // more would cover each other
  const traces = KINDS.map((kind) => {
    const own = points.filter((point) => point.one.kind === kind);
    return {
      x: own.map((point) => point.x), y: own.map((point) => point.y), name: kind, mode: "markers+text",
      text: own.map((point) => (point.one.rank && point.one.rank <= labelled ? String(point.one.rank) : "")), textposition: "top right", textfont: { size: 10, color: css("soft") },
      customdata: own.map((point) => [plain(point.one.name), spread(point.accuracy), fixed(point.x), fixed(point.y - loss(point.x))]),
      marker: { symbol: SYMBOLS[kind], color: css(kind), size: kind === "agent" ? 11 : 9, line: { width: kind === "published" ? 1.5 : 1, color: kind === "published" ? css(kind) : css("page") } },
      hovertemplate: `<b>%{customdata[0]}</b><br>${kind}<br>test acc %{customdata[1]}<br>${label} %{customdata[2]}<br>score %{customdata[3]}<extra></extra>`,
    };
  }).filter((trace) => trace.x.length);
  const title = measure === "advantage" ? "largest folded advantage of audit-1" : "mia_auc";
  return {
    traces: [...lines, ...controlFront(points, xs, ys), ...traces],
    layout: layout(axis(title, { range: xs, showgrid: false }), axis("test accuracy", { range: ys, showgrid: false }), { annotations, height: 400 }),
  };
}

/* Each seed's value, and the mean with its interval. */

function seedsFigure(data, benchmark, metric) {
  const entries = data.entries.filter((one) => one.benchmarks[benchmark].values[metric]?.some((value) => value !== null));
  if (!entries.length) return null;
  const limit = innerWidth < 640 ? 14 : 26;
  const part = (one) => one.benchmarks[benchmark];
  const seeds = { x: [], y: [], text: [], customdata: [] };
  const means = { x: [], y: [], array: [], customdata: [] };
  entries.forEach((one, i) => {
    part(one).values[metric].forEach((value, k) => {
      if (value === null) return;
      seeds.x.push(value);
      seeds.y.push(i);
      seeds.customdata.push([plain(one.name), data.seeds[k], fixed(value)]);
    });
    const mean = part(one).means[metric];
    if (!mean) return;
    means.x.push(mean[0]);
    means.y.push(i);
    means.array.push(mean[1] ?? 0);
    means.customdata.push([plain(one.name), spread(mean)]);
  });
  const color = css("c0");
  const column = data.columns.find((each) => each.name === metric);
  const traces = [
    { ...means, type: "scatter", mode: "markers", name: "mean", marker: { symbol: "line-ns-open", size: 13, color, line: { width: 2, color } },
      error_x: { type: "data", array: means.array, color, thickness: 1.5, width: 0 }, hovertemplate: "<b>%{customdata[0]}</b><br>mean %{customdata[1]}<extra></extra>" },
    { ...seeds, type: "scatter", mode: "markers", name: "seed", marker: { symbol: "circle-open", size: 7, color: css("c1"), line: { width: 1.4 } },
      hovertemplate: "<b>%{customdata[0]}</b><br>seed %{customdata[1]}: %{customdata[2]}<extra></extra>" },
  ];
  const ticks = { tickmode: "array", tickvals: entries.map((_, i) => i), ticktext: entries.map((one) => plain(one.name, limit)), range: [entries.length - 0.4, -0.6], ticks: "" };
  const height = 24 * entries.length + 80;
  return { traces, layout: layout(axis(plain(column.title)), axis("", ticks), { height, showlegend: false, margin: { l: 20, r: 14, t: 8, b: 44 } }) };
}

/* One entry on one benchmark. */

function rocFigure(part, shown) {
  const { fprs, attacks } = part.audit;
  const low = Math.log10(fprs[0]);
  const traces = [{ x: [fprs[0], 1], y: [fprs[0], 1], mode: "lines", line: { color: css("soft"), width: 1, dash: "dot" }, hoverinfo: "skip", showlegend: false }];
  for (const attack of attacks) {
    const look = shown.looks.get(attack.name);
    traces.push({
      x: fprs, y: attack.tprs.map((rate) => rate || null), mode: "lines", name: plain(attack.name), visible: shown.names.has(attack.name), showlegend: false,
      line: { color: css(look.color), width: 1.8, dash: look.dash },
      hovertemplate: `<b>${plain(attack.name)}</b><br>TPR %{y:.3f} at FPR %{x:.4f}<extra></extra>`,
    });
  }
  const log = { type: "log", range: [low, 0.03], dtick: 1, exponentformat: "power", tickfont: { size: 11 }, minor: { ticks: "outside", ticklen: 2, tickcolor: css("line") } };
  return { traces, layout: layout(axis("false-positive rate", log), axis("true-positive rate", log), { height: 400 }) };
}

function histogramFigure(part) {
  const { histogram } = part.audit;
  const bins = histogram.members.length;
  const x = [...histogram.members.keys(), bins].map((i) => i / bins);
  const edges = x.map((low) => `${Math.min(low, 1 - 1 / bins).toFixed(2)}–${Math.min(low + 1 / bins, 1).toFixed(2)}`);
  const traces = [["members", "c0", "tozeroy"], ["non-members", "c1", "none"]].map(([kind, color, fill]) => ({
    x, y: [...histogram[kind], histogram[kind].at(-1)], customdata: edges, name: kind, mode: "lines", fill, fillcolor: css(color) + "2e",
    line: { color: css(color), width: 1.8, shape: "hv" },
    hovertemplate: `<b>${kind}</b><br>%{y:.1%} with %{customdata}<extra></extra>`,
  }));
  const y = axis("share of examples", { tickformat: ".0%", rangemode: "tozero" });
  return { traces, layout: layout(axis("largest probability", { range: [0, 1] }), y, { height: 300, margin: { l: 48, r: 14, t: 34, b: 44 } }) };
}

function curvesFigure(part) {
  const traces = [];
  const lines = [["member_acc", "member accuracy", "c0"], ["test_acc", "test accuracy", "c2"], ["mia_auc", "mia_auc", "c1"]];
  for (const [column, name, color] of lines)
    Object.entries(part.curves).forEach(([seed, curve], i) => {
      traces.push({
        x: curve.epoch.map((epoch) => epoch + 1), y: curve[column], name, legendgroup: column, showlegend: i === 0, mode: curve.epoch.length < 2 ? "markers" : "lines",
        line: { color: css(color), width: 1.4 }, opacity: 0.85, connectgaps: false,
        hovertemplate: `<b>${name} %{y:.3f}</b><br>seed ${Number(seed)}, epoch %{x}<extra></extra>`,
      });
    });
  return { traces, layout: layout(axis("epoch", { rangemode: "tozero" }), axis("", {}), { height: 300, margin: { l: 48, r: 14, t: 34, b: 44 } }) };
}
