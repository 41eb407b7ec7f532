/**
 * How far one subscription has read each of its channels. A channel of all markets has a reader of
 * its own, for where to resume, and one for each market that has had an event.
 *
 * @typedef {import("../percolator.d.ts").Bookmark} Bookmark
 */

import { wildcardOf } from "./kinds.js";
import { Reader } from "./reader.js";

export class Positions {
  #names;
  /** @type {Map<string, Reader>} */
  #readers = new Map();

  /** @param {readonly string[]} names @param {number} recent @param {Bookmark} since */
  constructor(names, recent, since) {
    this.#names = new Set(names);
    for (const name of names) {
      const reader = new Reader(name, recent);
      const position = since[name] ?? since[wildcardOf(name)];
      if (position !== undefined && reader.kind.lossless) reader.continue(checked(position, name));
      this.#readers.set(name, reader);
    }
  }

  /** The reader of a channel that is subscribed to, by its name or with all markets. */
  reader(name) {
    const own = this.#readers.get(name);
    const all = this.#all(name);
    if (own && !(own.waiting && all && !all.waiting)) return own;
    const reader = all.forMarket(name);
    this.#readers.set(name, reader);
    return reader;
  }

  accept(event, name, epoch) {
    const accepted = this.reader(name).accept(event, epoch);
    if (accepted.length > 0) this.#all(name)?.advance(event.seq, epoch);
    return accepted;
  }

  /** A gap of all markets is also one of each market that has no channel of its own. */
  skip(gap, name, epoch) {
    const reader = this.reader(name);
    const skipped = reader.skip(gap, epoch);
    for (const market of this.#markets(name)) market.skip(gap, epoch);
    // What other markets lack is not known from one: only their seqs are void.
    const all = this.#all(name);
    if (all?.position && all.position.epoch !== epoch) all.advance(gap.to - 1, epoch);
    return skipped;
  }

  /** Begin a channel that the gateway has accepted. Returns whether what was asked for covers it. */
  begin(name, seq, epoch) {
    for (const market of this.#markets(name)) market.begin(seq, epoch);
    return this.reader(name).begin(seq, epoch);
  }

  requested(name, recent) {
    for (const market of this.#markets(name)) market.requested(recent);
    this.reader(name).requested(recent);
  }

  anchor(name) {
    this.reader(name).anchor();
    for (const market of this.#markets(name)) market.anchor();
  }

  /** The readers of markets that a channel of all markets reads. */
  #markets(name) {
    if (!name.endsWith(":*")) return [];
    const markets = [...this.#readers.values()];
    return markets.filter((each) => wildcardOf(each.name) === name && !this.#names.has(each.name));
  }

  /** The reader of all markets of a market's kind, if they are subscribed to. */
  #all(name) {
    const all = wildcardOf(name);
    return all === name ? undefined : this.#readers.get(all);
  }
}

/** A position of a bookmark. Throws a TypeError if it is not valid. */
function checked(position, name) {
  const { epoch, seq } = position ?? {};
  if (typeof epoch === "string" && Number.isSafeInteger(seq) && seq >= 0) return { epoch, seq };
  throw new TypeError(`not a bookmark: ${name} needs an epoch and a seq`);
}
