/** Waits before the next attempt. Nothing in this file waits or reads a clock. */

import { waitOf } from "./messages.js";

const FIRST_MS = 500;
const LAST_MS = 20_000;
const STEADY_MS = 5_000; // a connection that was of use for so long ends a series of failures

/** A random wait that doubles with each failure: between half of the limit and the limit. */
export function delay(failures, first, last) {
  return Math.round(Math.min(last, first * 2 ** failures) * (0.5 + Math.random() / 2));
}

export class Backoff {
  #failures = 0;
  #announced = null; // the wait that a closing gateway asked for

  get announced() {
    return this.#announced !== null;
  }

  /** A closing gateway has asked for this wait before the next attempt. */
  announce(milliseconds) {
    this.#announced = waitOf(milliseconds);
  }

  /** An attempt begins. What was announced covers this one; if it fails, our own waits apply. */
  started() {
    this.#announced = null;
  }

  /** True if a connection that was last heard so long after its start ends the failures. */
  heard(milliseconds) {
    const steady = milliseconds >= STEADY_MS;
    if (steady) this.#failures = 0;
    return steady;
  }

  /** The wait before the next attempt, if the last one began so long ago. */
  next(age) {
    if (this.#announced === null) {
      this.#failures += 1;
      return delay(this.#failures - 1, FIRST_MS, LAST_MS);
    }
    // At most two attempts per second, whatever a gateway asks for.
    return Math.max(this.#announced, FIRST_MS - Math.max(age, 0));
  }
}
