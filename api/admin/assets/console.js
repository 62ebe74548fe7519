"use strict";

// Follows what happens: puts the newest part of a page in place of the old, every two seconds,
// while somebody looks.
for (const box of document.querySelectorAll("[data-live]")) {
  const load = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(box.dataset.live, { headers: { Accept: "text/plain" }, cache: "no-store" });
        if (answer.status === 401) {
          location.reload(); // the session has ended
          return;
        }
        if (answer.ok) {
          const focused = document.activeElement?.getAttribute?.("href");
          box.innerHTML = await answer.text();
          if (focused) {
            box.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
          }
        }
      } catch {
        // The next look may get through.
      }
    }
    setTimeout(load, 2000);
  };
  setTimeout(load, 2000);
}

// Arrow keys go through a table or list of cells, by where the cells stand on the screen. Tab goes
// from row to row of a table instead of through hundreds of cells.
for (const grid of document.querySelectorAll("[data-grid]")) {
  for (const row of grid.querySelectorAll("tbody tr")) {
    [...row.querySelectorAll("td a")].slice(1).forEach((cell) => (cell.tabIndex = -1));
  }
  grid.addEventListener("keydown", (event) => {
    const here = event.target.closest("a");
    if (!here || event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    const next = neighbour([...grid.querySelectorAll("a")], here, event.key);
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
}

function neighbour(cells, here, key) {
  const at = cells.indexOf(here);
  switch (key) {
    case "ArrowRight":
      return cells[at + 1];
    case "ArrowLeft":
      return cells[at - 1];
    case "ArrowDown":
    case "ArrowUp":
      return across(cells, here, key === "ArrowDown" ? 1 : -1);
  }
  return null;
}

// The nearest cell of the next row below (1) or above (-1).
function across(cells, here, way) {
  const box = here.getBoundingClientRect();
  let best = null;
  let least = Infinity;
  for (const cell of cells) {
    const other = cell.getBoundingClientRect();
    const down = (other.top - box.top) * way;
    const far = down * 10 + Math.abs(other.left - box.left);
    if (down > box.height / 2 && far < least) {
      best = cell;
      least = far;
    }
  }
  return best;
}
