// A page of the older form: when its socket opens, it subscribes to each of its markets at once, and
// waits for the reply of each. One second after any close it opens another socket.
globalThis.start = (url, { markets }) => {
  const subscribed = new Set();
  const prices = new Map();
  globalThis.faults = [];
  globalThis.shown = () => markets.map((slab) => [subscribed.has(slab), prices.get(slab)]);

  function open() {
    const socket = new WebSocket(url);
    socket.onopen = () => {
      for (const slabAddress of markets) {
        socket.send(JSON.stringify({ type: "subscribe", slabAddress }));
      }
    };
    socket.onmessage = (event) => {
      const message = JSON.parse(event.data);
      if (message.type === "subscribed") subscribed.add(message.slabAddress);
      if (message.type === "price") prices.set(message.slab, message.price);
      if (message.type === "error") faults.push(message);
    };
    socket.onclose = () => {
      subscribed.clear();
      setTimeout(open, 1000);
    };
  }
  open();
};
