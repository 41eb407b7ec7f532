// A chart: folds the trades of one market into candles of a minute. It resumes from the last seq that it
// has: of a trade, of a heartbeat, or of the greeting before the first of these.
globalThis.start = (url, { markets: [slab] }) => {
  const candles = new Map();
  let epoch = null;
  let seq = 0;
  globalThis.faults = [];
  globalThis.shown = () =>
    [...candles].map(([minute, { open, high, low, close, volume }]) => [
      minute, open, high, low, close, String(volume),
    ]);

  function fold({ timestamp, price, size }) {
    const minute = Math.floor(timestamp / 60_000);
    const candle = candles.get(minute);
    if (!candle) {
      candles.set(minute, { open: price, high: price, low: price, close: price, volume: BigInt(size) });
      return;
    }
    candle.high = Math.max(candle.high, price);
    candle.low = Math.min(candle.low, price);
    candle.close = price;
    candle.volume += BigInt(size);
  }

  function receive(message, socket) {
    if (message.type === "connected") {
      if (epoch === null) ({ epoch, seq } = message);
      const channels = [`trades:${slab}`];
      socket.send(JSON.stringify({ type: "subscribe", channels, since: seq, epoch }));
    }
    if (message.type === "trade" && message.seq > seq) {
      seq = message.seq;
      fold(message);
    }
    if (message.type === "heartbeat") seq = message.seq;
    if (["gap", "error"].includes(message.type)) faults.push(message);
  }

  function open() {
    const socket = new WebSocket(url);
    socket.onmessage = (event) => receive(JSON.parse(event.data), socket);
    socket.onclose = () => setTimeout(open, 1000);
  }
  open();
};
