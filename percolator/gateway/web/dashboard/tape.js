/** The trade tape: the latest trades of one market, newest first, with a row for every gap. */

import { count, fineClock, price, size, write } from "./format.js";

const ROWS = 60;

export class Tape {
  #body;
  #empty;
  #note;
  #rows = [];
  #fresh = [];
  #shown = 0;
  #received = 0;
  #largest = 1;

  constructor(section) {
    this.#body = section.querySelector("tbody");
    this.#empty = section.querySelector(".empty");
    this.#note = section.querySelector(".note");
  }

  /** Empty the tape for another market. */
  clear() {
    this.#fresh = [];
    this.#shown = this.#received = 0;
    this.#largest = 1;
    for (const row of this.#rows) row.element.hidden = true;
    this.#empty.hidden = false;
    this.explain("No trades yet");
    write(this.#note, "");
  }

  /** Show why there are no trades. */
  explain(text) {
    write(this.#empty, text);
  }

  /** @param {import("../percolator.d.ts").Trade | import("../percolator.d.ts").Gap} message */
  add(message) {
    if (message.type === "trade") this.#received += 1;
    this.#fresh.push(message);
    if (this.#fresh.length > 2 * ROWS) this.#fresh = this.#fresh.slice(-ROWS);
  }

  /** Show the messages added since the last call; the oldest rows are reused for them. */
  render() {
    if (this.#fresh.length === 0) return;
    for (const message of this.#fresh.slice(-ROWS)) {
      const row = this.#nextRow();
      this.#body.prepend(row.element);
      if (message.type === "gap") fillGap(row, message);
      else this.#fill(row, message);
    }
    this.#fresh = [];
    this.#empty.hidden = true;
    const unit = this.#received === 1 ? "trade" : "trades";
    write(this.#note, `${count(this.#received)} ${unit}`);
  }

  #nextRow() {
    if (this.#rows.length < ROWS && this.#shown === this.#rows.length) this.#rows.unshift(makeRow());
    else this.#rows.unshift(this.#rows.pop());
    this.#shown = Math.min(this.#shown + 1, ROWS);
    this.#rows[0].element.hidden = false;
    return this.#rows[0];
  }

  #fill({ element, cells }, trade) {
    const long = trade.side === "long";
    const amount = Number(trade.size) || 0;
    this.#largest = Math.max(this.#largest * 0.999, amount);
    if (element.className === "gap") spread(cells, false);
    element.className = "";
    element.dataset.side = long ? "long" : "short";
    element.style.setProperty("--share", (amount / this.#largest).toFixed(3));
    const texts = [
      fineClock(trade.timestamp),
      long ? "▲ Long" : "▼ Short",
      price(trade.price),
      size(trade.size),
    ];
    texts.forEach((text, index) => write(cells[index], text));
    cells[3].title = String(trade.size);
  }
}

function fillGap({ element, cells }, gap) {
  element.className = "gap";
  delete element.dataset.side;
  element.style.removeProperty("--share");
  spread(cells, true);
  write(cells[0], `Missing: trades between ${count(gap.from)} and ${count(gap.to)}`);
}

/** Make the first cell span the whole row, or one column again. */
function spread([first, ...others], whole) {
  first.colSpan = whole ? 1 + others.length : 1;
  for (const cell of others) cell.hidden = whole;
}

function makeRow() {
  const element = document.createElement("tr");
  const cells = Array.from({ length: 4 }, () => document.createElement("td"));
  element.append(...cells);
  return { element, cells };
}
