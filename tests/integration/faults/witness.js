// A page that follows channels, and reports everything that it receives.

import { connect } from "/percolator.js";

const READ_MS = 100;
const REST_MS = 800;
const HERE_MS = 500;
const AWAY_MS = 200;

const SEND_MS = 10;

const socket = new WebSocket(`ws://${location.host}/reports`);
let reports = [];

/** Reports go out in batches: the tests read them beside all else that they do. */
function report(index, received) {
  if (reports.push([index, received]) === 1) setTimeout(send, SEND_MS);
}

function send() {
  socket.send(JSON.stringify(reports));
  reports = [];
}

function follow({ channels, reads }, url, index) {
  const feed = connect(url);
  feed.on("state", ({ name }) => report(index, { state: name }));
  feed.on("error", (fault) => report(index, { fault }));
  if (reads === "resting") read(feed.subscribe(channels), index);
  else if (reads === "returning") comeAndGo(feed, channels, index);
  else feed.subscribe(channels, (message) => report(index, message));
}

/** Beside a listener that stays, one that leaves and comes back with a bookmark, again and again. */
async function comeAndGo(feed, channels, index) {
  feed.subscribe(channels, () => {});
  const lossless = channels.filter((name) => !name.startsWith("price:"));
  let since = {};
  for (;;) {
    const listener = (message) => report(index, message);
    const subscription = feed.subscribe(channels, listener, { since });
    do {
      await after(HERE_MS);
      since = feed.bookmark(); // both listeners stand at the same place
    } while (!lossless.every((name) => name in since));
    subscription.unsubscribe();
    await after(AWAY_MS);
  }
}

const after = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Read for a while, rest for longer: messages pile up. */
async function read(subscription, index) {
  let until = Date.now() + READ_MS;
  for await (const message of subscription) {
    report(index, message);
    if (Date.now() < until) continue;
    await after(REST_MS);
    until = Date.now() + READ_MS;
  }
}

addEventListener("error", ({ message }) => report(0, { fault: message }));
addEventListener("unhandledrejection", ({ reason }) => report(0, { fault: String(reason) }));
socket.addEventListener("message", ({ data }) => {
  const { url, feeds } = JSON.parse(data);
  feeds.forEach((each, index) => follow(each, url, index));
});
