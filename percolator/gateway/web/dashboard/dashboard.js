/** The dashboard: the feed, the routes that are asked once a second, and what shows both. */

import { connect } from "../percolator.js";
import { Chart } from "./chart.js";
import { change, clock, price, rate, write } from "./format.js";
import { Gateway } from "./gateway.js";
import { Market } from "./market.js";
import { Status } from "./status.js";
import { sign, Table } from "./table.js";
import { Tape } from "./tape.js";
import { Tokens } from "./tokens.js";

const PRICES = 40; // followed live, out of 50 channels; of the others /markets tells
const SLAB = /^[A-Za-z0-9_-]{1,64}$/;
const RECENT_TRADES = 200;
const POLL_MS = 1_000;
const DRAW_MS = 100;
const CHART_TURNS = 3; // the line is drawn every third time
const NO_MARKET = "No market has had an event yet. Try: percolator publish price SOL 1.5";

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
let followed = 0;
let epoch = null;
let figuresAt = 0;

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

/** Take what /markets says; a market that is new is followed, as long as there is room. */
function know(data) {
  const states = Object.entries(data.markets).filter(([slab]) => SLAB.test(slab));
  for (const [slab, state] of states) {
    const market = markets.get(slab) ?? new Market(slab);
    markets.set(slab, market);
    if (epoch !== data.epoch) market.startAgain();
    if (state.price) market.setPrice(state.price);
    if (state.funding) market.setRate(state.funding);
  }
  epoch = data.epoch;
  table.add(states.map(([slab]) => slab));
  if (states.length === 0) table.explain(NO_MARKET);
  if (chosen === null && states.length > 0) choose(firstChoice(states));
  follow();
}

/** The market that the address names, else the one that traded last. */
function firstChoice(states) {
  const named = location.hash.slice(1);
  if (markets.has(named)) return named;
  return states.reduce((a, b) => ((b[1].trade?.seq ?? 0) > (a[1].trade?.seq ?? 0) ? b : a))[0];
}

function follow() {
  const names = [...markets.keys()].slice(followed, PRICES).map((slab) => `price:${slab}`);
  followed += names.length;
  if (names.length > 0) feed.subscribe(names, received);
}

// The routes.

/** Give what a route says as JSON; null where it asks for a token that we have not. */
async function ask(path, kind) {
  if (tokens.lacks(kind)) return null;
  const token = tokens.get(kind);
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const options = { headers, signal: AbortSignal.timeout(5_000) };
  const response = await fetch(new URL(`../${path}`, import.meta.url), options);
  if (response.status !== 401) return response.json();
  if (tokens.get(kind) === token) tokens.need(kind); // and not one that was given meanwhile
  return null;
}

async function poll() {
  try {
    if (!document.hidden) await askAll();
  } finally {
    setTimeout(poll, POLL_MS);
  }
}

async function askAll() {
  const answers = [ask("health"), ask("ws/stats", "figures"), ask("markets", "feed")];
  const [health, stats, states] = await Promise.allSettled(answers);
  status.setHealth(health.value ?? null);
  chart.setSilent(status.silentSince);
  if (stats.value) {
    figuresAt = Date.now();
    gateway.show(stats.value);
  } else {
    gateway.age(figuresAt, reasonOf(stats));
  }
  if (states.value) know(states.value);
  else table.explain(`No markets: ${reasonOf(states)}`);
}

function reasonOf({ status: outcome }) {
  return outcome === "fulfilled" ? "a token is needed" : "no answer";
}

function useToken(kind, token) {
  if (kind === "feed") feed.authenticate(token);
}

// What is seen.

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
  const market = markets.get(chosen);
  if (!market) return;
  const moved = change(market.first, market.last);
  write(byId("slab"), market.slab);
  write(byId("last"), price(market.last)).dataset.tick = market.tick;
  write(byId("change"), moved).dataset.sign = sign(moved);
  write(byId("mark"), price(market.mark));
  write(byId("index"), price(market.index));
  write(byId("funding"), rate(market.rate));
  write(byId("updated"), clock(market.updated));
}

/** The title goes on in a tab that is not seen. */
function drawTitle() {
  const market = markets.get(chosen);
  const title = market ? `${price(market.last)} ${market.slab}` : "percolator";
  if (document.title !== title) document.title = title;
}

byId("market").addEventListener("change", (event) => chart.setSpan(Number(event.target.value)));
document.addEventListener("visibilitychange", draw);
write(byId("markets-note"), `change since ${clock(Date.now())}`);
setInterval(draw, DRAW_MS);
setInterval(drawTitle, POLL_MS);
poll();
