/** How things stand, in the header: connecting, live, stale since, reconnecting in, gaps. */

import { clock, write } from "./format.js";

const SPOKEN = {
  connecting: "Connecting",
  live: "Live",
  stale: "Stale",
  waiting: "Not connected",
  closed: "Closed",
};

export class Status {
  #chip = document.getElementById("state");
  #text = this.#chip.querySelector("span");
  #detail = document.getElementById("detail");
  #gaps = document.getElementById("gaps");
  #spoken = document.getElementById("spoken");
  #count = 0;
  #state = { name: "connecting" };
  #health = null;
  #faultSince; // when this page first heard of it, where the gateway does not say

  /** @param {import("../percolator.d.ts").State} state */
  setState(state) {
    this.#state = state;
    this.render();
  }

  /** Since when nothing is known of the markets, by the page's own clock; null where they are live. */
  get silentSince() {
    const { name, since } = this.#state;
    if (name !== "live") return since ?? Date.now();
    return this.#faultSince ?? null;
  }

  /** What /health says; null where it could not be asked. */
  setHealth(health) {
    this.#health = health;
    this.#faultSince = this.#fault() ? (this.#faultSince ?? Date.now()) : undefined;
    this.render();
  }

  /** @param {import("../percolator.d.ts").Gap} gap */
  addGap(gap) {
    this.#count += 1;
    const many = this.#count === 1 ? "1 gap" : `${this.#count} gaps`;
    write(this.#gaps, `${many}, last ${clock(Date.now())} ${gap.channel}`);
    this.#gaps.dataset.some = "";
    write(this.#spoken, `A gap in ${gap.channel}`);
  }

  render() {
    const { name, text, detail } = this.#now();
    if (this.#chip.dataset.state !== name) write(this.#spoken, SPOKEN[name]);
    this.#chip.dataset.state = name;
    write(this.#text, text);
    write(this.#detail, detail);
  }

  /** The connection first: a gateway that cannot be reached says nothing about its feed. */
  #now() {
    const { name, since, reason, retryAt } = this.#state;
    const here = location.host;
    if (name === "waiting") {
      const seconds = Math.max(Math.ceil((retryAt - Date.now()) / 1_000), 0);
      return { name, text: `Reconnecting in ${seconds} s`, detail: reason };
    }
    if (name === "stale") {
      return { name, text: `Stale since ${clock(since)}`, detail: "the gateway does not answer" };
    }
    const fault = this.#fault();
    if (name === "live" && fault) {
      const text = `Stale since ${clock(fault.since ?? this.#faultSince)}`;
      return { name: "stale", text, detail: fault.reason };
    }
    return { name, text: SPOKEN[name], detail: here };
  }

  #fault() {
    const checks = this.#health?.status === "ok" ? {} : (this.#health?.checks ?? {});
    const failed = Object.values(checks).filter((check) => check && !check.ok);
    return failed.find((check) => check.since) ?? failed[0];
  }
}
