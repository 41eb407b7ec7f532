/**
 * The browser client of a percolator gateway. No dependencies; types in percolator.d.ts.
 *
 *     import { connect } from "https://gateway.example/percolator.js";
 *     const feed = connect();
 *     feed.on("state", (state) => console.log(state.name));
 *     feed.subscribe(["price:SOL", "trades:SOL"], (message) => console.log(message));
 *
 * It reconnects by itself and resumes where it stopped. Every event of a lossless kind, such as a
 * trade, reaches the page once and in order; if some cannot be recovered, a message of type "gap"
 * takes their place.
 *
 * This file sends requests, handles the answers, and tells the page the state. The files in
 * percolator/ each have one subject: connection.js keeps the connection, channels.js knows who gets
 * which message, reader.js finds missed and duplicate events, requests.js says what to request,
 * pace.js when, and messages.js checks what arrives.
 *
 * @typedef {import("./percolator.d.ts").State} State
 */

import { addressOf } from "./percolator/address.js";
import { delay } from "./percolator/backoff.js";
import { Channels } from "./percolator/channels.js";
import { Connection } from "./percolator/connection.js";
import { kindOf } from "./percolator/kinds.js";
import { limitsOf } from "./percolator/messages.js";
import { Pace } from "./percolator/pace.js";
import { call, Subscription } from "./percolator/subscription.js";
import { Tokens } from "./percolator/tokens.js";

const FIRST_RETRY_MS = 1_000; // what was refused is asked for again after this wait,
const LAST_RETRY_MS = 60_000; // which doubles up to this
const LIVE = { state: "live" };

/**
 * Connect to a gateway; without an address, to the one that served this file.
 *
 * @param {string | URL} [url] http, https, ws or wss
 * @param {import("./percolator.d.ts").Options} [options]
 */
export function connect(url = "ws", options = {}) {
  return new Feed(addressOf(url, import.meta.url), options);
}

class Feed {
  /** @type {State} */
  state;
  #connection;
  #channels = new Channels();
  #tokens;
  #token = ""; // the one for the attempt under way
  #listeners = { state: new Set(), error: new Set(), unknown: new Set() };
  #ready = false; // greeted, and authenticated if there is a token
  #source = LIVE; // whether the gateway hears from NATS
  #limits = {};
  #pace = null;
  #id = 0;
  #authId = 0; // id of the latest auth message
  #scheduled = false; // true while requests wait to be sent
  #timer = null; // for those that wait for the rate
  #cause = ""; // why the last attempt failed, if that was logged

  constructor(address, { token, WebSocket = globalThis.WebSocket }) {
    this.#tokens = new Tokens(token);
    const hooks = {
      prepare: () => (this.#tokens.given ? this.#fetchToken() : null),
      received: (message) => this.#received(message),
      disconnected: () => this.#disconnected(),
      changed: () => this.#updateState(),
    };
    this.#connection = new Connection(address, hooks, WebSocket);
    this.#connection.open();
  }

  get heardAt() {
    return this.#connection.heardAt;
  }

  on(name, listener) {
    this.#listeners[name].add(listener);
    if (name === "state") call(listener, this.state);
    return () => this.#listeners[name].delete(listener);
  }

  subscribe(channels, listener, { recent = 0, since } = {}) {
    if (this.state.name === "closed") throw new Error("the feed is closed: call connect() again");
    const leave = (ended) => {
      this.#channels.remove(ended);
      this.#schedule();
    };
    const names = [...new Set([channels].flat())];
    const subscription = new Subscription(names, { listener, recent, since, leave });
    this.#channels.add(subscription);
    this.#schedule();
    return subscription;
  }

  bookmark() {
    return this.#channels.bookmark();
  }

  authenticate(token) {
    this.#tokens.replace(token);
    if (this.#connection.phase === "open") this.#renew();
    else this.#connection.open();
  }

  close() {
    for (const subscription of this.#channels.subscriptions) subscription.unsubscribe();
    this.#ready = false;
    this.#tokens.stop();
    clearTimeout(this.#timer);
    this.#connection.close();
  }

  // The state.

  #updateState() {
    const { name, ...details } = this.#stateNow();
    const same = ["reason", "retryAt"].every((field) => this.state?.[field] === details[field]);
    if (same && this.state?.name === name) return;
    this.state = Object.freeze({ name, since: Date.now(), ...details });
    if (name === "live") this.#cause = "";
    if (name === "waiting" && details.reason !== this.#cause) {
      this.#cause = details.reason;
      console.info(`percolator: ${details.reason}; trying again`);
    }
    this.#emit("state", this.state);
  }

  #stateNow() {
    const { phase, details, silent, heardAt } = this.#connection;
    if (phase !== "open") return { name: phase, ...details };
    if (this.#source.state === "stale") {
      return { name: "stale", since: this.#source.since, reason: "the gateway no longer hears from NATS" };
    }
    if (silent) return { name: "stale", since: heardAt, reason: "the gateway does not answer" };
    const { missing } = this.#channels;
    if (this.#ready && missing.length === 0) return { name: "live" };
    const refused = missing.find((each) => each.refused);
    return refused ? { name: "connecting", reason: `${refused.name} is refused` } : { name: "connecting" };
  }

  #emit(name, value) {
    const listeners = [...this.#listeners[name]];
    if (name === "error" && listeners.length === 0) console.warn("percolator:", value.message);
    for (const listener of listeners) call(listener, value);
  }

  // Messages from the gateway.

  #received(message) {
    if (kindOf(message)) {
      if (this.#channels.event(message)) this.#schedule();
      return;
    }
    switch (message.type) {
      case "gap":
        return this.#channels.gap(message);
      case "connected":
        return this.#greeted(message);
      case "subscribed":
        for (const name of this.#channels.subscribed(message)) this.#emit("unknown", name);
        return this.#schedule();
      case "authenticated":
        return this.#authenticated();
      case "error":
        return this.#failed(message);
      case "feed":
        this.#source = message;
        return this.#updateState();
      case "heartbeat":
        return this.#channels.heartbeat(message);
      case "closing":
        return this.#connection.announce(message.reconnectInMs);
      default:
        return undefined; // a later gateway may send other types
    }
  }

  #greeted(message) {
    this.#channels.greeted(message);
    this.#source = message.feed ?? LIVE;
    this.#limits = limitsOf(message);
    this.#pace = new Pace(this.#limits, Date.now());
    this.#ready = !this.#tokens.given;
    if (this.#tokens.given) this.#sendToken(this.#token);
    this.#schedule();
  }

  #disconnected() {
    this.#ready = false;
    this.#source = LIVE;
    this.#tokens.stop();
    this.#channels.disconnected();
  }

  // Tokens.

  /** Get a token before the socket is opened. */
  async #fetchToken() {
    try {
      this.#token = await this.#tokens.ask();
    } catch (error) {
      const message = `the page's token function failed: ${error?.message ?? error}`;
      this.#emit("error", { code: "token", message });
      throw new Error(message);
    }
  }

  #sendToken(token) {
    this.#authId = ++this.#id;
    this.#pace.sent(Date.now());
    this.#connection.send({ type: "auth", token, id: this.#authId });
    this.#tokens.watch(token, () => this.#renew());
  }

  /** Send a new token on the connection that is open. */
  async #renew() {
    const { count } = this.#connection;
    try {
      await this.#fetchToken();
    } catch {
      return; // the connection goes on as long as its token is valid
    }
    // If the connection was replaced meanwhile, its successor has a token of its own.
    if (count === this.#connection.count && this.#connection.phase === "open") this.#sendToken(this.#token);
  }

  #authenticated() {
    this.#ready = true;
    this.#channels.retry();
    this.#schedule();
  }

  #failed(fault) {
    const ofToken = fault.id !== undefined && fault.id === this.#authId;
    if (ofToken && fault.code === "auth_disabled") {
      this.#authenticated();
      return;
    }
    const failed = this.#channels.failed(fault, this.#authId);
    if (fault.code === "rate_limited") this.#pace.empty(Date.now());
    const listed = fault.code !== "more_errors"; // each of the others is asked for again, and then listed
    const news = failed.filter((channel) => listed && this.#channels.refuse(channel, fault));
    if (listed && (news.length > 0 || failed.length === 0)) this.#emit("error", fault);
    for (const channel of failed) this.#retryLater(channel);
    if (ofToken && fault.channel === undefined && !this.#ready) this.#connection.drop(fault.message);
    else this.#schedule();
  }

  /** Ask again for a channel that was refused, as long as the connection lives. */
  #retryLater(channel) {
    const { count } = this.#connection;
    const wait = delay(channel.refusals, FIRST_RETRY_MS, LAST_RETRY_MS);
    channel.refusals += 1;
    setTimeout(() => {
      if (count !== this.#connection.count) return;
      this.#channels.retry(channel.name);
      this.#schedule();
    }, wait);
  }

  // Requests to the gateway.

  /** Send what is due, once the page's own code has run. */
  #schedule() {
    this.#updateState();
    if (this.#scheduled || !this.#ready) return;
    this.#scheduled = true;
    const send = () => this.#sendRequests();
    const wait = this.#pace.wait(Date.now());
    if (wait > 0) this.#timer = setTimeout(send, wait);
    else queueMicrotask(send);
  }

  #sendRequests() {
    this.#scheduled = false;
    if (!this.#ready) return;
    for (const request of this.#channels.requests(this.#limits)) {
      if (this.#pace.wait(Date.now()) > 0) return this.#schedule();
      request.id = ++this.#id;
      this.#pace.sent(Date.now());
      this.#channels.sent(request);
      this.#connection.send(request);
    }
    this.#updateState();
    return undefined;
  }
}
