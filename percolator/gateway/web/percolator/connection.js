/**
 * One connection that comes back: sockets, liveness checks, and the wait before the next attempt.
 * It knows nothing of channels; each message, in and out, is one JSON object.
 *
 * @typedef {import("../percolator.d.ts").State} State
 */

import { read, waitOf } from "./messages.js";

const IDLE_MS = 15_000; // after this silence the gateway gets a ping;
const STALE_MS = 5_000; // if it is unanswered for this long, the feed is stale,
const DEAD_MS = 10_000; // and after this long, the connection is dropped
const GREETING_MS = 10_000;
const LATE_MS = 2_000; // a timer later than this: the tab was throttled, or the machine asleep
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 20_000;

const CLOSE_REASONS = {
  1001: "the gateway is shutting down",
  1006: "the connection was lost",
  1008: "the gateway refused the connection",
  1013: "the gateway is not ready yet",
};

export class Connection {
  /** @type {State} */
  state;
  /** When the gateway last sent anything, Unix milliseconds; 0: never. */
  heardAt = 0;
  /** Number of connections so far: shows whether it is still the same one. */
  count = 0;
  /** The gateway has sent a message on this connection. */
  greeted = false;
  #url;
  #hooks;
  /** @type {WebSocket | null} */
  #socket = null;
  #failures = 0; // connections since the last one that answered a request
  #openedAt = 0;
  #announcedWait = null; // the wait that a closing gateway asked for
  #pingedAt = 0; // when the unanswered ping was sent; 0: none is open
  #pingedTwice = false; // the first ping may have been answered while the machine slept
  #timer = 0;
  #dueAt = 0;
  #wakers = new AbortController();

  /**
   * @param {string} url
   * @param {{received: (message: object) => void, disconnected: () => void,
   *          stateChanged: (state: State) => void, invalidMessage: (why: string) => void}} hooks
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

  /** Connect now, unless already connected or connecting. */
  open() {
    if (this.#socket !== null || this.state?.name === "closed") return;
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#announcedWait = null; // it covers one attempt; if that fails, our own back-off applies
    this.#openedAt = Date.now();
    this.count += 1;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      const unreachable = code === 1006 && !this.greeted && "the gateway cannot be reached";
      this.drop(reason || unreachable || CLOSE_REASONS[code] || `closed with code ${code}`);
    };
    this.#arm();
    this.#change("connecting");
  }

  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Every request so far is in force. */
  markLive() {
    this.#change("live");
  }

  /** The gateway has answered a request: only now does a new connection deserve a quick retry. */
  confirm() {
    this.#failures = 0;
    this.markLive();
  }

  /** Wait this long before the next attempt: a closing gateway has asked for it. */
  announce(milliseconds) {
    this.#announcedWait = waitOf(milliseconds);
  }

  /** Drop this connection, and open another one after a wait. */
  drop(reason) {
    this.#detach();
    const limit = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    const since = Date.now(); // read once: the wait shown is then the wait chosen
    // At most two attempts per second, whatever a gateway asks for.
    const left = FIRST_RETRY_MS - Math.max(since - this.#openedAt, 0);
    const asked = this.#announcedWait === null ? null : Math.max(this.#announcedWait, left);
    const wait = asked ?? Math.round(limit * (0.5 + Math.random() / 2));
    if (asked === null) this.#failures += 1;
    this.#hooks.disconnected();
    this.#change("waiting", { reason, since, retryAt: since + wait });
    this.#arm();
  }

  /** Close for good. */
  close() {
    this.#wakers.abort();
    this.#detach();
    clearTimeout(this.#timer);
    this.#change("closed");
  }

  #change(name, details = {}) {
    if (this.state?.name === name && name !== "waiting") return;
    this.state = Object.freeze({ name, since: Date.now(), ...details });
    this.#hooks.stateChanged(this.state);
  }

  #detach() {
    const socket = this.#socket;
    this.#socket = null;
    this.greeted = false;
    this.#pingedAt = 0;
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(); // on a dead connection this takes a minute, so do not wait for it
  }

  #receive(data) {
    this.heardAt = Date.now();
    this.#pingedAt = 0;
    this.#pingedTwice = false;
    if (!this.greeted) {
      this.greeted = true;
      this.#arm();
    }
    if (this.state.name === "stale") this.markLive();
    let message;
    try {
      message = read(data);
    } catch (error) {
      this.#hooks.invalidMessage(error.message);
      return;
    }
    this.#hooks.received(message);
  }

  // Time. There is one timer. Messages do not reset it: it checks the clock when it fires.

  #arm() {
    clearTimeout(this.#timer);
    this.#dueAt = this.#deadline();
    this.#timer = setTimeout(() => this.#tick(), Math.max(this.#dueAt - Date.now(), 0));
  }

  #deadline() {
    if (this.#socket === null) return this.state.retryAt;
    if (!this.greeted) return this.#openedAt + GREETING_MS;
    if (this.#pingedAt === 0) return this.heardAt + IDLE_MS;
    return this.#pingedAt + (this.state.name === "stale" ? DEAD_MS : STALE_MS);
  }

  #tick() {
    const now = Date.now();
    const late = Math.abs(now - this.#dueAt) > LATE_MS;
    if (this.#socket === null) return this.open();
    if (!this.greeted) return this.drop("the gateway does not respond");
    if (this.#pingedAt === 0) {
      const idle = now - this.heardAt;
      if (idle >= IDLE_MS || idle < 0) this.#ping();
    } else if (late && !this.#pingedTwice) {
      this.#pingedTwice = true; // we were away, and it may have answered: ping once more
      this.#ping();
    } else if (now - this.#pingedAt >= DEAD_MS) {
      return this.drop("the gateway stopped responding");
    } else if (now - this.#pingedAt >= STALE_MS) {
      this.#change("stale", { since: this.heardAt });
    }
    return this.#arm();
  }

  #ping() {
    this.#pingedAt = Date.now();
    this.send({ type: "ping" });
  }

  /** The network or the page is back: do not wait for a timer that may be slow. */
  #wake() {
    if (globalThis.document?.visibilityState === "hidden") return;
    const now = Date.now();
    if (this.#socket === null) {
      if (this.#announcedWait === null && now - this.#openedAt > 1_000) this.open();
    } else if (this.greeted && this.#pingedAt === 0 && now - this.heardAt > LATE_MS) {
      this.#ping();
      this.#arm();
    }
  }
}
