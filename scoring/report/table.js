"use strict";

/* Sorting and filtering of the results table. Cells without a value come last, whatever the direction. */

function sortable(table, status) {
  const body = table.tBodies[0];
  const ranked = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const words = new Intl.Collator("en", { numeric: true });

  function sort(head) {
    const better = head.dataset.better === "max" && head !== heads[0] ? "descending" : "ascending";
    const other = better === "ascending" ? "descending" : "ascending";
    const now = head.getAttribute("aria-sort");
    const next = now === "none" ? better : now === better ? other : "none";
    for (const each of heads) each.setAttribute("aria-sort", each === head ? next : "none");
    table.classList.toggle("as-ranked", next === "none");
    const index = heads.indexOf(head);
    const sign = next === "descending" ? -1 : 1;
    const rows = next === "none" ? ranked : [...ranked].sort((a, b) => compare(a, b, index, sign));
    body.append(...rows);
  }

  function compare(a, b, index, sign) {
    const [x, y] = [a, b].map((row) => row.cells[index].dataset.value ?? "");
    if (x === "" || y === "") return (x === "") - (y === "");
    const [p, q] = [Number(x), Number(y)];
    return sign * (Number.isNaN(p) || Number.isNaN(q) ? words.compare(x, y) : p - q);
  }

  function filter() {
    const benchmark = document.getElementById("show-benchmark").value;
    const kind = document.getElementById("show-kind").value;
    let shown = 0;
    let last = null;
    for (const row of ranked) {
      row.hidden = Boolean((benchmark && row.dataset.benchmark !== benchmark) || (kind && row.dataset.kind !== kind));
      shown += !row.hidden;
      const group = row.dataset.group;
      if (!row.hidden) {
        row.classList.toggle("first", group !== last);
        last = group;
      }
    }
    status.textContent = `${shown} of ${ranked.length} lines`;
  }

  for (const head of heads) head.querySelector("button").addEventListener("click", () => sort(head));
  for (const id of ["show-benchmark", "show-kind"]) document.getElementById(id).addEventListener("change", filter);
  table.classList.add("as-ranked");
  filter();
}
