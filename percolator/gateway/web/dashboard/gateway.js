/** The gateway's own figures, as /ws/stats gives them. */

import { bytesPerSecond, clock, count, duration, NONE, perSecond, write } from "./format.js";

const ALMOST = 0.8; // fuller than this is worth a colour

const byId = (id) => document.getElementById(id);

export class Gateway {
  #panel = byId("gateway");

  /** Show one answer of /ws/stats, as of now. */
  show(stats) {
    this.#panel.removeAttribute("data-old");
    write(byId("asof"), `up ${duration(stats.uptimeSeconds)}`);
    const limits = stats.limits;
    meter("connections", stats.totalConnections, limits.maxGlobalConnections);
    const perAddress = limits.maxConnectionsPerIp;
    small("connections", perAddress ? `${count(perAddress)} from one address` : "no limit by address");
    this.#fullest(stats.connectionsPerSlab, limits.maxConnectionsPerSlab);
    const [messages, bytes] = [stats.messagesReceivedPerSec, stats.bytesReceivedPerSec];
    figure("messages", perSecond(stats.messagesSentPerSec), `${perSecond(messages)} received`);
    figure("bytes", bytesPerSecond(stats.bytesSentPerSec), `${bytesPerSecond(bytes)} received`);
    figure("events", perSecond(stats.eventsPerSec), `${count(stats.eventsRejected)} rejected`);
    const refused = Object.values(stats.rejectedConnections).reduce((sum, each) => sum + each, 0);
    figure("behind", count(stats.clientsBehind), `${count(refused)} were refused`);
    byId("behind").toggleAttribute("data-warn", stats.clientsBehind > 0);
    const { connected, streamSeq, lag } = stats.nats;
    figure("nats", connected ? "Connected" : "Not connected", `lag ${count(lag)}, seq ${count(streamSeq)}`);
    byId("nats").toggleAttribute("data-warn", !connected);
  }

  /** There is no newer answer: say since when these figures are old, and why. */
  age(since, why) {
    this.#panel.setAttribute("data-old", "");
    write(byId("asof"), since ? `${why}, as of ${clock(since)}` : why);
  }

  #fullest(perSlab, limit) {
    let slab = "";
    let most = 0;
    for (const [name, clients] of Object.entries(perSlab)) {
      if (clients > most) [slab, most] = [name, clients];
    }
    meter("fullest", most, limit);
    small("fullest", slab || "nobody is subscribed");
  }
}

function figure(id, text, note) {
  write(byId(id), text);
  small(id, note);
}

function small(id, text) {
  write(byId(`${id}-small`), text);
}

/** A count against its limit; a limit of 0 is none. */
function meter(id, value, limit) {
  const share = limit ? Math.min(value / limit, 1) : 0;
  write(byId(id), limit ? `${count(value)} / ${count(limit)}` : `${count(value)} / ${NONE}`);
  const bar = byId(`${id}-bar`);
  bar.style.setProperty("--share", share.toFixed(4));
  bar.toggleAttribute("data-warn", share >= ALMOST);
}
