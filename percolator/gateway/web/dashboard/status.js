/** The header: the state of the connection, why it is not live, and the gaps so far. */

import { clock, write } from "./format.js";

const STATE_NAMES = {
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
  #faultSince; // when this page first saw the fault, if the gateway does not tell

  /** @param {import("../percolator.d.ts").State} state */
  setState(state) {
    // A channel that is refused leaves the others live; the reason stands beside it.
    const refused = state.name === "connecting" && state.reason !== undefined;
    this.#state = refused ? { ...state, name: "live" } : state;
    this.render();
  }

  /** Since when prices are not live, by the page's own clock; null while they are. */
  get silentSince() {
    const { name, since } = this.#state;
    if (name !== "live") return since ?? Date.now();
    return this.#faultSince ?? null;
  }

  /** Set the response of /health; null if the request failed. */
  setHealth(health) {
    this.#health = health;
    this.#faultSince = this.#fault() ? (this.#faultSince ?? Date.now()) : undefined;
    this.render();
  }

  /** @param {import("../percolator.d.ts").Gap} gap */
  addGap(gap) {
    this.#count += 1;
    const number = this.#count === 1 ? "1 gap" : `${this.#count} gaps`;
    write(this.#gaps, `${number}, last ${clock(Date.now())} ${gap.channel}`);
    this.#gaps.dataset.some = "";
    write(this.#spoken, `Gap in ${gap.channel}`);
  }

  render() {
    const { name, text, detail } = this.#summary();
    if (this.#chip.dataset.state !== name) write(this.#spoken, STATE_NAMES[name]);
    this.#chip.dataset.state = name;
    write(this.#text, text);
    write(this.#detail, detail);
  }

  /** The connection comes first: an unreachable gateway reports nothing about its feed. */
  #summary() {
    const { name, since, reason, retryAt } = this.#state;
    if (name === "waiting") {
      const seconds = Math.max(Math.ceil((retryAt - Date.now()) / 1_000), 0);
      return { name, text: `Reconnecting in ${seconds} s`, detail: reason };
    }
    if (name === "stale") {
      return { name, text: `Stale since ${clock(since)}`, detail: reason };
    }
    const fault = this.#fault();
    if (name === "live" && fault) {
      const text = `Stale since ${clock(fault.since ?? this.#faultSince)}`;
      return { name: "stale", text, detail: fault.reason };
    }
    return { name, text: STATE_NAMES[name], detail: reason ?? location.host };
  }

  #fault() {
    const checks = this.#health?.status === "ok" ? {} : (this.#health?.checks ?? {});
    const failed = Object.values(checks).filter((check) => check && !check.ok);
    return failed.find((check) => check.since) ?? failed[0];
  }
}
