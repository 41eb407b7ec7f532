/**
 * One connection that comes back: sockets, signs of life, and the wait before the next attempt.
 * It knows nothing of channels. What it is told and what it tells is one JSON object a message.
 *
 * @typedef {import("../percolator.d.ts").State} State
 */

const IDLE_MS = 15_000; // silence after which the gateway is asked whether it is still there
const DOUBT_MS = 5_000; // without an answer for so long the feed is stale,
const DEAD_MS = 10_000; // and for so long, the connection is given up
const GREETING_MS = 10_000;
const LATE_MS = 2_000; // a timer later than this: the tab was throttled, or the machine asleep
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 20_000;

const CLOSED = {
  1001: "the gateway is shutting down",
  1006: "the connection broke",
  1008: "the gateway refused the connection",
  1013: "the gateway is not ready yet",
};

export class Line {
  /** @type {State} */
  state;
  /** When the gateway was last heard of, Unix milliseconds; 0: never. */
  heardAt = 0;
  /** How many connections there have been: tells whether it is still the same one. */
  count = 0;
  /** The gateway has spoken on this connection. */
  greeted = false;
  #url;
  #hooks;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  #tried = 0;
  #announced = null; // the wait that a closing gateway asked for
  #pinged = 0; // when it was asked for a sign of life that it still owes; 0: it owes none
  #asked = false; // it was asked a second time, since the first may have been slept through
  #timer = 0;
  #due = 0;
  #wakers = new AbortController();

  /**
   * @param {string} url
   * @param {{received: (message: object) => void, lost: () => void,
   *          changed: (state: State) => void, unreadable: () => void}} hooks
   */
  constructor(url, hooks) {
    this.#url = url;
    this.#hooks = hooks;
    const options = { signal: this.#wakers.signal };
    const wake = () => this.#wake();
    for (const name of ["online", "offline", "pageshow"]) {
      globalThis.addEventListener?.(name, wake, options);
    }
    for (const name of ["visibilitychange", "resume"]) {
      globalThis.document?.addEventListener(name, wake, options);
    }
  }

  /** Connect now, unless it is connected or connecting. */
  open() {
    if (this.#socket !== null || this.state?.name === "closed") return;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#announced = null; // it was kept to; if this fails, the wait is ours again
    this.#tried = Date.now();
    this.count += 1;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      const unreachable = code === 1006 && !this.greeted && "the gateway cannot be reached";
      this.drop(reason || unreachable || CLOSED[code] || `closed with code ${code}`);
    };
    this.#arm();
    this.#change("connecting");
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** All that is wanted is there. */
  live() {
    this.#change("live");
  }

  /** The gateway has done something for us: only now is a new connection worth a quick retry. */
  served() {
    this.#attempt = 0;
    this.live();
  }

  /** A gateway that closes says when to come back. */
  announce(milliseconds) {
    this.#announced = milliseconds;
  }

  /** Give this connection up, and make another after a while. */
  drop(reason) {
    this.#detach();
    const most = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempt);
    const wait = this.#announced ?? Math.round(most * (0.5 + Math.random() / 2));
    if (this.#announced === null) this.#attempt += 1;
    this.#hooks.lost();
    this.#change("waiting", { reason, retryAt: Date.now() + wait });
    this.#arm();
  }

  /** End it for good. */
  close() {
    this.#wakers.abort();
    this.#detach();
    clearTimeout(this.#timer);
    this.#change("closed");
  }

  #change(name, details = {}) {
    if (this.state?.name === name && name !== "waiting") return;
    this.state = Object.freeze({ name, since: Date.now(), ...details });
    this.#hooks.changed(this.state);
  }

  #detach() {
    const socket = this.#socket;
    this.#socket = null;
    this.greeted = false;
    this.#pinged = 0;
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(); // on a dead line this takes a minute: nobody waits for it
  }

  #receive(data) {
    this.heardAt = Date.now();
    this.#pinged = 0;
    this.#asked = false;
    if (!this.greeted) {
      this.greeted = true;
      this.#arm();
    }
    if (this.state.name === "stale") this.live();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      this.#hooks.unreadable();
      return;
    }
    this.#hooks.received(message);
  }

  // Time. One timer, which is not touched as messages come in: it looks when it fires.

  #arm() {
    clearTimeout(this.#timer);
    this.#due = this.#deadline();
    this.#timer = setTimeout(() => this.#tick(), Math.max(this.#due - Date.now(), 0));
  }

  #deadline() {
    if (this.#socket === null) return this.state.retryAt;
    if (!this.greeted) return this.#tried + GREETING_MS;
    if (this.#pinged === 0) return this.heardAt + IDLE_MS;
    return this.#pinged + (this.state.name === "stale" ? DEAD_MS : DOUBT_MS);
  }

  #tick() {
    const now = Date.now();
    const late = Math.abs(now - this.#due) > LATE_MS;
    if (this.#socket === null) return this.open();
    if (!this.greeted) return this.drop("the gateway does not answer");
    if (this.#pinged === 0) {
      const idle = now - this.heardAt;
      if (idle >= IDLE_MS || idle < 0) this.#ping();
    } else if (late && !this.#asked) {
      this.#asked = true; // we were away, and it may have answered: ask once more
      this.#ping();
    } else if (now - this.#pinged >= DEAD_MS) {
      return this.drop("nothing was heard from the gateway");
    } else if (now - this.#pinged >= DOUBT_MS) {
      this.#change("stale", { since: this.heardAt });
    }
    return this.#arm();
  }

  #ping() {
    this.#pinged = Date.now();
    this.send({ type: "ping" });
  }

  /** The network or the page is back: do not wait for a timer that may be slow. */
  #wake() {
    if (globalThis.document?.visibilityState === "hidden") return;
    const now = Date.now();
    if (this.#socket === null) {
      if (this.#announced === null && now - this.#tried > 1_000) this.open();
    } else if (this.greeted && this.#pinged === 0 && now - this.heardAt > LATE_MS) {
      this.#ping();
      this.#arm();
    }
  }
}
