/** One market: its latest values, and its prices over time. */

const POINTS = 2_048; // more than 15 minutes at two prices per second
const PAST_POINTS = 1_000;

/** Prices over time, oldest first, in a ring buffer of fixed size. */
export class History {
  #times = new Float64Array(POINTS);
  #prices = new Float64Array(POINTS);
  #marks = new Float64Array(POINTS).fill(Number.NaN);
  #added = 0;
  #past = []; // prices of trades from before the first price

  get length() {
    return this.#past.length + Math.min(this.#added, POINTS);
  }

  /** Add the newest price. */
  add(time, price, mark = Number.NaN) {
    const at = this.#added % POINTS;
    this.#times[at] = time;
    this.#prices[at] = price;
    this.#marks[at] = mark;
    this.#added += 1;
  }

  /** Add a price if it is older than the first one; such prices arrive oldest first. */
  addPast(time, price) {
    const start = this.#added > 0 ? this.#times[0] : Date.now();
    const known = this.#past.at(-1)?.time ?? 0;
    if (this.#added > POINTS || this.#past.length === PAST_POINTS || time <= known || time >= start) return;
    this.#past.push({ time, price });
  }

  time(index) {
    return this.#past[index]?.time ?? this.#times[this.#place(index)];
  }

  price(index) {
    return this.#past[index]?.price ?? this.#prices[this.#place(index)];
  }

  mark(index) {
    return index < this.#past.length ? Number.NaN : this.#marks[this.#place(index)];
  }

  #place(index) {
    const oldest = this.#added <= POINTS ? 0 : this.#added % POINTS;
    return (oldest + index - this.#past.length) % POINTS;
  }
}

export class Market {
  last;
  mark;
  index;
  rate;
  /** When the last price arrived, by the page's clock. */
  updated;
  /** The first price that this page received: the change is relative to it. */
  first;
  /** -1 or 1: the direction of the last change; 0 before the first. */
  tick = 0;
  history = new History();
  #priceSeq = 0;
  #rateSeq = 0;

  constructor(slab) {
    this.slab = slab;
    /** For people; the market's own name, unless the publisher gives another one. */
    this.name = slab;
  }

  /** Set what /markets says of it. */
  setState({ price, funding, market }) {
    this.name = typeof market?.displayName === "string" ? market.displayName : this.slab;
    if (price) this.setPrice(price);
    if (funding) this.setRate(funding);
  }

  /** Set the price, from the feed or from /markets, if it is newer. */
  setPrice(event) {
    if (event.seq <= this.#priceSeq) return;
    this.#priceSeq = event.seq;
    this.tick = Math.sign(event.price - (this.last ?? event.price)) || this.tick;
    this.last = event.price;
    this.mark = event.markPrice ?? undefined;
    this.index = event.indexPrice ?? undefined;
    this.updated = Date.now();
    this.first ??= event.price;
    this.history.add(this.updated, event.price, this.mark);
  }

  setRate(event) {
    if (event.seq <= this.#rateSeq) return;
    this.#rateSeq = event.seq;
    this.rate = event.rate;
  }

  /** The stream was replaced: seqs start again. */
  resetSeqs() {
    this.#priceSeq = this.#rateSeq = 0;
  }
}
