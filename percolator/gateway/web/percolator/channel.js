/**
 * One channel: how far the page has read it, and which messages it gets next.
 * Nothing in this file sends or waits.
 *
 * @typedef {import("../percolator.d.ts").Event} Event
 */

import { kindOfChannel } from "./kinds.js";

export class Channel {
  subscriptions = new Set();
  /** @type {"pending" | "requested" | "live" | "refused"} */
  status = "pending";
  /** Id of the latest request for this channel. */
  requestId = 0;
  /** @type {number | null} Seq of the newest event that the page has; null before the first. */
  lastSeq = null;
  /** @type {Event | null} */
  latest = null;
  /** @type {string | null} The incarnation of the stream that these seqs belong to. */
  epoch = null;
  #startSeq = null; // where to resume until the first event arrives
  #connectionSeq = 0; // seq of the newest event on the current connection

  /** @param {string} name @param {number} recent */
  constructor(name, recent) {
    this.kind = kindOfChannel(name);
    this.name = name;
    this.recent = recent;
  }

  /** The connection is gone: request the channel again, and resume where it stopped. */
  disconnected() {
    this.status = "pending";
    this.lastSeq ??= this.#startSeq;
    this.#connectionSeq = 0;
  }

  /** The gateway has accepted the subscription: every event after `seq` must arrive. */
  subscribed(seq, epoch) {
    this.status = "live";
    if (this.lastSeq === null && this.#startSeq === null) {
      this.#startSeq = seq;
      this.epoch = epoch;
    }
  }

  /** Return what the page gets for an event: nothing for a duplicate, a gap before it if due. */
  accept(event, epoch) {
    const before = this.lastSeq;
    const replaced = this.epoch !== null && this.epoch !== epoch;
    const restarted = this.#restarted(event);
    if (before !== null && !replaced && !restarted && event.seq <= before) return [];
    this.epoch = epoch;
    this.lastSeq = event.seq;
    this.latest = event;
    const missed = replaced || event.prev > before; // an unknown prev is null, and never greater
    if (!this.kind.lossless || before === null || !missed) return [event];
    const gap = { type: "gap", channel: this.name, from: before, to: event.seq };
    return [replaced ? { ...gap, epoch } : gap, event];
  }

  /** Continue after a gap that the gateway reported. */
  skip(gap, epoch) {
    const replaced = this.epoch !== null && this.epoch !== epoch;
    this.lastSeq = replaced ? gap.to - 1 : Math.max(this.lastSeq ?? 0, gap.to - 1);
    this.epoch = epoch;
    return [gap];
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
