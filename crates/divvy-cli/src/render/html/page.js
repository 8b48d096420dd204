// Tables are sorted by their headings, and their folded rows are shown on demand.
(() => {
  const week = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
  const units = { h: 3600, min: 60, km: 1000 };
  // The number that a cell shows: "12,345", "43.2 %", "2 h 03 min", "3.2 km", "-5".
  const number = (text) => {
    const sign = /^[-−]/.test(text) ? -1 : 1;
    let sum = 0;
    for (const [, digits, unit] of text.replace(/,/g, "").matchAll(/([\d.]+) ?(h|min|km)?/g)) {
      sum += parseFloat(digits) * (units[unit] || 1);
    }
    return sign * sum;
  };
  const keys = {
    number,
    week: (text) => week.indexOf(text),
    text: (text) => text,
  };
  const compare = (a, b) =>
    typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;

  for (const box of document.querySelectorAll(".rows")) {
    const table = box.querySelector("table");
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const fold = box.querySelector(".fold");
    const count = box.querySelector(".count");
    const first = body.rows.length;
    const folded = count && count.textContent;
    let rows = null;
    let open = !fold;
    const load = () => {
      if (rows) return;
      const data = box.querySelector("script");
      rows = [...body.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
      rows = rows.concat(data ? JSON.parse(data.textContent) : []);
    };
    const show = () => {
      const made = (open ? rows : rows.slice(0, first)).map((cells) => {
        const row = document.createElement("tr");
        cells.forEach((text, at) => {
          const cell = row.insertCell();
          cell.textContent = text;
          cell.className = heads[at].classList.contains("n") ? "n" : "";
        });
        return row;
      });
      body.replaceChildren(...made);
      if (fold) {
        const all = folded.split(" of ")[1];
        count.textContent = open ? rows.length.toLocaleString("en") + " of " + all : folded;
      }
    };
    if (fold) {
      const closed = fold.textContent;
      fold.hidden = false;
      fold.addEventListener("click", () => {
        load();
        open = !open;
        fold.textContent = open ? "Show fewer" : closed;
        fold.setAttribute("aria-expanded", open);
        show();
      });
    }
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        load();
        const order = head.dataset.order || "text";
        const before = head.getAttribute("aria-sort");
        const usual = order === "number" ? "descending" : "ascending";
        const other = order === "number" ? "ascending" : "descending";
        const next = before === usual ? other : usual;
        heads.forEach((it) => it.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const keyed = rows.map((row) => [row[at] === "" ? null : keys[order](row[at]), row]);
        // Rows without a value come last in both directions.
        keyed.sort(([a], [b]) =>
          a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
        rows = keyed.map(([, row]) => row);
        show();
      });
    });
  }
})();
