/**
 * Messages of the gateway, read and checked once, here: behind it, what the client itself computes
 * with has its type and range. The fields of an event are the page's: it gets them as they were
 * sent.
 */

import { isChannel, kindOf } from "./kinds.js";

const MAX_WAIT_MS = 60_000; // a closing gateway cannot ask for more
const SLAB = /^[A-Za-z0-9_-]{1,64}$/;
/** What an older gateway, whose greeting has no limits, accepts. */
const LIMITS = { messageBytes: 4_096, messagesPerSecond: 10, messageBurst: 20, channels: 50, replay: 10_000 };

const isText = (value) => typeof value === "string";
const isObject = (value) => typeof value === "object" && value !== null;
const isSeq = (value) => Number.isSafeInteger(value) && value >= 0;
const isAmount = (value) => Number.isFinite(value) && value >= 0;
const isSlab = (value) => isText(value) && SLAB.test(value);
const isTexts = (value) => Array.isArray(value) && value.every(isText);
const isLimits = (value) => isObject(value) && Object.keys(LIMITS).every((name) => optional(isAmount)(value[name]));
const isFeed = (value) => isObject(value) && (value.state === "live" || (value.state === "stale" && isAmount(value.since)));
const isPrev = (value, { seq }) => value === null || value === undefined || (isSeq(value) && value < seq);
const optional = (isValid) => (value) => value === undefined || isValid(value);

const EVENT = { slab: isSlab, seq: isSeq, prev: isPrev };
const RULES = new Map(
  Object.entries({
    connected: { epoch: isText, seq: isSeq, limits: optional(isLimits), feed: optional(isFeed) },
    subscribed: { channels: isTexts, unknown: optional(isTexts) },
    gap: { channel: isChannel, from: isSeq, to: isSeq, epoch: optional(isText) },
    heartbeat: { seq: isSeq },
    feed: { state: (_, message) => isFeed(message) },
    error: { code: isText, message: isText, channel: optional(isText) },
  }),
);

/** Read a message. Throws a TypeError that says what is wrong with it. */
export function read(data) {
  let message;
  try {
    message = JSON.parse(data);
  } catch {
    throw new TypeError("invalid JSON");
  }
  if (!isObject(message) || !isText(message.type)) {
    throw new TypeError("an invalid message: no object with a type");
  }
  const rules = kindOf(message) ? EVENT : (RULES.get(message.type) ?? {});
  for (const [field, isValid] of Object.entries(rules)) {
    if (!isValid(message[field], message)) {
      throw new TypeError(`an invalid message: ${message.type} with an invalid ${field}`);
    }
  }
  return message;
}

/** The limits of a greeting; 0 means no limit. */
export function limitsOf({ limits }) {
  return { ...LIMITS, ...limits };
}

/** The wait that a closing gateway asks for, within bounds; null if it is not a finite number. */
export function waitOf(milliseconds) {
  return Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, 0), MAX_WAIT_MS) : null;
}
