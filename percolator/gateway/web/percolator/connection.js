/**
 * One connection that comes back: sockets, liveness checks, and the wait before the next attempt.
 * It knows nothing of channels; each message, in and out, is one JSON object.
 */

import { Backoff } from "./backoff.js";
import { read } from "./messages.js";

const IDLE_MS = 15_000; // after this silence the gateway gets a ping;
const STALE_MS = 5_000; // if it is unanswered for this long, the line is silent,
const DEAD_MS = 9_000; // and after this long, the connection is dropped
const GREETING_MS = 10_000;
const LATE_MS = 2_000; // a timer later than this: the tab was throttled, or the machine asleep
const LEFT = 1000; // the close code of a page that leaves

const CLOSE_REASONS = {
  1001: "the gateway is shutting down",
  1006: "the connection was lost",
  1008: "the gateway refused the connection",
  1013: "the gateway is not ready yet",
};

export class Connection {
  /** @type {"connecting" | "open" | "waiting" | "closed"} Open: the gateway has greeted. */
  phase = "connecting";
  /** Why it is waiting, since when and until when: `reason`, `since`, `retryAt`. */
  details = {};
  /** When the gateway last sent anything, Unix milliseconds; 0: never. */
  heardAt = 0;
  /** A reply is overdue. */
  silent = false;
  /** Number of attempts so far: shows whether it is still the same one. */
  count = 0;
  #url;
  #hooks;
  #Socket;
  /** @type {WebSocket | null} */
  #socket = null;
  #preparing = false;
  #backoff = new Backoff();
  #openedAt = 0;
  #pingedAt = 0; // when the unanswered ping was sent; 0: none is open
  #pingedTwice = false; // the first ping may have been answered while the machine slept
  #timer = 0;
  #dueAt = 0;
  #wakers = new AbortController();

  /**
   * `prepare` is called before each attempt, and returns null or a promise to wait for; if that
   * fails, its error is why the attempt failed. `changed` is called after each change of state.
   *
   * @param {string} url
   * @param {{prepare: () => Promise<unknown> | null, received: (message: object) => void,
   *          disconnected: () => void, changed: () => void}} hooks
   * @param {typeof WebSocket} Socket
   */
  constructor(url, hooks, Socket) {
    this.#url = url;
    this.#hooks = hooks;
    this.#Socket = Socket;
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
    if (this.#socket !== null || this.#preparing || this.phase === "closed") return;
    this.#backoff.started();
    this.#openedAt = Date.now();
    this.count += 1;
    clearTimeout(this.#timer);
    this.#change("connecting");
    const prepared = this.#hooks.prepare();
    if (prepared === null) {
      this.#dial();
      return;
    }
    this.#preparing = true;
    this.#arm();
    const { count } = this; // an attempt that took too long was given up
    const isCurrent = () => this.#preparing && count === this.count;
    prepared.then(
      () => isCurrent() && this.#dial(),
      (error) => isCurrent() && this.drop(error.message),
    );
  }

  send(message) {
    if (this.#socket?.readyState === this.#Socket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Wait this long before the next attempt: a closing gateway has asked for it. */
  announce(milliseconds) {
    this.#backoff.announce(milliseconds);
  }

  /** Drop this connection, and open another one after a wait. */
  drop(reason) {
    this.#detach();
    const now = Date.now(); // read once: the wait shown is then the wait chosen
    const retryAt = now + this.#backoff.next(now - this.#openedAt);
    this.#hooks.disconnected();
    this.#change("waiting", { reason, since: now, retryAt });
    this.#arm();
  }

  /** Close for good. */
  close() {
    this.#wakers.abort();
    this.#detach();
    clearTimeout(this.#timer);
    this.#change("closed");
  }

  #dial() {
    this.#preparing = false;
    this.#openedAt = Date.now();
    const socket = new this.#Socket(this.#url);
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => {
      const unreachable = code === 1006 && this.phase !== "open" && "the gateway cannot be reached";
      this.drop(reason || unreachable || CLOSE_REASONS[code] || `closed with code ${code}`);
    };
    socket.onerror = () => {}; // the close event that follows says what there is to say
    this.#arm();
  }

  #change(phase, details = {}) {
    this.phase = phase;
    this.details = details;
    this.silent = false;
    this.#hooks.changed();
  }

  #detach() {
    const socket = this.#socket;
    this.#socket = null;
    this.#preparing = false;
    this.#pingedAt = 0;
    if (socket === null) return;
    socket.onmessage = socket.onclose = null;
    socket.close(LEFT); // on a dead connection this takes a minute, so do not wait for it
  }

  #receive(data) {
    const now = Date.now();
    this.heardAt = now;
    this.#pingedAt = 0;
    this.#pingedTwice = false;
    let message;
    try {
      message = read(data);
      if (this.phase !== "open" && message.type !== "connected") throw new TypeError("no greeting");
    } catch (error) {
      this.drop(`the gateway sent ${error.message}`);
      return;
    }
    if (this.phase === "open") {
      this.#backoff.heard(now - this.#openedAt);
      if (this.silent) this.#speaks();
    } else {
      this.#change("open");
      this.#arm();
    }
    this.#hooks.received(message);
  }

  #speaks() {
    this.silent = false;
    this.#hooks.changed();
  }

  // Time. There is one timer. Messages do not reset it: it checks the clock when it fires.

  #arm() {
    clearTimeout(this.#timer);
    this.#dueAt = this.#deadline();
    this.#timer = setTimeout(() => this.#tick(), Math.max(this.#dueAt - Date.now(), 0));
  }

  #deadline() {
    if (this.#socket === null && !this.#preparing) return this.details.retryAt;
    if (this.phase !== "open") return this.#openedAt + GREETING_MS;
    if (this.#pingedAt === 0) return this.heardAt + IDLE_MS;
    return this.#pingedAt + (this.silent ? DEAD_MS : STALE_MS);
  }

  #tick() {
    const now = Date.now();
    const late = Math.abs(now - this.#dueAt) > LATE_MS;
    if (this.#preparing) return this.drop("the page's token function does not answer");
    if (this.#socket === null) return this.open();
    if (this.phase !== "open") return this.drop("the gateway does not respond");
    if (this.#pingedAt === 0) {
      const idle = now - this.heardAt;
      if (idle >= IDLE_MS || idle < 0) this.#ping();
    } else if (late && !this.#pingedTwice) {
      this.#pingedTwice = true; // we were away, and it may have answered: ping once more
      this.#ping();
    } else if (now - this.#pingedAt >= DEAD_MS) {
      return this.drop("the gateway stopped responding");
    } else if (now - this.#pingedAt >= STALE_MS) {
      this.silent = true;
      this.#hooks.changed();
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
    if (this.phase === "waiting") {
      if (!this.#backoff.announced && now - this.#openedAt > 1_000) this.open();
    } else if (this.phase === "open" && this.#pingedAt === 0 && now - this.heardAt > LATE_MS) {
      this.#ping();
      this.#arm();
    }
  }
}
