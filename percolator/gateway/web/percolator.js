/**
 * The browser client of a percolator gateway. No dependencies; types in percolator.d.ts.
 *
 *     import { connect } from "https://gateway.example/percolator.js";
 *     const feed = connect();
 *     feed.on("state", (state) => console.log(state.name));
 *     feed.subscribe(["price:SOL", "trades:SOL"], (message) => console.log(message));
 *
 * It reconnects by itself and resumes where it stopped: every trade and funding rate reaches the
 * page once and in order, or a message of type "gap" stands in the place of what is missing.
 *
 * Here is what the feed asks of the gateway and what it makes of the answers; the connection
 * lives in percolator/line.js, and what counts as lost or double in percolator/channel.js.
 *
 * @typedef {import("./percolator.d.ts").Token} Token
 */

import { Channel, channelOf } from "./percolator/channel.js";
import { Line } from "./percolator/line.js";
import { call, Subscription } from "./percolator/subscription.js";

const MESSAGE_CHARS = 3_000; // the gateway takes 4,096 bytes a message,
const MESSAGES_AT_ONCE = 8; // twenty of them at once,
const MESSAGE_MS = 125; // and ten a second
const LIMITED_MS = 1_000;

/**
 * Connect to a gateway; without an address, to the one that this file came from.
 *
 * @param {string | URL} [url] http, https, ws or wss
 * @param {{token?: Token}} [options]
 */
export function connect(url = "ws", options = {}) {
  return new Feed(url, options);
}

class Feed {
  #line;
  #token;
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  #listeners = { state: new Set(), error: new Set() };
  #ready = false; // greeted, and authenticated where there is a token
  #epoch = "";
  #seq = 0; // the highest seen on this connection
  #asked = new Set(); // names that the gateway was asked for on this connection
  #id = 0;
  #login = 0; // id of the auth message
  #planned = false;
  #paced = 0; // when the next requests may go out

  constructor(url, { token } = {}) {
    const address = new URL(url, import.meta.url);
    address.protocol = address.protocol.replace(/^http/, "ws");
    this.#token = token;
    this.#line = new Line(address.href, {
      received: (message) => this.#received(message),
      lost: () => this.#lost(),
      changed: (state) => this.#emit("state", state),
      unreadable: () => this.#emit("error", { code: "unreadable", message: "no JSON came in" }),
    });
    this.#line.open();
  }

  get state() {
    return this.#line.state;
  }

  get heardAt() {
    return this.#line.heardAt;
  }

  on(name, listener) {
    this.#listeners[name].add(listener);
    if (name === "state") call(listener, this.state);
    return () => this.#listeners[name].delete(listener);
  }

  subscribe(channels, listener, { recent = 0 } = {}) {
    if (this.state.name === "closed") throw new Error("this feed is closed: connect again");
    const names = [...new Set([channels].flat())];
    const known = names.map((name) => this.#channels.get(name) ?? new Channel(name, recent));
    const subscription = new Subscription(names, listener, (left) => this.#leave(left));
    for (const channel of known) {
      this.#channels.set(channel.name, channel);
      channel.subscriptions.add(subscription);
      const { latest } = channel;
      if (latest && latest.type !== "trade") {
        queueMicrotask(() => subscription.push({ ...latest, snapshot: true }));
      }
    }
    this.#plan();
    return subscription;
  }

  authenticate(token) {
    this.#token = token;
    if (this.#line.greeted) this.#authenticate();
    else this.#line.open();
  }

  close() {
    for (const { subscriptions } of [...this.#channels.values()]) {
      for (const subscription of [...subscriptions]) subscription.unsubscribe();
    }
    this.#ready = false;
    this.#line.close();
  }

  #leave(subscription) {
    for (const name of subscription.channels) {
      const channel = this.#channels.get(name);
      channel.subscriptions.delete(subscription);
      if (channel.subscriptions.size === 0) this.#channels.delete(name);
    }
    this.#plan();
  }

  #emit(name, value) {
    const listeners = [...this.#listeners[name]];
    if (name === "error" && listeners.length === 0) console.warn("percolator:", value.message);
    for (const listener of listeners) call(listener, value);
  }

  // What comes in.

  #received(message) {
    switch (message.type) {
      case "price":
      case "trade":
      case "funding":
        if (message.seq > this.#seq) this.#seq = message.seq;
        return this.#deliver(message, (channel) => channel.take(message, this.#epoch));
      case "gap":
        this.#replaced(message);
        return this.#deliver(message, (channel) => channel.skip(message, this.#epoch));
      case "connected":
        return this.#greeted(message);
      case "subscribed":
        return this.#subscribed(message);
      case "unsubscribed":
      case "pong":
        return this.#line.served();
      case "authenticated":
        return this.#authenticated();
      case "error":
        return this.#failed(message);
      case "closing":
        return this.#line.announce(message.reconnectInMs);
      default:
        return undefined; // a later gateway may say more
    }
  }

  #deliver(message, judge) {
    const channel = this.#channels.get(channelOf(message));
    if (channel?.status !== "live") return;
    for (const judged of judge(channel)) {
      for (const subscription of [...channel.subscriptions]) subscription.push(judged);
    }
  }

  /** Another stream: a channel that is subscribed from here on is resumed by its seqs. */
  #replaced({ epoch, to }) {
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
    this.#plan();
    if (this.#channels.size === 0) this.#line.live();
  }

  #lost() {
    this.#ready = false;
    this.#asked.clear();
    for (const channel of this.#channels.values()) channel.lost();
  }

  async #authenticate() {
    const { count } = this.#line;
    let token = this.#token;
    let fault = null;
    try {
      if (typeof token === "function") token = await token();
    } catch (error) {
      fault = { code: "token", message: `the page gives no token: ${error}` };
    }
    if (count !== this.#line.count || !this.#line.greeted) return; // another one will ask again
    if (fault === null) {
      this.#login = ++this.#id;
      this.#line.send({ type: "auth", token, id: this.#login });
    } else {
      this.#emit("error", fault);
      this.#line.drop(fault.message);
    }
  }

  #authenticated() {
    for (const channel of this.#channels.values()) {
      const withdrawn = channel.request === this.#login; // the new token does not cover it
      if (channel.status === "refused" && !withdrawn) channel.status = "wanted";
    }
    this.#ready = true;
    this.#plan();
    this.#line.live(); // no proof of service: what is wanted may still be refused
  }

  #subscribed({ channels, id }) {
    for (const name of channels) {
      const channel = this.#channels.get(name);
      if (channel?.request === id) channel.opened(this.#seq, this.#epoch);
    }
    this.#line.served();
  }

  #failed(fault) {
    const limited = fault.code === "rate_limited";
    const ofToken = fault.id !== undefined && fault.id === this.#login;
    for (const channel of this.#channels.values()) {
      const meant = fault.channel === undefined || fault.channel === channel.name;
      const asked = channel.status === "asked" && channel.request === fault.id && meant;
      if (!asked && !(ofToken && fault.channel === channel.name)) continue;
      Object.assign(channel, { status: limited ? "wanted" : "refused", request: fault.id });
      this.#asked.delete(channel.name);
    }
    this.#emit("error", fault);
    if (limited) {
      this.#paced = Date.now() + LIMITED_MS;
      this.#plan();
    } else if (ofToken && !this.#ready) {
      this.#line.drop(fault.message);
    }
  }

  // What goes out: what the gateway follows is brought to what is wanted.

  #plan() {
    if (this.#planned || !this.#ready) return;
    this.#planned = true;
    const wait = this.#paced - Date.now();
    if (wait > 0) setTimeout(() => this.#follow(), wait);
    else queueMicrotask(() => this.#follow());
  }

  #follow() {
    this.#planned = false;
    if (!this.#ready) return;
    const requests = [...this.#unsubscribes(), ...this.#subscribes()];
    const now = requests.slice(0, MESSAGES_AT_ONCE);
    for (const request of now) {
      request.id = ++this.#id;
      this.#line.send(request);
      for (const name of request.channels) this.#note(request, name);
    }
    this.#paced = Date.now() + MESSAGE_MS * now.length;
    if (requests.length > now.length) this.#plan();
  }

  #note({ type, id }, name) {
    if (type === "unsubscribe") {
      this.#asked.delete(name);
    } else {
      this.#asked.add(name);
      Object.assign(this.#channels.get(name), { status: "asked", request: id });
    }
  }

  /** A channel that was left and taken up again is wanted anew: it is unsubscribed first. */
  #unsubscribes() {
    const left = [...this.#asked].filter((name) => {
      const channel = this.#channels.get(name);
      return channel === undefined || channel.status === "wanted";
    });
    return parts(left).map((channels) => ({ type: "unsubscribe", channels }));
  }

  /** Channels that are resumed go by the stream that they were read from, others by `recent`. */
  #subscribes() {
    const groups = new Map();
    for (const channel of this.#channels.values()) {
      if (channel.status !== "wanted") continue;
      const resumed = channel.lossless && channel.last !== null;
      const key = resumed ? channel.epoch : channel.recent;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(channel.name);
    }
    return [...groups].flatMap(([key, names]) =>
      parts(names).map((channels) => {
        const type = "subscribe";
        if (typeof key === "number") return { type, channels, recent: key || undefined };
        const since = channels.map((name) => [name, this.#channels.get(name).last]);
        return { type, channels, since: Object.fromEntries(since), epoch: key };
      }),
    );
  }
}

/** Cut a list of channels into parts that fit into a message, each named there up to twice. */
function parts(names) {
  const found = [];
  let room = 0;
  for (const name of names) {
    const size = 2 * name.length + 24;
    if (size > room) {
      found.push([]);
      room = MESSAGE_CHARS;
    }
    found.at(-1).push(name);
    room -= size;
  }
  return found;
}
