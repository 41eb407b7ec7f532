/** The table of markets: one row per market, sorted by name; the chosen one is marked. */

import { change, price, rate, write } from "./format.js";

const MAX_ROWS = 1_000; // a longer table would only slow the page down

export class Table {
  #body;
  #empty;
  #choose;
  #rows = new Map();
  #chosen = null;

  /** @param {(slab: string) => void} choose */
  constructor(section, choose) {
    this.#body = section.querySelector("tbody");
    this.#empty = section.querySelector(".empty");
    this.#choose = choose;
    this.#body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row) this.#choose(row.dataset.slab);
    });
    this.#body.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Show why there are no rows. */
  explain(text) {
    write(this.#empty, text);
    this.#empty.hidden = this.#rows.size > 0;
  }

  /** Add a row for each new market, in order. */
  add(slabs) {
    for (const slab of slabs) {
      if (this.#rows.has(slab) || this.#rows.size >= MAX_ROWS) continue;
      const row = makeRow(slab);
      this.#rows.set(slab, row);
      const next = [...this.#body.rows].find((other) => other.dataset.slab > slab);
      this.#body.insertBefore(row.element, next ?? null);
    }
    this.#empty.hidden = this.#rows.size > 0;
  }

  /** Remove a market's row, if it has one. */
  remove(slab) {
    this.#rows.get(slab)?.element.remove();
    this.#rows.delete(slab);
    this.#empty.hidden = this.#rows.size > 0;
  }

  mark(slab) {
    for (const name of [this.#chosen, slab]) {
      const row = this.#rows.get(name);
      row?.element.toggleAttribute("data-chosen", name === slab);
      row?.button.setAttribute("aria-pressed", String(name === slab));
    }
    this.#chosen = slab;
    this.#reveal(this.#rows.get(slab).element);
  }

  /** Scroll a row into view within the table, and never the page. */
  #reveal(row) {
    const view = this.#body.closest(".scroll");
    const [top, bottom] = [row.offsetTop - row.offsetHeight, row.offsetTop + row.offsetHeight];
    if (top < view.scrollTop) view.scrollTop = top;
    else if (bottom > view.scrollTop + view.clientHeight) view.scrollTop = bottom - view.clientHeight;
  }

  /** @param {Map<string, import("./market.js").Market>} markets */
  render(markets) {
    for (const [slab, { button, cells }] of this.#rows) {
      const market = markets.get(slab);
      write(button, market.name);
      const moved = change(market.first, market.last);
      write(cells[0], price(market.last)).dataset.tick = market.tick;
      write(cells[1], moved).dataset.sign = sign(moved);
      write(cells[2], price(market.mark));
      write(cells[3], price(market.index));
      write(cells[4], rate(market.rate));
    }
  }

  /** Choose the next or previous market with the arrow keys. */
  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!step || !row) return;
    const next = step > 0 ? row.nextElementSibling : row.previousElementSibling;
    if (next) {
      next.querySelector("button").focus();
      this.#choose(next.dataset.slab);
    }
    event.preventDefault();
  }
}

/** The direction of a change, from the sign that its text starts with. */
export function sign(text) {
  return { "+": "up", "−": "down" }[text[0]] ?? "none";
}

function makeRow(slab) {
  const element = document.createElement("tr");
  element.dataset.slab = slab;
  const head = document.createElement("th");
  head.scope = "row";
  const button = document.createElement("button");
  button.type = "button";
  button.title = slab;
  button.setAttribute("aria-pressed", "false");
  button.append(slab);
  head.append(button);
  const cells = ["last", "change", "wide", "wide", ""].map((name) => {
    const cell = document.createElement("td");
    cell.className = name;
    return cell;
  });
  element.append(head, ...cells);
  return { element, button, cells };
}
