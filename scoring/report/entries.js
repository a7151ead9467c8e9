/* The table of attacks beside the ROC curves: its check boxes choose the curves that are drawn. */

const FIRST_SHOWN = 4;
const FIRST_LISTED = 8;

function attackTable(part, shown, changed) {
  const table = element("table");
  const caption = element("caption");
  caption.append(element("span", "Means over seeds; AUC with the means of DeLong's 95 % limits; held out: advantage at a threshold chosen on the other half."));
  table.append(caption);
  const head = element("tr");
  for (const title of ["attack", "AUC", "held out", "TPR at 1 %", "at 0.1 %", "ε ≥"]) {
    const cell = element("th", title, title === "attack" ? "" : "number");
    cell.scope = "col";
    head.append(cell);
  }
  table.createTHead().append(head);
  const body = table.createTBody();
  part.audit.attacks.forEach((attack, i) => body.append(attackRow(attack, i, shown, changed)));
  const box = element("div", "", "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "Attacks");
  box.append(table);
  return box;
}

function attackRow(attack, i, shown, changed) {
  const row = element("tr", "", i < FIRST_LISTED || shown.names.has(attack.name) ? "" : "more");
  const input = element("input");
  input.type = "checkbox";
  input.checked = shown.names.has(attack.name);
  input.addEventListener("change", () => {
    shown.names[input.checked ? "add" : "delete"](attack.name);
    changed();
  });
  const swatch = element("span", "", "swatch");
  const look = shown.looks.get(attack.name);
  swatch.dataset.dash = look.dash;
  swatch.style.setProperty("--swatch", `var(--${look.color})`);
  const label = element("label");
  label.append(input, swatch, attack.name);
  const name = element("th");
  name.scope = "row";
  name.append(label);
  const [auc, low, high] = attack.auc.map(fixed);
  const rate = (value) => (value === null ? "n/a" : fixed(value));
  const cells = [`${auc} [${low}, ${high}]`, fixed(attack.advantage), rate(attack.tpr1), rate(attack.tpr01), attack.epsilon.toFixed(2)];
  row.append(name, ...cells.map((text) => element("td", text, "number")));
  return row;
}

/* The names of the attacks that are drawn at first: the strongest whose curves differ, and the one that mia_auc is;
   and how each attack looks: those drawn at first get the colours that are told apart most easily. */
function firstShown(part) {
  const strongest = [];
  for (const attack of part.audit.attacks)
    if (strongest.length < FIRST_SHOWN && strongest.every((other) => !alike(other, attack))) strongest.push(attack);
  const all = part.audit.attacks.map((attack) => attack.name);
  const names = new Set([...strongest.map((attack) => attack.name), ...all.filter((name) => name === "top-one")]);
  const order = [...names, ...all.filter((name) => !names.has(name))];
  const look = (i) => ({ color: `c${i % 8}`, dash: DASHES[Math.floor(i / 8) % DASHES.length] });
  return { names, looks: new Map(order.map((name, i) => [name, look(i)])) };
}

function alike(one, other) {
  return one.tprs.every((rate, i) => Math.abs(rate - other.tprs[i]) < 0.005);
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}
