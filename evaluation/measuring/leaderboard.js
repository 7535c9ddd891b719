// A press on a column's name sorts by it, the better ones first; another press turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const better = head.dataset.better;
    const first = better === "higher" ? "descending" : "ascending";
    const order = head.ariaSort === first ? (first === "ascending" ? "descending" : "ascending") : first;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.ariaSort = order;
    const sign = order === "ascending" ? 1 : -1;
    const lacks = row => better && row.cells[column].dataset.value === undefined;
    const rows = [...body.rows].sort((a, b) => {
      if (lacks(a) || lacks(b)) return lacks(a) - lacks(b);
      const [x, y] = [value(a, column), value(b, column)];
      return sign * (better ? x - y : x.localeCompare(y));
    });
    body.append(...rows);
  }));
}
