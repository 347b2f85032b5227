"use strict";
// Sorts tables, shows the command of a point, and copies commands.

const sortKey = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].innerText;

function compare(one, other) {
  const [a, b] = [Number(one), Number(other)];
  return Number.isNaN(a) || Number.isNaN(b) ? one.localeCompare(other) : a - b;
}

function sortBy(head) {
  const table = head.closest("table");
  const body = table.tBodies[0];
  const column = head.cellIndex;
  const falling = head.getAttribute("aria-sort") === "ascending";
  const known = (row) => sortKey(row, column) !== "-";  // rows without a value come last
  const rows = [...body.rows].sort((one, other) => {
    if (known(one) !== known(other)) return known(one) ? -1 : 1;
    const order = compare(sortKey(one, column), sortKey(other, column));
    return falling ? -order : order;
  });
  table.querySelectorAll("thead th").forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  body.append(...rows);
}

function pick(point) {
  document.querySelectorAll("[data-point]").forEach((each) => {
    each.setAttribute("aria-pressed", String(each.dataset.point === point));
  });
  document.querySelectorAll("[data-command]").forEach((each) => {
    each.hidden = each.dataset.command !== point;
  });
  document.getElementById("picked").textContent = `point ${Number(point) + 1}`;
}

async function copy(button) {
  const text = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {  // a page from a file may not use the clipboard
    getSelection().selectAllChildren(text);
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  }
}

document.querySelectorAll("thead button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});
document.querySelectorAll("button.copy").forEach((button) => {
  button.addEventListener("click", () => copy(button));
});
document.querySelectorAll("[data-point]").forEach((each) => {
  each.addEventListener("click", () => pick(each.dataset.point));
  each.addEventListener("keydown", (event) => {
    if (each.tagName !== "BUTTON" && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      pick(each.dataset.point);
    }
  });
});
document.querySelectorAll(".chart .point").forEach((each) => {
  const point = Number(each.dataset.point);
  each.setAttribute("aria-label", `point ${point + 1}`);
  const pressed = document.querySelector(`button[data-point="${point}"]`);
  if (pressed) each.setAttribute("aria-pressed", pressed.getAttribute("aria-pressed"));
});
