// A socket that a page shares, with a rule: no message for `silence` milliseconds means a dead line. It
// is closed then, and opened again. Browsers do not show ping frames, so these count for nothing.
globalThis.start = (url, { markets, silence }) => {
  const prices = new Map();
  let last = 0;
  let socket = null;
  globalThis.faults = [];
  globalThis.shown = () => markets.map((slab) => prices.get(slab));

  function open() {
    last = performance.now();
    socket = new WebSocket(url);
    socket.onopen = () => {
      const channels = markets.map((slab) => `price:${slab}`);
      socket.send(JSON.stringify({ type: "subscribe", channels }));
    };
    socket.onmessage = (event) => {
      last = performance.now();
      const message = JSON.parse(event.data);
      if (message.type === "price") prices.set(message.slab, message.price);
      if (message.type === "error") faults.push(message);
    };
    socket.onclose = () => setTimeout(open, 1000);
  }

  setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN || performance.now() - last < silence) return;
    faults.push("silence");
    last = performance.now();
    socket.close();
  }, silence / 45);
  open();
};
