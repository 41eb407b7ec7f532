/**
 * Messages of the gateway, read and checked once, here: behind it, what the client itself computes
 * with has its type and range. The fields of an event are the page's: it gets them as they were
 * sent.
 */

import { kindOf } from "./kinds.js";

const MAX_WAIT_MS = 60_000; // a closing gateway cannot ask for more
const CHANNEL = /^[a-z]+:[A-Za-z0-9_-]{1,64}$/;
const SLAB = /^[A-Za-z0-9_-]{1,64}$/;

const isText = (value) => typeof value === "string";
const isSeq = (value) => Number.isSafeInteger(value) && value >= 0;
const isSlab = (value) => isText(value) && SLAB.test(value);
const isChannel = (value) => isText(value) && CHANNEL.test(value);
const optional = (isValid) => (value) => value === undefined || isValid(value);

const EVENT = { slab: isSlab, seq: isSeq, prev: (value) => value === null || optional(isSeq)(value) };
const RULES = new Map(
  Object.entries({
    connected: { epoch: isText, seq: isSeq },
    subscribed: { channels: (value) => Array.isArray(value) && value.every(isText) },
    gap: { channel: isChannel, from: isSeq, to: isSeq, epoch: optional(isText) },
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
  if (typeof message !== "object" || !isText(message?.type)) {
    throw new TypeError("an invalid message: no object with a type");
  }
  const rules = kindOf(message) ? EVENT : (RULES.get(message.type) ?? {});
  for (const [field, isValid] of Object.entries(rules)) {
    if (!isValid(message[field])) {
      throw new TypeError(`an invalid message: ${message.type} with an invalid ${field}`);
    }
  }
  return message;
}

/** The wait that a closing gateway asks for, within bounds; null if it is not a finite number. */
export function waitOf(milliseconds) {
  return Number.isFinite(milliseconds) ? Math.min(Math.max(milliseconds, 0), MAX_WAIT_MS) : null;
}
