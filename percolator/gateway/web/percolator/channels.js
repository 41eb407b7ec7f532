/**
 * What the page follows, and what the gateway has been asked for on this connection: channels,
 * their subscriptions, and who gets which message. Nothing in this file sends or waits.
 *
 * @typedef {import("../percolator.d.ts").Bookmark} Bookmark
 * @typedef {import("./subscription.js").Subscription} Subscription
 */

import { Channel, startOf } from "./channel.js";
import { channelOf, kindOf, wildcardOf } from "./kinds.js";
import { requestsFor } from "./requests.js";

export class Channels {
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  #requested = new Set(); // names of channels that were requested on this connection
  /** @type {Map<string, object>} The latest event by channel, of the kinds with snapshots. */
  #latest = new Map();
  #epoch = "";
  #seq = 0; // the highest seq on this connection

  get size() {
    return this.#channels.size;
  }

  /** Names of the channels that are not in force, and those of them that were refused. */
  get missing() {
    const missing = [...this.#channels.values()].filter((each) => each.status !== "live");
    return missing.map(({ name, status }) => ({ name, refused: status === "refused" }));
  }

  /** @returns {Subscription[]} */
  get subscriptions() {
    return [...new Set([...this.#channels.values()].flatMap((each) => [...each.subscriptions]))];
  }

  // What the page asks for.

  /** @param {Subscription} subscription */
  add(subscription) {
    for (const name of subscription.channels) {
      const channel = this.#channels.get(name) ?? new Channel(name);
      this.#channels.set(name, channel);
      channel.subscriptions.add(subscription);
      if (!subscription.fresh && channel.kind.lossless) {
        this.#startAgain(channel);
      } else if (channel.status !== "pending") {
        subscription.positions.requested(name, 0); // the request that was sent is all that it wants
        if (channel.status === "live") subscription.positions.begin(name, this.#seq, this.#epoch);
      }
    }
    queueMicrotask(() => this.#showLatest(subscription));
  }

  /** @param {Subscription} subscription */
  remove(subscription) {
    for (const name of subscription.channels) {
      const channel = this.#channels.get(name);
      channel.subscriptions.delete(subscription);
      if (channel.subscriptions.size === 0) this.#channels.delete(name);
    }
    for (const name of this.#latest.keys()) {
      if (this.#readersOf(name).length === 0) this.#latest.delete(name);
    }
  }

  /** @returns {Bookmark} */
  bookmark() {
    const found = {};
    for (const [name, position] of this.subscriptions.flatMap((each) => each.bookmarks())) {
      const other = (found[name] ??= position);
      const same = other.epoch === position.epoch;
      if (same ? position.seq < other.seq : other.epoch === this.#epoch) found[name] = position;
    }
    return found;
  }

  /** Show a new listener the latest values at once, unless it asks for the events themselves. */
  #showLatest(subscription) {
    for (const [name, event] of this.#latest) {
      if (!this.#readersOf(name).includes(subscription) || !this.#isLive(name)) continue;
      if (!subscription.fresh && kindOf(event).lossless) continue;
      const snapshot = { ...event, snapshot: true };
      for (const accepted of subscription.positions.accept(snapshot, name, this.#epoch)) {
        subscription.push(accepted);
      }
    }
  }

  /** Past events are asked for with every channel that has the same markets, so that none is cut. */
  #startAgain({ name, all }) {
    for (const channel of this.#channels.values()) {
      const same = channel.name === name || channel.name === wildcardOf(name);
      channel.again ||= same || (all && wildcardOf(channel.name) === name);
    }
  }

  // What the gateway sends.

  greeted({ epoch, seq }) {
    this.#epoch = epoch;
    this.#seq = seq;
  }

  disconnected() {
    this.#requested.clear();
    for (const channel of this.#channels.values()) {
      Object.assign(channel, { status: "pending", again: false, shared: false });
      for (const { positions } of channel.subscriptions) positions.anchor(channel.name);
    }
  }

  event(message) {
    message.epoch = this.#epoch;
    if (message.seq > this.#seq) this.#seq = message.seq;
    const name = channelOf(message);
    if (!this.#isLive(name)) return false;
    if (kindOf(message).snapshot) this.#latest.set(name, message);
    if (this.#hasHole(name, message)) return true;
    for (const subscription of this.#readersOf(name)) {
      for (const accepted of subscription.positions.accept(message, name, this.#epoch)) {
        subscription.push(accepted);
      }
    }
    return false;
  }

  gap(message) {
    if (message.epoch !== undefined && message.epoch !== this.#epoch) {
      this.#epoch = message.epoch; // the stream was replaced, and seqs start again
      this.#seq = message.to - 1;
    }
    const shared = this.#sharedWith(message.channel);
    for (const name of [message.channel, ...shared]) {
      if (!this.#isLive(name)) continue;
      for (const subscription of this.#readersOf(name)) {
        if (name !== message.channel && subscription.channels.includes(message.channel)) continue;
        for (const gap of subscription.positions.skip(message, name, this.#epoch)) subscription.push(gap);
      }
    }
  }

  heartbeat({ seq }) {
    this.#seq = Math.max(this.#seq, seq);
    for (const channel of this.#channels.values()) {
      if (channel.status !== "live") continue;
      for (const { positions } of channel.subscriptions) {
        positions.reader(channel.name).heard(seq, this.#epoch);
      }
    }
  }

  /** The gateway has accepted channels. Returns those that it knows no event of, if that is new. */
  subscribed({ channels, id, unknown = [] }) {
    const news = [];
    for (const name of channels) {
      const channel = this.#channels.get(name);
      if (channel?.requestId !== id) continue;
      const shared = !channel.all && this.#channels.get(wildcardOf(name))?.status === "live";
      Object.assign(channel, { status: "live", shared, refusal: null, refusals: 0 });
      this.#begin(channel);
      const isUnknown = unknown.includes(name);
      if (isUnknown && !channel.unknown) news.push(name);
      channel.unknown = isUnknown;
    }
    return news;
  }

  /** New readers begin; those that want more past events than were asked for ask again. */
  #begin(channel) {
    const readers = this.#readersOf(channel.name).map(({ positions }) => positions);
    const begun = readers.map((positions) => positions.begin(channel.name, this.#seq, this.#epoch));
    if (begun.includes(false)) this.#startAgain(channel);
  }

  /**
   * A request or one channel of it failed. Returns the channels that were refused.
   *
   * @param {number | undefined} authId id of the latest token, which withdraws what it does not cover
   */
  failed({ id, channel: named, code }, authId) {
    const found = [...this.#channels.values()].filter((channel) => {
      const open = channel.status === "requested" && channel.requestId === id;
      const withdrawn = id !== undefined && id === authId && named === channel.name;
      return withdrawn || (open && (named === undefined || named === channel.name));
    });
    for (const channel of found) {
      channel.status = code === "rate_limited" ? "pending" : "refused";
      this.#requested.delete(channel.name);
    }
    return code === "rate_limited" ? [] : found;
  }

  /** Report a refusal to the listeners, unless they know. Returns whether it is new. */
  refuse(channel, { code, message }) {
    if (channel.refusal === code) return false;
    channel.refusal = code;
    this.#tell(channel, { type: "refused", channel: channel.name, code, message });
    return true;
  }

  /** Ask again for what was refused: one channel, or all of them. */
  retry(name) {
    for (const channel of name === undefined ? this.#channels.values() : [this.#channels.get(name)]) {
      if (channel?.status === "refused") channel.status = "pending";
    }
  }

  // What to ask the gateway for.

  requests(limits) {
    const start = ({ name }) =>
      startOf(this.#readersOf(name).map(({ positions }) => positions.reader(name)), this.#epoch);
    return requestsFor(this.#requested, this.#channels, start, limits);
  }

  /** Record a request that is being sent. */
  sent({ type, id, channels, recent = 0 }) {
    for (const name of channels) {
      const channel = this.#channels.get(name);
      if (type === "unsubscribe") {
        this.#requested.delete(name);
        if (channel) channel.status = "pending";
        continue;
      }
      this.#requested.add(name);
      Object.assign(channel, { status: "requested", requestId: id, recent, again: false });
      for (const { positions } of this.#readersOf(name)) positions.requested(name, recent);
    }
  }

  #tell(channel, message) {
    for (const subscription of [...channel.subscriptions]) subscription.push(message);
  }

  /** A channel, and the one of all markets. @returns {Channel[]} */
  #reading(name) {
    return [...new Set([name, wildcardOf(name)])].flatMap((each) => this.#channels.get(each) ?? []);
  }

  /** @returns {Subscription[]} */
  #readersOf(name) {
    return [...new Set(this.#reading(name).flatMap((each) => [...each.subscriptions]))];
  }

  #isLive(name) {
    return this.#reading(name).some((channel) => channel.status === "live");
  }

  /** The markets that a gap of all markets concerns although they have channels of their own. */
  #sharedWith(name) {
    const markets = [...this.#channels.values()].filter((each) => each.shared);
    return markets.map((each) => each.name).filter((each) => wildcardOf(each) === name);
  }

  /**
   * Past events for a new listener may begin after the position of another one. Then nothing is
   * delivered, and the channel is asked for again, from that position on.
   */
  #hasHole(name, event) {
    const asked = this.#reading(name).filter((channel) => channel.status === "live" && channel.recent > 0);
    if (asked.length === 0) return false;
    const readers = this.#readersOf(name).map(({ positions }) => positions.reader(name));
    if (!readers.some((reader) => reader.lacks(event, this.#epoch))) return false;
    this.#startAgain(asked[0]);
    return true;
  }
}
