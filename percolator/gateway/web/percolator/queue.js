/**
 * What waits for a page that iterates: one place per channel where the latest value wins, and the
 * messages of lossless channels in order, up to a limit. The two take turns.
 *
 * @typedef {import("../percolator.d.ts").Message} Message
 */

import { channelOf, kindOf } from "./kinds.js";

const LENGTH = 10_000; // messages of lossless channels

export class Queue {
  /** @type {Map<string, Message>} The latest message by what it replaces. */
  #latest = new Map();
  /** @type {Message[]} */
  #ordered = [];
  #taken = 0; // messages at the start of `ordered` that were handed over
  #latestTurn = true;

  /** Number of messages of lossless channels. */
  get lossless() {
    return this.#ordered.length - this.#taken;
  }

  get length() {
    return this.lossless + this.#latest.size;
  }

  /** @param {Message} message */
  push(message) {
    if (message.type !== "gap" && !kindOf(message)?.lossless) {
      this.#latest.set(`${message.type} ${channelOf(message)}`, message);
      return;
    }
    if (this.lossless >= LENGTH) {
      this.#ordered = condensed(this.#ordered.slice(this.#taken));
      this.#taken = 0;
    }
    this.#ordered.push(message);
  }

  /** The next message, which is removed; undefined if there is none. */
  shift() {
    this.#latestTurn = this.#latest.size > 0 && (this.#latestTurn || this.lossless === 0);
    if (this.#latestTurn) {
      this.#latestTurn = false;
      const [[key, message]] = this.#latest;
      this.#latest.delete(key);
      return message;
    }
    this.#latestTurn = true;
    return this.lossless > 0 ? this.#shiftOrdered() : undefined;
  }

  clear() {
    this.#latest.clear();
    this.#ordered = [];
    this.#taken = 0;
  }

  #shiftOrdered() {
    const message = this.#ordered[this.#taken];
    this.#ordered[this.#taken] = undefined;
    this.#taken += 1;
    if (this.#taken === LENGTH || this.lossless === 0) {
      this.#ordered.splice(0, this.#taken);
      this.#taken = 0;
    }
    return message;
  }
}

/** One gap per channel, from the first message of a full queue to the last. */
function condensed(messages) {
  const gaps = new Map();
  for (const message of messages) {
    const channel = channelOf(message);
    const { from, to, epoch } = message.type === "gap" ? message : span(message);
    const gap = { type: "gap", channel, from: gaps.get(channel)?.from ?? from, to };
    const replaced = epoch ?? gaps.get(channel)?.epoch;
    gaps.set(channel, replaced === undefined ? gap : { ...gap, epoch: replaced });
  }
  return [...gaps.values()];
}

/** The gap that an event leaves. */
function span({ seq, prev }) {
  return { from: prev ?? seq - 1, to: seq + 1 };
}
