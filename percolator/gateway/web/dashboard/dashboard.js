/** The dashboard: the feed, the routes that are polled every second, and the panels for both. */

import { connect } from "../percolator.js";
import { Chart } from "./chart.js";
import { change, clock, NONE, price, rate, write } from "./format.js";
import { Gateway } from "./gateway.js";
import { Market } from "./market.js";
import { Status } from "./status.js";
import { sign, Table } from "./table.js";
import { Tape } from "./tape.js";
import { Tokens } from "./tokens.js";

const LIVE_PRICES = 40; // of the 50 channels per client; other prices come from /markets
const SLAB = /^[A-Za-z0-9_-]{1,64}$/;
const MAX_MARKETS = 1_000; // each has a history of some 50 kB
const RECENT_TRADES = 200;
const POLL_MS = 1_000;
const DRAW_MS = 100;
const CHART_TURNS = 3; // the chart is drawn every third time
const NO_MARKET = "No markets yet. Try: percolator publish price SOL 1.5";

const NOTHING = new Market(NONE);

const byId = (id) => document.getElementById(id);
const markets = new Map();
const tokens = new Tokens(useToken);
const feed = connect(new URL("../ws", import.meta.url), { token: tokens.get("feed") });
const status = new Status();
const table = new Table(byId("markets"), choose);
const tape = new Tape(byId("tape"));
const chart = new Chart(byId("chart"), byId("reading"));
const gateway = new Gateway();

let chosen = null;
let subscription = null;
const live = new Map(); // the subscription to each market's price that is followed
let wasWell = false;
let epoch = null;
let statsAt = 0;

feed.on("state", (state) => {
  status.setState(state);
  chart.setSilent(status.silentSince);
});
feed.on("error", (fault) => {
  const tokenMissing = fault.channel === undefined || tokens.get("feed") === undefined;
  if (fault.code === "unauthorized" && tokenMissing) tokens.need("feed");
  if (fault.channel === `trades:${chosen}`) tape.explain(fault.message);
});

function received(message) {
  const market = markets.get(message.slab);
  if (!market && message.type !== "gap") return; // it has just been removed
  switch (message.type) {
    case "price":
      market.setPrice(message);
      break;
    case "funding":
      market.setRate(message);
      break;
    case "trade":
      market.history.addPast(message.timestamp, message.price);
      tape.add(message);
      break;
    case "gap":
      status.addGap(message);
      if (message.channel.startsWith("trades:")) tape.add(message);
  }
}

function choose(slab) {
  if (slab === chosen || !markets.has(slab)) return;
  chosen = slab;
  subscription?.unsubscribe();
  tape.clear();
  const channels = [`trades:${slab}`, `funding:${slab}`, `price:${slab}`];
  subscription = feed.subscribe(channels, received, { recent: RECENT_TRADES });
  history.replaceState(null, "", `#${slab}`);
  table.mark(slab);
  chart.setMarket(markets.get(slab));
  draw();
}

/**
 * Show a response of /markets, which is whole once the gateway has loaded its state. New markets are
 * followed live, up to LIVE_PRICES.
 */
function updateMarkets(data, isWhole) {
  const states = [];
  for (const [slab, state] of Object.entries(data.markets ?? {})) {
    if (!SLAB.test(slab) || !state) continue;
    if (!markets.has(slab) && markets.size >= MAX_MARKETS) continue;
    states.push([slab, state]);
    const market = markets.get(slab) ?? new Market(slab);
    markets.set(slab, market);
    if (epoch !== data.epoch) market.resetSeqs();
    market.setState(state);
  }
  epoch = data.epoch;
  table.add(states.map(([slab]) => slab));
  if (isWhole) removeMarkets(states);
  if (states.length === 0) table.explain(NO_MARKET);
  if (!markets.has(chosen) && states.length > 0) choose(firstChoice(states));
  follow();
}

/** Remove the markets that are no longer there: most of them are retired. */
function removeMarkets(states) {
  const there = new Set(states.map(([slab]) => slab));
  for (const slab of markets.keys()) {
    if (there.has(slab)) continue;
    markets.delete(slab);
    live.get(slab)?.unsubscribe();
    live.delete(slab);
    table.remove(slab);
    if (slab === chosen) leave();
  }
}

/** Show no market. */
function leave() {
  chosen = null;
  subscription.unsubscribe();
  tape.clear();
  chart.setMarket(null);
}

/** The market in the page's address, or else the one that traded last. */
function firstChoice(states) {
  const named = location.hash.slice(1);
  if (markets.has(named)) return named;
  return states.reduce((a, b) => ((b[1].trade?.seq ?? 0) > (a[1].trade?.seq ?? 0) ? b : a))[0];
}

function follow() {
  for (const slab of markets.keys()) {
    if (live.size >= LIVE_PRICES) return;
    if (!live.has(slab)) live.set(slab, feed.subscribe(`price:${slab}`, received));
  }
}

// Routes.

/** Return a route's response as JSON; null if it requires a token that the page does not have. */
async function get(path, kind) {
  if (tokens.lacks(kind)) return null;
  const token = tokens.get(kind);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = { headers, signal: AbortSignal.timeout(5_000) };
  const response = await fetch(new URL(`../${path}`, import.meta.url), options);
  if (response.status !== 401) return response.json();
  if (tokens.get(kind) === token) tokens.need(kind); // unless another token was entered meanwhile
  return null;
}

async function poll() {
  try {
    if (!document.hidden) await pollAll();
  } finally {
    setTimeout(poll, POLL_MS);
  }
}

async function pollAll() {
  const responses = [get("health"), get("ws/stats", "stats"), get("markets", "feed")];
  const [health, stats, states] = await Promise.allSettled(responses);
  status.setHealth(health.value ?? null);
  chart.setSilent(status.silentSince);
  if (stats.value) {
    statsAt = Date.now();
    gateway.show(stats.value);
  } else {
    gateway.age(statsAt, reasonOf(stats));
  }
  const isWell = health.value?.status === "ok";
  if (states.value) updateMarkets(states.value, isWell && wasWell);
  wasWell = isWell;
  if (!states.value) table.explain(`No markets: ${reasonOf(states)}`);
}

function reasonOf({ status: outcome }) {
  return outcome === "fulfilled" ? "token required" : "no response";
}

function useToken(kind, token) {
  if (kind === "feed") feed.authenticate(token);
}

// Drawing.

let turn = 0;

function draw() {
  if (document.hidden) return;
  status.render();
  table.render(markets);
  tape.render();
  if (turn % CHART_TURNS === 0) chart.render();
  turn += 1;
  drawMarket();
}

function drawMarket() {
  const market = markets.get(chosen) ?? NOTHING;
  const moved = change(market.first, market.last);
  write(byId("market-name"), market.name).title = market.slab;
  write(byId("last"), price(market.last)).dataset.tick = market.tick;
  write(byId("change"), moved).dataset.sign = sign(moved);
  write(byId("mark"), price(market.mark));
  write(byId("index"), price(market.index));
  write(byId("funding"), rate(market.rate));
  write(byId("updated"), clock(market.updated));
}

/** Update the title, also while the tab is hidden. */
function drawTitle() {
  const market = markets.get(chosen);
  const title = market ? `${price(market.last)} ${market.name}` : "percolator";
  if (document.title !== title) document.title = title;
}

byId("market").addEventListener("change", (event) => chart.setSpan(Number(event.target.value)));
document.addEventListener("visibilitychange", draw);
write(byId("markets-note"), `change since ${clock(Date.now())}`);
setInterval(draw, DRAW_MS);
setInterval(drawTitle, POLL_MS);
poll();
