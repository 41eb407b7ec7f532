/** How many messages the client may send now: a bucket of the size that the gateway announced. */

const SHARE = 0.9; // of the rate: messages that leave evenly may arrive in a bunch
const RESERVED = 2; // of the burst: a ping and a token need not wait for requests

export class Pace {
  #rate; // messages per millisecond; 0: no limit
  #burst;
  #reserved;
  #left;
  #at;

  /** @param {{messagesPerSecond: number, messageBurst: number}} limits 0 means no limit */
  constructor({ messagesPerSecond, messageBurst }, now) {
    this.#rate = (messagesPerSecond * SHARE) / 1_000;
    this.#burst = Math.max(messageBurst, 1);
    this.#reserved = Math.min(RESERVED, this.#burst - 1);
    this.#left = this.#burst;
    this.#at = now;
  }

  /** A message is sent. */
  sent(now) {
    this.#refill(now);
    this.#left -= 1;
  }

  /** The gateway has refused a message: begin again with nothing. */
  empty(now) {
    this.#refill(now);
    this.#left = 0;
  }

  /** Milliseconds until the next request may be sent; 0: now. */
  wait(now) {
    if (this.#rate === 0) return 0;
    this.#refill(now);
    return Math.ceil(Math.max(1 + this.#reserved - this.#left, 0) / this.#rate);
  }

  #refill(now) {
    const passed = Math.max(now - this.#at, 0);
    this.#left = Math.min(this.#left + passed * this.#rate, this.#burst);
    this.#at = now;
  }
}
