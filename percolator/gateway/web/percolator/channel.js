/**
 * One channel, as the gateway knows it: whether it was requested, and what for.
 * Nothing in this file sends or waits.
 *
 * @typedef {import("./reader.js").Reader} Reader
 */

import { kindOfChannel } from "./kinds.js";

export class Channel {
  subscriptions = new Set();
  /** @type {"pending" | "requested" | "live" | "refused"} */
  status = "pending";
  /** Request it again, although it is live: a new listener asks for past events. */
  again = false;
  /** Id of the latest request for this channel. */
  requestId = 0;
  /** Past events that the latest request asked for. */
  recent = 0;
  /** The gateway has accepted it as part of all markets, and goes on with those. */
  shared = false;
  /** The gateway knows of no event. */
  unknown = false;
  /** The error code of the last refusal; null once it is accepted. */
  refusal = null;
  refusals = 0;

  /** @param {string} name */
  constructor(name) {
    this.kind = kindOfChannel(name);
    this.name = name;
    this.all = name.endsWith(":*");
  }

  get due() {
    return this.status === "pending" || (this.again && this.status === "live");
  }
}

/**
 * Where a channel starts, given all of its readers: at the position that is furthest back, or with
 * as many past events as the most modest of the new readers wants. The others ask after that.
 *
 * @param {Reader[]} readers
 * @param {string} epoch of the connection
 * @returns {{epoch: string, seq: number} | {recent: number}}
 */
export function startOf(readers, epoch) {
  const positions = readers.map((reader) => reader.position).filter((each) => each !== null);
  const replaced = positions.find((position) => position.epoch !== epoch);
  if (replaced) return replaced;
  const wanted = readers.filter((each) => each.position === null && each.recent > 0).map((each) => each.recent);
  if (wanted.length > 0) return { recent: Math.min(...wanted) };
  if (positions.length === 0) return { recent: 0 };
  return positions.reduce((a, b) => (b.seq < a.seq ? b : a));
}
