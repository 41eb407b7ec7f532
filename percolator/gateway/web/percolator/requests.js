/**
 * Which requests bring the gateway from what it was asked for to what the page wants.
 * Nothing in this file sends or waits.
 *
 * @typedef {import("./channel.js").Channel} Channel
 */

const OVERHEAD_CHARS = 120; // of a message without channels, with the longest id
const SEQ_CHARS = 16;
const NAMES = 50; // for more in one message, the gateway charges more than one message
const MAX_CHARS = 65_536; // if the gateway has no limit

/**
 * @param {Set<string>} requested names that were requested on this connection
 * @param {Map<string, Channel>} channels what the page wants
 * @param {(channel: Channel) => object} startOf where a channel starts, as in channel.js
 * @param {{messageBytes: number, channels: number}} limits
 */
export function requestsFor(requested, channels, startOf, limits) {
  const due = [...channels.values()].filter((channel) => channel.due);
  // A market first: with all markets in force, the gateway would begin it like the others.
  const [markets, all] = [due.filter((each) => !each.all), due.filter((each) => each.all)];
  return [
    ...unsubscribes(requested, channels, limits),
    ...subscribes(markets, startOf, limits),
    ...subscribes(all, startOf, limits),
  ];
}

/** A channel that starts over is unsubscribed first: the gateway goes on with one that it follows. */
function unsubscribes(requested, channels, limits) {
  const left = [...requested].filter((name) => channels.get(name)?.due ?? true);
  return parts(left, 0, limits).map((names) => ({ type: "unsubscribe", channels: names }));
}

/** Resumed channels are grouped by the epoch that they were read in, the others by `recent`. */
function subscribes(due, startOf, limits) {
  const groups = new Map();
  for (const channel of due) {
    const start = channel.kind.lossless ? startOf(channel) : { recent: 0 };
    const key = start.epoch ?? start.recent;
    if (!groups.has(key)) groups.set(key, new Map());
    groups.get(key).set(channel.name, start.seq);
  }
  return [...groups].flatMap(([key, seqs]) => {
    const resumed = typeof key === "string";
    return parts([...seqs.keys()], resumed ? key.length : 0, limits).map((names) => {
      const request = { type: "subscribe", channels: names };
      if (!resumed) return { ...request, recent: key || undefined };
      const since = names.map((name) => [name, seqs.get(name)]);
      return { ...request, since: Object.fromEntries(since), epoch: key };
    });
  });
}

/** Split names into parts that fit into one message each, in which each may be named twice. */
function parts(names, epochChars, { messageBytes, channels }) {
  const limit = Math.min(NAMES, channels || NAMES);
  const whole = (messageBytes || MAX_CHARS) - OVERHEAD_CHARS - 6 * epochChars; // if it is escaped
  const found = [];
  let room = 0;
  for (const name of names) {
    const size = 2 * (name.length + "\"\",".length) + SEQ_CHARS;
    if (found.length === 0 || size > room || found.at(-1).length === limit) {
      found.push([]);
      room = whole;
    }
    found.at(-1).push(name);
    room -= size;
  }
  return found;
}
