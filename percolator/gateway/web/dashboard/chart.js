/** The price chart of one market, on a canvas: last price, mark price, and outages. */

import { clock, price, write } from "./format.js";

const GUTTER = 84; // room for the prices on the right,
const FOOT = 22; // and for the times below
const MIN_SPAN_MS = 20_000;
const STEPS_MS = [5, 10, 15, 30, 60, 120, 300].map((seconds) => seconds * 1_000);
const MAX_LABELS = 40; // prices on the right, however high the chart
const MAX_OUTAGES = 50;
const COLOURS = ["line", "area", "mark", "grid", "text", "muted", "outage", "panel"];

export class Chart {
  #canvas;
  #context;
  #reading;
  #colours = {};
  #width = 0;
  #height = 0;
  #span = 300_000;
  #market = null;
  #outages = [];
  #live = false;
  #cursor = null; // position of the cursor as a share of the width

  constructor(canvas, reading) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#reading = reading;
    const themes = matchMedia("(prefers-color-scheme: dark)");
    themes.addEventListener("change", () => this.#readColours());
    this.#readColours();
    new ResizeObserver(() => this.#resize()).observe(canvas);
    canvas.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    canvas.addEventListener("blur", () => this.#point(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {import("./market.js").Market} market */
  setMarket(market) {
    this.#market = market;
    this.render();
  }

  setSpan(seconds) {
    this.#span = seconds * 1_000;
    this.render();
  }

  /** Mark prices as live from now on (null), or as unknown since a time, which may be past. */
  setSilent(since) {
    const live = since === null;
    if (live === this.#live) return;
    const open = this.#outages.at(-1);
    if (live && open && open.to === null) open.to = Date.now();
    if (!live) this.#outages.push({ from: since, to: null });
    this.#live = live;
    if (this.#outages.length > MAX_OUTAGES) this.#outages.shift();
    this.render();
  }

  render() {
    const context = this.#context;
    const history = this.#market?.history;
    context.clearRect(0, 0, this.#width, this.#height);
    if (!history?.length || this.#width <= GUTTER) {
      this.#drawNothing();
      return;
    }
    const view = this.#view(history);
    this.#drawTimes(view);
    this.#drawPrices(view);
    this.#drawOutages(view);
    this.#drawLine(view);
    this.#drawLast(view);
    this.#drawCursor(view);
    const label = `${this.#market.name} ${price(view.last)}, from ${price(view.low)} to ${price(view.high)}`;
    const { from, to } = this.#outages.at(-1) ?? {};
    const silent = to === null ? `; no data since ${clock(from)}` : "";
    this.#canvas.setAttribute("aria-label", `Price chart: ${label}${silent}`);
  }

  #drawNothing() {
    const context = this.#context;
    context.fillStyle = this.#colours.muted;
    context.textAlign = "center";
    context.fillText("No price yet", this.#width / 2, this.#height / 2);
    this.#canvas.setAttribute("aria-label", "No price yet");
    write(this.#reading, "");
  }

  /** Return the visible times and prices, and how both map to the canvas. */
  #view(history) {
    const now = Date.now();
    const end = history.length - 1;
    const age = now - history.time(0);
    const from = now - Math.max(MIN_SPAN_MS, Math.min(this.#span, age * 1.02));
    let start = end;
    while (start > 0 && history.time(start) > from) start -= 1;
    let low = Infinity;
    let high = -Infinity;
    for (let i = start; i <= end; i += 1) {
      for (const value of [history.price(i), history.mark(i)]) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const room = (high - low) * 0.12 || high * 0.0005;
    const width = this.#width - GUTTER;
    const height = this.#height - FOOT;
    const scale = height / (high - low + 2 * room);
    const x = (time) => ((time - from) / (now - from)) * width;
    const y = (value) => height - (value - low + room) * scale;
    const unit = (high - low + 2 * room) / height;
    return {
      history, start, end, from, now, low, high, width, height, x, y, unit,
      last: history.price(end),
    };
  }

  #drawTimes({ from, now, x, width, height }) {
    const context = this.#context;
    const labels = Math.max(2, Math.floor(width / 90));
    const step = STEPS_MS.find((each) => (now - from) / each <= labels) ?? STEPS_MS.at(-1);
    context.fillStyle = this.#colours.muted;
    context.strokeStyle = this.#colours.grid;
    context.lineWidth = 1;
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    for (let time = Math.ceil(from / step) * step; time < now; time += step) {
      const at = Math.round(x(time)) + 0.5;
      line(context, at, 0, at, height);
      if (at > 28 && at < width - 8) context.fillText(clock(time), at, height + 16);
    }
  }

  #drawPrices({ low, high, last, unit, y, width }) {
    const context = this.#context;
    const step = niceStep(unit * 52);
    context.textAlign = "left";
    context.textBaseline = "middle";
    const first = Math.ceil((low - unit * 30) / step);
    for (let n = 0; n < MAX_LABELS; n += 1) {
      const value = (first + n) * step;
      const at = Math.round(y(value)) + 0.5;
      if (!(value <= high + unit * 30)) break;
      if (at < 8) continue;
      line(context, 0, at, width, at);
      const covered = Math.abs(at - y(last)) < 18;
      if (!covered) context.fillText(price(value), width + 10, at);
    }
  }

  #drawOutages({ from, now, x, height }) {
    const context = this.#context;
    context.fillStyle = this.#colours.outage;
    for (const outage of this.#outages) {
      const left = Math.max(x(outage.from), 0);
      const right = x(outage.to ?? now);
      if (right > 0 && (outage.to ?? now) > from) context.fillRect(left, 0, right - left, height);
    }
  }

  /** A price holds until the next one, so the line has steps. */
  #drawLine({ history, start, end, now, x, y, width, height }) {
    const context = this.#context;
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    for (const name of ["mark", "price"]) {
      const path = new Path2D();
      let before = Number.NaN;
      for (let i = start; i <= end; i += 1) {
        const value = history[name](i);
        const at = x(history.time(i));
        if (Number.isNaN(before)) path.moveTo(at, y(value));
        else path.lineTo(at, y(before));
        if (!Number.isNaN(value)) path.lineTo(at, y(value));
        before = value;
      }
      const right = this.#outages.at(-1)?.to === null ? x(history.time(end)) : x(now);
      if (!Number.isNaN(before)) path.lineTo(right, y(before));
      if (name === "price") this.#fill(path, x(history.time(start)), right, height);
      context.setLineDash(name === "mark" ? [2, 4] : []);
      context.strokeStyle = name === "mark" ? this.#colours.mark : this.#colours.line;
      context.lineWidth = name === "mark" ? 1 : 1.6;
      context.lineJoin = "round";
      context.stroke(path);
    }
    context.restore();
  }

  #fill(path, left, right, height) {
    const context = this.#context;
    const area = new Path2D(path);
    area.lineTo(right, height);
    area.lineTo(left, height);
    const shade = context.createLinearGradient(0, 0, 0, height);
    shade.addColorStop(0, this.#colours.area);
    shade.addColorStop(1, "transparent");
    context.fillStyle = shade;
    context.fill(area);
  }

  #drawLast({ last, y, width }) {
    const context = this.#context;
    const at = Math.round(y(last)) + 0.5;
    context.setLineDash([1, 3]);
    context.strokeStyle = this.#colours.line;
    line(context, 0, at, width, at);
    context.setLineDash([]);
    context.fillStyle = this.#colours.line;
    context.beginPath();
    context.roundRect(width + 4, at - 10, GUTTER - 4, 20, 4);
    context.fill();
    context.fillStyle = this.#colours.panel;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(price(last), width + 10, at + 0.5);
  }

  #drawCursor({ history, start, end, x, y, width, height }) {
    if (this.#cursor === null) {
      write(this.#reading, "");
      return;
    }
    let at = end;
    while (at > start && x(history.time(at)) > this.#cursor * width) at -= 1;
    const place = Math.max(x(history.time(at)), 0);
    const context = this.#context;
    context.strokeStyle = this.#colours.muted;
    line(context, Math.round(place) + 0.5, 0, Math.round(place) + 0.5, height);
    context.fillStyle = this.#colours.line;
    context.beginPath();
    context.arc(place, y(history.price(at)), 3.5, 0, 2 * Math.PI);
    context.fill();
    write(this.#reading, `${clock(history.time(at))}  ${price(history.price(at))}`);
  }

  #point(offset) {
    const width = this.#width - GUTTER;
    this.#cursor = offset === null || width <= 0 ? null : Math.min(Math.max(offset / width, 0), 1);
    this.render();
  }

  #key(event) {
    const step = { ArrowLeft: -0.02, ArrowRight: 0.02 }[event.key];
    if (event.key === "Escape") this.#point(null);
    if (!step) return;
    const next = (this.#cursor ?? 1) + step;
    this.#point(next * (this.#width - GUTTER));
    event.preventDefault();
  }

  #resize() {
    const ratio = devicePixelRatio || 1;
    this.#width = this.#canvas.clientWidth;
    this.#height = this.#canvas.clientHeight;
    this.#canvas.width = Math.round(this.#width * ratio);
    this.#canvas.height = Math.round(this.#height * ratio);
    this.#context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.#readColours();
  }

  #readColours() {
    const style = getComputedStyle(this.#canvas);
    for (const name of COLOURS) this.#colours[name] = style.getPropertyValue(`--chart-${name}`);
    this.#context.font = `12px ${style.fontFamily}`;
    this.render();
  }
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** The smallest of 1, 2, 5, 10, 20, … that is at least `minimum`. */
function niceStep(minimum) {
  const power = 10 ** Math.floor(Math.log10(minimum));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= minimum) ?? 10 * power;
}
