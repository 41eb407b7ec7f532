/**
 * What a page holds of its channels: a listener that is called, or a queue to iterate over.
 *
 * @typedef {import("../percolator.d.ts").Message} Message
 */

import { channelOf } from "./channel.js";

const QUEUE_LENGTH = 10_000; // so much waits for a page that iterates slowly

/** Call a listener; what it throws is the page's own error, and no end of the feed. */
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
  /** @type {Message[]} */
  #queue = [];
  #waiting = [];
  #ended = false;

  constructor(channels, listener, leave) {
    this.channels = Object.freeze(channels);
    this.#listener = listener;
    this.#leave = leave;
  }

  /** Stop listening. A channel that nobody listens to any more is unsubscribed. */
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
      this.#waiting.shift()({ value: message, done: false });
    } else {
      if (this.#queue.length >= QUEUE_LENGTH) this.#queue = condensed(this.#queue);
      this.#queue.push(message);
    }
  }

  next() {
    if (this.#queue.length > 0) {
      return Promise.resolve({ value: this.#queue.shift(), done: false });
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return() {
    this.unsubscribe();
    this.#queue = [];
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator]() {
    return this;
  }
}

/** Make room in a queue that nobody reads: the latest price of a slab, else a gap a channel. */
function condensed(queue) {
  const found = new Map();
  for (const message of queue) {
    const name = channelOf(message);
    const gap = message.type === "gap";
    const from = gap ? message.from : (message.prev ?? message.seq - 1);
    const to = gap ? message.to : message.seq + 1;
    if (message.type === "price") found.set(name, message);
    else found.set(name, { type: "gap", channel: name, from: found.get(name)?.from ?? from, to });
  }
  return [...found.values()];
}
