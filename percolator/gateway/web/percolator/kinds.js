/**
 * The kinds of events: one table, which every other file asks. Its rows are written out of the
 * gateway's own, model/kinds.py; a new kind is one more interface in percolator.d.ts.
 *
 * - `type`: the `type` of its messages
 * - `prefix`: how its channels begin: `trades` in `trades:SOL`
 * - `lossless`: every event arrives, chained by `prev`; otherwise the latest value wins
 * - `snapshot`: a new subscriber gets the newest event at once
 *
 * @typedef {{type: string, prefix: string, lossless: boolean, snapshot: boolean}} Kind
 * @typedef {import("../percolator.d.ts").Message} Message
 */

/** @type {readonly Kind[]} */
export const KINDS = [
  // kinds browser: written by python -m tests.docs.derived
  { type: "price", prefix: "price", lossless: false, snapshot: true },
  { type: "trade", prefix: "trades", lossless: true, snapshot: false },
  { type: "funding", prefix: "funding", lossless: true, snapshot: true },
  { type: "liquidation", prefix: "liquidations", lossless: true, snapshot: false },
  { type: "market", prefix: "market", lossless: false, snapshot: true },
  // end of kinds
];

const BY_TYPE = new Map(KINDS.map((kind) => [kind.type, kind]));
const BY_PREFIX = new Map(KINDS.map((kind) => [kind.prefix, kind]));
const CHANNEL = /^([a-z]+):(?:\*|[A-Za-z0-9_-]{1,64})$/;
const FORMS = KINDS.map(({ prefix }) => `${prefix}:SLAB`);

/** The kind of an event; undefined for every other message. @returns {Kind | undefined} */
export function kindOf(message) {
  return BY_TYPE.get(message.type);
}

/** The channel that a message belongs to. @param {Message} message */
export function channelOf(message) {
  return message.channel ?? `${kindOf(message).prefix}:${message.slab}`;
}

/** The channel of all markets of a channel's kind: `trades:*` for `trades:SOL`. */
export function wildcardOf(name) {
  return `${name.slice(0, name.indexOf(":"))}:*`;
}

/** True if a value is a channel's name, also of a kind that this version does not know. */
export function isChannel(value) {
  return typeof value === "string" && CHANNEL.test(value);
}

/** The kind of a channel's events. Throws a TypeError for an invalid name. @returns {Kind} */
export function kindOfChannel(name) {
  const kind = BY_PREFIX.get(CHANNEL.exec(name)?.[1]);
  if (kind) return kind;
  const forms = `${FORMS.slice(0, -1).join(", ")} or ${FORMS.at(-1)}`;
  throw new TypeError(`not a channel: ${name}; use ${forms}, or * for all markets`);
}
