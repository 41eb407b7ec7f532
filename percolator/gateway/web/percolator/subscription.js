/**
 * A page's subscription to its channels: it calls a listener, or queues messages for a loop.
 *
 * @typedef {import("../percolator.d.ts").Message} Message
 * @typedef {import("../percolator.d.ts").Position} Position
 */

import { channelOf, kindOf, kindOfChannel, wildcardOf } from "./kinds.js";
import { Positions } from "./positions.js";
import { Queue } from "./queue.js";

/** Call a listener. An error in it is the page's own: it is reported, and the feed goes on. */
export function call(listener, value) {
  try {
    listener(value);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

export class Subscription {
  #leave;
  #listener;
  #queue = new Queue();
  #waiting = [];
  #ended = false;
  /** @type {Map<string, Position>} How far each channel was handed over. */
  #handed = new Map();

  constructor(channels, { listener, recent = 0, since = {}, leave }) {
    this.channels = Object.freeze(channels);
    this.positions = new Positions(channels, recent, since);
    this.fresh = recent === 0 && Object.keys(since).length === 0; // of the past, only snapshots
    this.#listener = listener;
    this.#leave = leave;
  }

  /** Stop listening. A channel without listeners is unsubscribed. */
  unsubscribe() {
    if (this.#ended) return;
    this.#ended = true;
    this.#leave(this);
    for (const resolve of this.#waiting.splice(0)) resolve({ value: undefined, done: true });
  }

  /** @param {Message} message */
  push(message) {
    if (this.#ended) return;
    if (this.#listener) {
      call(this.#listener, message);
    } else if (this.#waiting.length > 0) {
      this.#waiting.shift()(this.#handOver(message));
    } else {
      this.#queue.push(message);
    }
  }

  /** @returns {Promise<IteratorResult<Message>>} */
  next() {
    if (this.#queue.length > 0) return Promise.resolve(this.#handOver(this.#queue.shift()));
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return() {
    this.unsubscribe();
    this.#queue.clear();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** How far each lossless channel was handed over. @returns {[string, Position][]} */
  bookmarks() {
    const queued = this.#queue.lossless > 0;
    const lossless = this.channels.filter((name) => kindOfChannel(name).lossless);
    const handed = lossless.map((name) => {
      const { position, start } = this.positions.reader(name);
      return [name, queued ? (this.#handed.get(name) ?? start) : position];
    });
    return handed.filter(([, position]) => position !== null);
  }

  #handOver(message) {
    const name = channelOf(message);
    const { epoch } = message;
    if (message.type === "gap") {
      this.#note(name, message.to - 1, epoch);
      if (epoch !== undefined) this.#note(wildcardOf(name), message.to - 1, epoch);
    } else if (kindOf(message)?.lossless) {
      this.#note(name, message.seq, epoch);
      this.#note(wildcardOf(name), message.seq, epoch);
    }
    return { value: message, done: false };
  }

  #note(name, seq, epoch) {
    if (!this.channels.includes(name)) return;
    const before = this.#handed.get(name) ?? this.positions.reader(name).start;
    const replaced = epoch !== undefined && epoch !== before?.epoch;
    const later = replaced ? seq : Math.max(seq, before.seq);
    this.#handed.set(name, { epoch: epoch ?? before.epoch, seq: later });
  }
}
