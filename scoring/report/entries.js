/* The table of attacks beside the ROC curves: its check boxes choose the curves that are drawn. */

const FIRST_SHOWN = 4;
const FIRST_LISTED = 8;

function attackTable(part, shown, changed) {
  const table = element("table");
  table.append(element("caption", "Means over seeds; AUC with the means of DeLong's 95 % limits; held out: advantage at a threshold chosen on the other half."));
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
  const row = element("tr", "", i < FIRST_LISTED || shown.has(attack.name) ? "" : "more");
  const input = element("input");
  input.type = "checkbox";
  input.checked = shown.has(attack.name);
  input.addEventListener("change", () => {
    shown[input.checked ? "add" : "delete"](attack.name);
    changed();
  });
  const swatch = element("span", "", "swatch");
  swatch.dataset.dash = DASHES[Math.floor(i / 8) % 4];
  swatch.style.setProperty("--swatch", `var(--c${i % 8})`);
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

/* The strongest attacks, and the one that mia_auc is. */
function firstShown(part) {
  const names = part.audit.attacks.map((attack) => attack.name);
  return new Set([...names.slice(0, FIRST_SHOWN), ...names.filter((name) => name === "top-one")]);
}

function element(name, text = "", className = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
}
