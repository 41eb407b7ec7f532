/**
 * How far one subscription has read one channel, and which messages it gets next.
 * Nothing in this file sends or waits.
 *
 * A reader waits until the gateway has accepted a request that covers it: one from its position,
 * or with the past events that it wants to begin with.
 *
 * @typedef {import("../percolator.d.ts").Position} Position
 */

import { kindOfChannel } from "./kinds.js";

export class Reader {
  waiting = true;
  /** @type {number | null} Seq of the newest event that was read; null before the first. */
  #seq = null;
  /** @type {string | null} The incarnation of the stream that these seqs belong to. */
  #epoch = null;
  /** @type {Position | null} Where reading began. */
  start = null;
  #floor = -1; // before the first event, older ones are not for this reader, except for a snapshot
  #covered = false; // by the latest request
  #connectionSeq = 0; // seq of the newest event on the current connection
  #resumedAt = null; // the position at the start of this connection: also that of new markets

  /** @param {string} name @param {number} [recent] past events to begin with */
  constructor(name, recent = 0) {
    this.name = name;
    this.kind = kindOfChannel(name);
    this.recent = this.kind.lossless ? recent : 0;
  }

  /** Begin where an earlier reader stopped. @param {Position} position */
  continue({ epoch, seq }) {
    this.#epoch = epoch;
    this.#seq = this.#resumedAt = seq;
    this.start = { epoch, seq };
  }

  /** A request is sent, for `recent` past events; everything after the position must come again. */
  requested(recent) {
    this.#covered = this.start !== null || this.recent === 0 || this.recent === recent;
    this.anchor();
  }

  /** The gateway has accepted the latest request. Returns whether that covers this reader. */
  begin(seq, epoch) {
    if (!this.waiting || !this.#covered) return !this.waiting;
    this.waiting = false;
    if (this.start !== null) return true;
    this.#epoch = epoch;
    this.start = { epoch, seq };
    // Not for prices: one that was held back may be older than what other channels had.
    if (this.kind.lossless && this.recent === 0) this.#floor = seq;
    return true;
  }

  /** A reader of one market, for a reader of all markets. */
  forMarket(name) {
    const reader = new Reader(name, this.recent);
    reader.waiting = this.waiting;
    reader.start = this.start;
    reader.#covered = this.#covered;
    reader.#epoch = this.#epoch;
    reader.#floor = this.#floor;
    reader.#seq = this.#resumedAt;
    return reader;
  }

  /** Where to resume; null if it has not begun. @returns {Position | null} */
  get position() {
    if (this.start === null) return null;
    return { epoch: this.#epoch, seq: this.#seq ?? this.start.seq };
  }

  /** Everything after the position must arrive again: the connection is gone, or asks again. */
  anchor() {
    this.#connectionSeq = 0;
    if (this.start !== null) this.#seq = this.#resumedAt = this.position.seq;
  }

  /** Return what to deliver for an event: nothing for a duplicate, a gap before it if due. */
  accept(event, epoch) {
    if (this.waiting) return [];
    const before = this.#seq;
    const replaced = this.#epoch !== epoch;
    const restarted = this.#restarted(event);
    const known = before === null ? event.seq <= this.#floor && !event.snapshot : event.seq <= before;
    if (known && !replaced && !restarted) return [];
    const missed = replaced || (before !== null && event.prev > before); // an unknown prev is null
    const from = this.position.seq;
    this.advance(event.seq, epoch);
    if (!this.kind.lossless || !missed) return [event];
    return [gapOf(this.name, from, event.seq, replaced ? epoch : undefined), event];
  }

  /** Return what to deliver for a gap that the gateway reported: nothing if it is no news. */
  skip(gap, epoch) {
    if (this.waiting) return [];
    const replaced = this.#epoch !== epoch;
    if (!replaced && this.#seq !== null && gap.to - 1 <= this.#seq) return [];
    const from = replaced || this.#seq !== null ? this.position.seq : gap.from;
    this.advance(gap.to - 1, epoch);
    return [gapOf(this.name, from, gap.to, replaced ? epoch : undefined)];
  }

  /** Move on to a seq; never back, unless it belongs to another epoch. */
  advance(seq, epoch) {
    const replaced = this.#epoch !== epoch;
    if (replaced) this.#resumedAt = null;
    const back = this.kind.lossless && !replaced && this.#seq !== null;
    this.#seq = back ? Math.max(this.#seq, seq) : seq;
    this.#epoch = epoch;
  }

  /** Everything up to `seq` has arrived, also if it is of another channel. */
  heard(seq, epoch) {
    if (!this.waiting && this.kind.lossless && this.#epoch === epoch) this.advance(seq, epoch);
  }

  /** True if it is not sure that everything between what was read and an event has arrived. */
  lacks(event, epoch) {
    const seq = this.#seq;
    if (this.waiting || seq === null || this.#epoch !== epoch || event.seq <= seq) return false;
    return event.prev === null || event.prev > seq;
  }

  /**
   * Report whether the stream started again without a notice. The gateway sends no gap for a kind
   * of which the latest value wins, so an older seq on the same connection is the only sign.
   */
  #restarted(event) {
    const older = !this.kind.lossless && event.seq < this.#connectionSeq;
    this.#connectionSeq = event.seq;
    return older;
  }
}

function gapOf(channel, from, to, epoch) {
  const gap = { type: "gap", channel, from, to };
  return epoch === undefined ? gap : { ...gap, epoch };
}
