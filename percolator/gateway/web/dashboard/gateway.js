/** The gateway panel: statistics from /ws/stats. */

import { bytesPerSecond, clock, count, duration, NONE, perSecond, write } from "./format.js";

const WARN_SHARE = 0.8; // a bar that is fuller than this changes its colour

const byId = (id) => document.getElementById(id);

export class Gateway {
  #panel = byId("gateway");

  /** Show a response of /ws/stats that has just arrived. */
  show(stats) {
    this.#panel.removeAttribute("data-old");
    write(byId("asof"), `up ${duration(stats.uptimeSeconds)}`);
    const limits = stats.limits ?? {}; // an older gateway has fewer fields
    meter("connections", stats.totalConnections, limits.maxGlobalConnections);
    const perIp = limits.maxConnectionsPerIp;
    small("connections", perIp ? `max ${count(perIp)} per IP` : "no limit per IP");
    this.#busiest(stats.connectionsPerSlab ?? {}, limits.maxConnectionsPerSlab);
    const [messages, bytes] = [stats.messagesReceivedPerSec, stats.bytesReceivedPerSec];
    figure("messages", perSecond(stats.messagesSentPerSec), `${perSecond(messages)} received`);
    figure("bytes", bytesPerSecond(stats.bytesSentPerSec), `${bytesPerSecond(bytes)} received`);
    figure("events", perSecond(stats.eventsPerSec), `${count(stats.eventsRejected)} rejected`);
    const refused = Object.values(stats.rejectedConnections ?? {}).reduce((sum, each) => sum + each, 0);
    figure("behind", count(stats.clientsBehind), `${count(refused)} refused`);
    byId("behind").toggleAttribute("data-warn", stats.clientsBehind > 0);
    const { connected, streamSeq, lag } = stats.nats ?? {};
    figure("nats", connected ? "Connected" : "Not connected", `lag ${count(lag)}, seq ${count(streamSeq)}`);
    byId("nats").toggleAttribute("data-warn", !connected);
  }

  /** No newer response has arrived: show how old the figures are, and why. */
  age(since, why) {
    this.#panel.setAttribute("data-old", "");
    write(byId("asof"), since ? `${why}, as of ${clock(since)}` : why);
  }

  #busiest(perSlab, limit) {
    let slab = "";
    let highest = 0;
    for (const [name, clients] of Object.entries(perSlab)) {
      if (clients > highest) [slab, highest] = [name, clients];
    }
    meter("busiest", highest, limit);
    small("busiest", slab || "no subscribers");
  }
}

function figure(id, text, note) {
  write(byId(id), text);
  small(id, note);
}

function small(id, text) {
  write(byId(`${id}-small`), text);
}

/** Show a count against its limit; a limit of 0 means no limit. */
function meter(id, value, limit) {
  const share = limit ? Math.min(value / limit, 1) : 0;
  write(byId(id), limit ? `${count(value)} / ${count(limit)}` : `${count(value)} / ${NONE}`);
  const bar = byId(`${id}-bar`);
  bar.style.setProperty("--share", share.toFixed(4));
  bar.toggleAttribute("data-warn", share >= WARN_SHARE);
}
