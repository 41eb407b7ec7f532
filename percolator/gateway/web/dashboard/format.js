/** Numbers and times as text. A value of the wrong type becomes NONE, never an error. */

export const NONE = "–";

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const RATE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 });
const BY_DIGITS = [2, 4, 6, 8].map(
  (digits) =>
    new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const CLOCK = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const DAY_MS = 86_400_000;

/** A price in USD, with more decimals the smaller it is. */
export function price(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NONE;
  if (value >= 1e9 || value < 1e-6) return value.toExponential(4);
  const digits = value >= 1_000 ? 0 : value >= 1 ? 1 : value >= 0.01 ? 2 : 3;
  return BY_DIGITS[digits].format(value);
}

/** The change from one price to another, in percent and with its sign. */
export function change(from, to) {
  const part = ((to - from) / from) * 100;
  if (!Number.isFinite(part)) return NONE;
  return `${signed(part, Math.abs(part) < 99.5 ? 2 : 0)} %`;
}

/** A funding rate, given as a decimal string, in percent. */
export function rate(text) {
  const value = Number(text);
  if (typeof text !== "string" || !Number.isFinite(value)) return NONE;
  return `${signed(value * 100, 4)} %`;
}

/** A trade's size, given as a decimal string that may be too long for a number. */
export function size(text) {
  if (typeof text !== "string" || !/^\d+$/.test(text)) return NONE;
  if (text.length > 15) return `${text[0]}.${text.slice(1, 4)}e${text.length - 1}`;
  return GROUPED.format(Number(text));
}

/** A count, with separators between thousands. */
export function count(value) {
  return typeof value === "number" ? GROUPED.format(value) : NONE;
}

/** A rate per second. */
export function perSecond(value) {
  return typeof value === "number" ? `${(value < 100 ? RATE : GROUPED).format(value)}/s` : NONE;
}

/** Bytes per second. */
export function bytesPerSecond(value) {
  if (typeof value !== "number") return NONE;
  const [unit, by] = value >= 1e6 ? ["MB", 1e6] : value >= 1e3 ? ["kB", 1e3] : ["B", 1];
  return `${RATE.format(value / by)} ${unit}/s`;
}

/** The local time of day. */
export function clock(milliseconds) {
  return isTime(milliseconds) ? CLOCK.format(milliseconds) : NONE;
}

/** The local time of day, with milliseconds. */
export function fineClock(milliseconds) {
  if (!isTime(milliseconds)) return NONE;
  const rest = ((milliseconds % 1_000) + 1_000) % 1_000;
  return `${CLOCK.format(milliseconds)}.${String(Math.floor(rest)).padStart(3, "0")}`;
}

/** A duration, rounded down to its largest unit. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return NONE;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor((seconds * 1_000) / DAY_MS)} days`;
}

function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

function isTime(value) {
  return typeof value === "number" && Math.abs(value) <= 8.64e15;
}

/** Set the text of an element, if it differs; return the element. */
export function write(element, text) {
  if (element.firstChild === null) element.append(text);
  else if (element.firstChild.data !== text) element.firstChild.data = text;
  return element;
}
