/**
 * One channel: how far the page has read it, and what of the next message it gets.
 * Nothing is sent here, and nothing is waited for.
 *
 * @typedef {import("../percolator.d.ts").Event} Event
 * @typedef {import("../percolator.d.ts").Message} Message
 */

const CHANNEL = /^(price|trades|funding):[A-Za-z0-9_-]{1,64}$/;
const CHANNEL_OF = { price: "price", trade: "trades", funding: "funding" };

/** Name the channel that a message belongs to. @param {Message} message */
export function channelOf(message) {
  return message.channel ?? `${CHANNEL_OF[message.type]}:${message.slab}`;
}

export class Channel {
  subscriptions = new Set();
  /** @type {"wanted" | "asked" | "live" | "refused"} */
  status = "wanted";
  /** Id of the request that asked for it. */
  request = 0;
  /** @type {number | null} Seq of the newest event that the page has; null: none yet. */
  last = null;
  /** @type {Event | null} */
  latest = null;
  /** @type {string | null} The life of the stream that these seqs belong to. */
  epoch = null;
  #start = null; // where it is resumed as long as it has had no event
  #here = 0; // seq of the newest event on the connection of the moment

  /** @param {string} name @param {number} recent */
  constructor(name, recent) {
    if (!CHANNEL.test(name)) {
      throw new TypeError(`not a channel: ${name}; use price:SLAB, trades:SLAB or funding:SLAB`);
    }
    this.name = name;
    this.recent = recent;
    this.lossless = !name.startsWith("price:");
  }

  /** The connection is gone. Give nothing away: it is wanted again where it stopped. */
  lost() {
    this.status = "wanted";
    this.last ??= this.#start;
    this.#here = 0;
  }

  /** The gateway follows it from here on: an event after `seq` must not be missed. */
  opened(seq, epoch) {
    this.status = "live";
    if (this.last === null && this.#start === null) {
      this.#start = seq;
      this.epoch = epoch;
    }
  }

  /** Give what the page gets for an event: nothing for a double, a gap first where one is. */
  take(event, epoch) {
    const before = this.last;
    const moved = this.epoch !== null && this.epoch !== epoch;
    const replaced = this.#replaced(event);
    if (before !== null && !moved && !replaced && event.seq <= before) return [];
    this.epoch = epoch;
    this.last = event.seq;
    this.latest = event;
    const lost = moved || event.prev > before; // an unknown prev is null, and never greater
    if (!this.lossless || before === null || !lost) return [event];
    const gap = { type: "gap", channel: this.name, from: before, to: event.seq };
    return [moved ? { ...gap, epoch } : gap, event];
  }

  /** Go on behind a gap that the gateway has told. */
  skip(gap, epoch) {
    const moved = this.epoch !== null && this.epoch !== epoch;
    this.last = moved ? gap.to - 1 : Math.max(this.last ?? 0, gap.to - 1);
    this.epoch = epoch;
    return [gap];
  }

  /** A price older than the last one on the same connection is of a stream that starts again. */
  #replaced(event) {
    const older = !this.lossless && event.seq < this.#here;
    this.#here = event.seq;
    return older;
  }
}
