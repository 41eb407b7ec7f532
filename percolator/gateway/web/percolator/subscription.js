/**
 * A page's subscription to its channels: it calls a listener, or queues messages for a loop.
 *
 * @typedef {import("../percolator.d.ts").Message} Message
 */

import { channelOf, kindOf } from "./kinds.js";

const QUEUE_LENGTH = 10_000; // messages kept for a page that iterates slowly

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
  /** @type {Message[]} */
  #queue = [];
  #waiting = [];
  #ended = false;

  constructor(channels, listener, leave) {
    this.channels = Object.freeze(channels);
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

/** Shorten a full queue: the latest event of a latest-wins channel, one gap per lossless one. */
function condensed(queue) {
  const found = new Map();
  for (const message of queue) {
    const name = channelOf(message);
    const gap = message.type === "gap";
    const from = gap ? message.from : (message.prev ?? message.seq - 1);
    const to = gap ? message.to : message.seq + 1;
    if (kindOf(message)?.lossless === false) found.set(name, message);
    else found.set(name, { type: "gap", channel: name, from: found.get(name)?.from ?? from, to });
  }
  return [...found.values()];
}
