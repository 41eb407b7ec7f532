/**
 * The tokens that a page gives: a string, or a function that is asked for one.
 *
 * @typedef {import("../percolator.d.ts").Token} Token
 */

const LEAD_MS = 60_000; // a new token is sent so long before the old one expires,
const LEAD_SHARE = 0.2; // or in the last fifth of a shorter life
const SOON_MS = 1_000;
const DAY_MS = 86_400_000; // timers cannot wait for more than 24 days

export class Tokens {
  #source;
  #pending = null;
  #timer = 0;

  /** @param {Token | undefined} source */
  constructor(source) {
    this.#source = source;
  }

  /** False if the page gives no tokens. */
  get given() {
    return this.#source !== undefined;
  }

  /** @param {Token} source */
  replace(source) {
    this.#source = source;
    this.#pending = null;
    this.stop();
  }

  /** Ask for a token. While an answer is due, everybody waits for the same one. */
  ask() {
    if (this.#pending === null) {
      const pending = answer(this.#source).finally(() => {
        if (this.#pending === pending) this.#pending = null;
      });
      this.#pending = pending;
    }
    return this.#pending;
  }

  /** Call `renew` shortly before a token expires, if it says when, and if there can be another. */
  watch(token, renew) {
    this.stop();
    const expires = expiryOf(token);
    if (typeof this.#source !== "function" || expires === null) return;
    const left = expires - Date.now();
    if (left <= 0) return; // our clock is ahead: the gateway will say when the token has expired
    const wait = Math.max(left - Math.min(LEAD_MS, left * LEAD_SHARE), SOON_MS);
    const next = wait > DAY_MS ? () => this.watch(token, renew) : renew;
    this.#timer = setTimeout(next, Math.min(wait, DAY_MS));
  }

  stop() {
    clearTimeout(this.#timer);
  }
}

async function answer(source) {
  const token = typeof source === "function" ? await source() : source;
  if (typeof token !== "string") throw new TypeError("it returned no string");
  return token;
}

/** When a JSON Web Token expires, Unix milliseconds; null for any other token. */
function expiryOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? exp * 1_000 : null;
  } catch {
    return null;
  }
}
