// Records what becomes of a page's sockets, whichever front end opens them. Times are in milliseconds.
globalThis.sockets = { greeted: 0, open: 0, most: 0, closes: [], longestSilence: 0 };
globalThis.lastEvent = 0;

globalThis.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    let last = 0;
    this.addEventListener("open", () => {
      last = performance.now();
      sockets.open += 1;
      sockets.most = Math.max(sockets.most, sockets.open);
    });
    this.addEventListener("message", ({ data }) => {
      const now = performance.now();
      sockets.longestSilence = Math.max(sockets.longestSilence, now - last);
      last = now;
      const { type } = JSON.parse(data);
      if (type === "connected") sockets.greeted += 1;
      if (type !== "heartbeat") lastEvent = now;
    });
    this.addEventListener("close", ({ code }) => {
      if (last > 0) sockets.open -= 1;
      sockets.closes.push(code);
    });
  }
};
