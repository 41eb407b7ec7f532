// A page with one hook per market. All hooks share a socket, which the first of them opens. In React's
// strict mode each hook mounts, unmounts and mounts again. A hook shows nothing from before a connection.
globalThis.start = (url, { markets }) => {
  const mounted = new Map();
  const waiting = [];
  let socket = null;
  let requests = 0;
  globalThis.faults = [];
  globalThis.connected = 0;
  globalThis.unanswered = () => requests;

  const channels = (slab) => [`price:${slab}`, `trades:${slab}`, `funding:${slab}`];
  const request = (type, slab) => JSON.stringify({ type, channels: channels(slab) });

  function send(text) {
    requests += 1;
    if (socket?.readyState === WebSocket.OPEN) socket.send(text);
    else waiting.push(text);
  }

  function receive(message) {
    const hook = mounted.get(message.slab);
    if (message.type === "connected") {
      connected += 1;
      for (const slab of mounted.keys()) mounted.set(slab, {});
    }
    if (["subscribed", "unsubscribed"].includes(message.type)) requests -= 1;
    if (message.type === "error") faults.push(message);
    if (message.type === "price" && hook) hook.price = message.price;
    if (message.type === "trade" && hook) hook.trade = message.size;
    if (message.type === "funding" && hook) hook.rate = message.rate;
  }

  function open() {
    socket = new WebSocket(url);
    socket.onopen = () => {
      for (const text of waiting.splice(0)) socket.send(text);
    };
    socket.onmessage = (event) => receive(JSON.parse(event.data));
    socket.onclose = () => {
      waiting.length = requests = 0;
      for (const slab of mounted.keys()) send(request("subscribe", slab));
      setTimeout(open, 1000);
    };
  }

  globalThis.mount = (slab) => {
    if (!socket) open();
    mounted.set(slab, {});
    send(request("subscribe", slab));
    return () => {
      mounted.delete(slab);
      send(request("unsubscribe", slab));
    };
  };
  globalThis.mountTwice = (slab) => {
    mount(slab)();
    return mount(slab);
  };
  globalThis.shown = () =>
    requests === 0 &&
    [...mounted.values()].map(({ price, rate, trade }) => [price ?? null, rate ?? null, trade ?? null]);
  globalThis.unmounts = markets.map(mountTwice);
};
