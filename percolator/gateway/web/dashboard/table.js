/** The table of the markets: one row each, sorted by name; the chosen one is marked. */

import { change, price, rate, write } from "./format.js";

const SEEN = 1_000; // rows: past that a page is of no use to anybody

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

  /** Say why there are no rows. */
  explain(text) {
    write(this.#empty, text);
    this.#empty.hidden = this.#rows.size > 0;
  }

  /** Give each new market a row at its place. */
  add(slabs) {
    for (const slab of slabs) {
      if (this.#rows.has(slab) || this.#rows.size >= SEEN) continue;
      const row = makeRow(slab);
      this.#rows.set(slab, row);
      const next = [...this.#body.rows].find((other) => other.dataset.slab > slab);
      this.#body.insertBefore(row.element, next ?? null);
    }
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

  /** Scroll the table, and never the page. */
  #reveal(row) {
    const view = this.#body.closest(".scroll");
    const [top, bottom] = [row.offsetTop - row.offsetHeight, row.offsetTop + row.offsetHeight];
    if (top < view.scrollTop) view.scrollTop = top;
    else if (bottom > view.scrollTop + view.clientHeight) view.scrollTop = bottom - view.clientHeight;
  }

  /** @param {Map<string, import("./market.js").Market>} markets */
  render(markets) {
    for (const [slab, { cells }] of this.#rows) {
      const market = markets.get(slab);
      const moved = change(market.first, market.last);
      write(cells[0], price(market.last)).dataset.tick = market.tick;
      write(cells[1], moved).dataset.sign = sign(moved);
      write(cells[2], price(market.mark));
      write(cells[3], price(market.index));
      write(cells[4], rate(market.rate));
    }
  }

  /** The arrow keys go from market to market. */
  #key(event) {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const row = event.target.closest("tr");
    if (!way || !row) return;
    const next = way > 0 ? row.nextElementSibling : row.previousElementSibling;
    if (next) {
      next.querySelector("button").focus();
      this.#choose(next.dataset.slab);
    }
    event.preventDefault();
  }
}

/** Tell of a text with a sign in front which it is. */
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
