/**
 * Which requests bring the gateway from what it was asked for to what the page wants.
 * Nothing in this file sends or waits.
 *
 * @typedef {import("./channel.js").Channel} Channel
 */

const MESSAGE_CHARS = 3_000; // the gateway accepts 4,096 bytes per message

/**
 * @param {Set<string>} requested names that were requested on this connection
 * @param {Map<string, Channel>} channels what the page wants
 */
export function requestsFor(requested, channels) {
  return [...unsubscribes(requested, channels), ...subscribes(channels)];
}

/** A channel that was left and subscribed to again starts over: it is unsubscribed first. */
function unsubscribes(requested, channels) {
  const left = [...requested].filter((name) => {
    const channel = channels.get(name);
    return channel === undefined || channel.status === "pending";
  });
  return parts(left).map((names) => ({ type: "unsubscribe", channels: names }));
}

/** Resumed channels are grouped by the epoch that they were read in, the others by `recent`. */
function subscribes(channels) {
  const groups = new Map();
  for (const channel of channels.values()) {
    if (channel.status !== "pending") continue;
    const resumed = channel.kind.lossless && channel.lastSeq !== null;
    const key = resumed ? channel.epoch : channel.recent;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(channel.name);
  }
  return [...groups].flatMap(([key, group]) =>
    parts(group).map((names) => {
      const request = { type: "subscribe", channels: names };
      if (typeof key === "number") return { ...request, recent: key || undefined };
      const since = names.map((name) => [name, channels.get(name).lastSeq]);
      return { ...request, since: Object.fromEntries(since), epoch: key };
    }),
  );
}

/** Split names into parts that fit into one message each; a message may name a channel twice. */
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
