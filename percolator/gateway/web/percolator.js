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
 * This file sends requests and handles the answers. percolator/connection.js keeps the connection,
 * percolator/channel.js finds missed and duplicate events, percolator/requests.js says what to
 * request, percolator/messages.js checks what arrives, and percolator/kinds.js lists the kinds of
 * events.
 *
 * @typedef {import("./percolator.d.ts").Token} Token
 */

import { Channel } from "./percolator/channel.js";
import { Connection } from "./percolator/connection.js";
import { channelOf, kindOf } from "./percolator/kinds.js";
import { requestsFor } from "./percolator/requests.js";
import { call, Subscription } from "./percolator/subscription.js";

const REQUESTS_AT_ONCE = 8; // the gateway accepts a burst of twenty,
const REQUEST_MS = 125; // and ten per second
const LIMITED_MS = 1_000;

/**
 * Connect to a gateway; without an address, to the one that served this file.
 *
 * @param {string | URL} [url] http, https, ws or wss
 * @param {{token?: Token}} [options]
 */
export function connect(url = "ws", options = {}) {
  return new Feed(url, options);
}

class Feed {
  #connection;
  #token;
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  #listeners = { state: new Set(), error: new Set() };
  #ready = false; // greeted, and authenticated if there is a token
  #epoch = "";
  #seq = 0; // the highest seq on this connection
  #requested = new Set(); // names of channels that were requested on this connection
  #id = 0;
  #authId = 0; // id of the latest auth message
  #scheduled = false;
  #nextRequestAt = 0;

  constructor(url, { token } = {}) {
    const address = new URL(url, import.meta.url);
    address.protocol = address.protocol.replace(/^http/, "ws");
    this.#token = token;
    this.#connection = new Connection(address.href, {
      received: (message) => this.#received(message),
      disconnected: () => this.#disconnected(),
      stateChanged: (state) => this.#emit("state", state),
      invalidMessage: (why) =>
        this.#emit("error", { code: "unreadable", message: `the gateway sent ${why}` }),
    });
    this.#connection.open();
  }

  get state() {
    return this.#connection.state;
  }

  get heardAt() {
    return this.#connection.heardAt;
  }

  on(name, listener) {
    this.#listeners[name].add(listener);
    if (name === "state") call(listener, this.state);
    return () => this.#listeners[name].delete(listener);
  }

  subscribe(channels, listener, { recent = 0 } = {}) {
    if (this.state.name === "closed") throw new Error("the feed is closed: call connect() again");
    const names = [...new Set([channels].flat())];
    const known = names.map((name) => this.#channels.get(name) ?? new Channel(name, recent));
    const subscription = new Subscription(names, listener, (ended) => this.#remove(ended));
    for (const channel of known) {
      this.#channels.set(channel.name, channel);
      channel.subscriptions.add(subscription);
      const { latest } = channel;
      if (latest && channel.kind.snapshot) {
        queueMicrotask(() => subscription.push({ ...latest, snapshot: true }));
      }
    }
    this.#schedule();
    return subscription;
  }

  authenticate(token) {
    this.#token = token;
    if (this.#connection.greeted) this.#authenticate();
    else this.#connection.open();
  }

  close() {
    for (const { subscriptions } of [...this.#channels.values()]) {
      for (const subscription of [...subscriptions]) subscription.unsubscribe();
    }
    this.#ready = false;
    this.#connection.close();
  }

  #remove(subscription) {
    for (const name of subscription.channels) {
      const channel = this.#channels.get(name);
      channel.subscriptions.delete(subscription);
      if (channel.subscriptions.size === 0) this.#channels.delete(name);
    }
    this.#schedule();
  }

  #emit(name, value) {
    const listeners = [...this.#listeners[name]];
    if (name === "error" && listeners.length === 0) console.warn("percolator:", value.message);
    for (const listener of listeners) call(listener, value);
  }

  // Messages from the gateway.

  #received(message) {
    if (kindOf(message)) {
      if (message.seq > this.#seq) this.#seq = message.seq;
      return this.#deliver(message, (channel) => channel.accept(message, this.#epoch));
    }
    switch (message.type) {
      case "gap":
        this.#followEpoch(message);
        return this.#deliver(message, (channel) => channel.skip(message, this.#epoch));
      case "connected":
        return this.#greeted(message);
      case "subscribed":
        return this.#subscribed(message);
      case "unsubscribed":
      case "pong":
        return this.#connection.confirm();
      case "authenticated":
        return this.#authenticated();
      case "error":
        return this.#failed(message);
      case "closing":
        return this.#connection.announce(message.reconnectInMs);
      default:
        return undefined; // a later gateway may send other types
    }
  }

  #deliver(message, judge) {
    const channel = this.#channels.get(channelOf(message));
    if (channel?.status !== "live") return;
    for (const accepted of judge(channel)) {
      for (const subscription of [...channel.subscriptions]) subscription.push(accepted);
    }
  }

  /** The stream was replaced: later subscriptions resume by the new stream's seqs. */
  #followEpoch({ epoch, to }) {
    if (epoch === undefined || epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#seq = to - 1;
  }

  #greeted({ epoch, seq }) {
    this.#epoch = epoch;
    this.#seq = seq;
    if (this.#token !== undefined) {
      this.#authenticate();
      return;
    }
    this.#ready = true;
    this.#schedule();
    if (this.#channels.size === 0) this.#connection.markLive();
  }

  #disconnected() {
    this.#ready = false;
    this.#requested.clear();
    for (const channel of this.#channels.values()) channel.disconnected();
  }

  async #authenticate() {
    const { count } = this.#connection;
    let token = this.#token;
    let fault = null;
    try {
      if (typeof token === "function") token = await token();
    } catch (error) {
      fault = { code: "token", message: `the page's token function failed: ${error}` };
    }
    // If the connection was replaced meanwhile, its successor asks for a token itself.
    if (count !== this.#connection.count || !this.#connection.greeted) return;
    if (fault === null) {
      this.#authId = ++this.#id;
      this.#connection.send({ type: "auth", token, id: this.#authId });
    } else {
      this.#emit("error", fault);
      this.#connection.drop(fault.message);
    }
  }

  #authenticated() {
    for (const channel of this.#channels.values()) {
      const withdrawn = channel.requestId === this.#authId; // the new token does not cover it
      if (channel.status === "refused" && !withdrawn) channel.status = "pending";
    }
    this.#ready = true;
    this.#schedule();
    this.#connection.markLive(); // and not confirm(): the requests may still be refused
  }

  #subscribed({ channels, id }) {
    for (const name of channels) {
      const channel = this.#channels.get(name);
      if (channel?.requestId === id) channel.subscribed(this.#seq, this.#epoch);
    }
    this.#connection.confirm();
  }

  #failed(fault) {
    if (fault.code === "auth_disabled") {
      this.#authenticated();
      return;
    }
    const limited = fault.code === "rate_limited";
    const ofToken = fault.id !== undefined && fault.id === this.#authId;
    for (const channel of this.#channels.values()) {
      const meant = fault.channel === undefined || fault.channel === channel.name;
      const open = channel.status === "requested" && channel.requestId === fault.id;
      if (!(open && meant) && !(ofToken && fault.channel === channel.name)) continue;
      Object.assign(channel, { status: limited ? "pending" : "refused", requestId: fault.id });
      this.#requested.delete(channel.name);
    }
    this.#emit("error", fault);
    if (limited) {
      this.#nextRequestAt = Date.now() + LIMITED_MS;
      this.#schedule();
    } else if (ofToken && !this.#ready) {
      this.#connection.drop(fault.message);
    }
  }

  // Requests to the gateway.

  #schedule() {
    if (this.#scheduled || !this.#ready) return;
    this.#scheduled = true;
    const wait = this.#nextRequestAt - Date.now();
    if (wait > 0) setTimeout(() => this.#sendRequests(), wait);
    else queueMicrotask(() => this.#sendRequests());
  }

  #sendRequests() {
    this.#scheduled = false;
    if (!this.#ready) return;
    const requests = requestsFor(this.#requested, this.#channels);
    const now = requests.slice(0, REQUESTS_AT_ONCE);
    for (const request of now) {
      request.id = ++this.#id;
      this.#connection.send(request);
      for (const name of request.channels) this.#record(request, name);
    }
    this.#nextRequestAt = Date.now() + REQUEST_MS * now.length;
    if (requests.length > now.length) this.#schedule();
  }

  #record({ type, id }, name) {
    if (type === "unsubscribe") {
      this.#requested.delete(name);
    } else {
      this.#requested.add(name);
      Object.assign(this.#channels.get(name), { status: "requested", requestId: id });
    }
  }
}
