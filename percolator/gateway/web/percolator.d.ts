/** The browser client of a percolator gateway. */

/**
 * A kind of events and a market: `price:SOL`, `trades:SOL`, `funding:SOL`, `liquidations:SOL` or
 * `market:SOL`.
 * A market's name has 1 to 64 of A-Z, a-z, 0-9, _ and -. `trades:*` is of all markets, also those
 * to come.
 */
export type ChannelName =
  | `price:${string}`
  | `trades:${string}`
  | `funding:${string}`
  | `liquidations:${string}`
  | `market:${string}`;

interface Stamped {
  /** The market. */
  slab: string;
  /** Unix milliseconds, by the publisher's clock. */
  timestamp: number;
  /** Position of the event in the stream, the same on every gateway. */
  seq: number;
  /** Identifies the incarnation of the stream: seqs of different epochs cannot be compared. */
  epoch: string;
  /** Set on a value from before the subscription: the last one, sent when a channel starts. */
  snapshot?: true;
  /**
   * What the publisher added, such as an `id`: a string, a number, a boolean or null, unchecked.
   * Show it as text, never as HTML. An integer over 2^53 loses digits in JavaScript.
   */
  [field: string]: unknown;
}

interface Chained {
  /** Seq of the previous event on the channel; 0 if there is none, null if it is not known. */
  prev: number | null;
}

/** The latest price in USD, at most one per half second and market. */
export interface Price extends Stamped {
  type: "price";
  price: number;
  markPrice?: number;
  indexPrice?: number;
  /** Size of all open positions of one side in base units, a decimal string of up to 128 bits. */
  openInterest?: string;
}

/** One execution. Trades arrive complete and in order. */
export interface Trade extends Stamped, Chained {
  type: "trade";
  side: "long" | "short";
  /** Base units, a decimal string of up to 128 bits: use BigInt, not Number. */
  size: string;
  /** USD. */
  price: number;
}

/** A funding rate. Funding rates arrive complete and in order. */
export interface Funding extends Stamped, Chained {
  type: "funding";
  /** A signed decimal string: "0.0001" is 0.01 %. */
  rate: string;
  /** Hours for which the rate is paid. */
  intervalHours?: number;
  /** When the next funding is due, Unix milliseconds. */
  nextFundingTime?: number;
}

/** A position that was closed by force. Liquidations arrive complete and in order. */
export interface Liquidation extends Stamped, Chained {
  type: "liquidation";
  /** The side of the position. */
  side: "long" | "short";
  /** Base units, a decimal string of up to 128 bits: use BigInt, not Number. */
  size: string;
  /** USD. */
  price: number;
}

/** What a market is, and whether it is traded: the latest, which replaces the one before it whole. */
export interface Market extends Stamped {
  type: "market";
  /** A retired market is over: no other channel of it has a snapshot. */
  status: "active" | "paused" | "retired";
  /** A name for people. Show it as text, never as HTML. */
  displayName?: string;
  /** How many digits of a size are decimals: a size of "1500" with 3 is 1.5. */
  baseDecimals?: number;
  /** The smallest step of the price in USD, a decimal string. */
  tickSize?: string;
}

/** Events of a channel after seq `from` and before seq `to` are missing for good. */
export interface Gap {
  type: "gap";
  channel: ChannelName;
  from: number;
  to: number;
  /** Set if the stream was replaced: seqs start again. */
  epoch?: string;
}

/** The gateway refuses a channel, for now: it is asked again as long as the feed is open. */
export interface Refused {
  type: "refused";
  channel: ChannelName;
  /** An error code of the protocol, such as `slab_limit`. */
  code: string;
  message: string;
}

export type Event = Price | Trade | Funding | Liquidation | Market;

/** What a subscription receives. A gap takes the place of missing events; latest values have none. */
export type Message = Event | Gap | Refused;

/** How far a channel was read. */
export interface Position {
  epoch: string;
  seq: number;
}

/** How far each lossless channel was read, by its name: plain data, to be stored as JSON. */
export type Bookmark = { [channel: string]: Position };

/** The state of the connection, and since when it has been so, in Unix milliseconds. */
export type State =
  /** An attempt is under way, or a channel is not subscribed yet: the reason names a refused one. */
  | { name: "connecting"; since: number; reason?: string }
  /** Every channel is subscribed. */
  | { name: "live"; since: number }
  /** Connected, but since then the gateway no longer hears from NATS, or no longer answers. */
  | { name: "stale"; since: number; reason: string }
  /** Not connected, for this reason; the next attempt is at `retryAt`, Unix milliseconds. */
  | { name: "waiting"; since: number; reason: string; retryAt: number }
  /** Closed by the page, for good. */
  | { name: "closed"; since: number };

/** A request that failed, or another error; `channel` is set if it concerns one channel. */
export interface Fault {
  /** An error code of the protocol, or `token`. */
  code: string;
  message: string;
  channel?: ChannelName;
}

/**
 * A signed token, or a function that returns one: called before each connection, and before the
 * last one expires; never again while an answer is due.
 */
export type Token = string | (() => string | Promise<string>);

export interface Subscription extends AsyncIterableIterator<Message> {
  readonly channels: readonly ChannelName[];
  /** Stop listening; the iteration ends. A channel without listeners is unsubscribed. */
  unsubscribe(): void;
}

export interface Feed {
  /** The current state. */
  readonly state: State;
  /** When the gateway last sent anything, Unix milliseconds; 0: never. */
  readonly heardAt: number;

  /** Call a listener with the current state, and with every later one. Returns its removal. */
  on(name: "state", listener: (state: State) => void): () => void;
  /** Call a listener with every error. Without a listener, errors go to the console. */
  on(name: "error", listener: (fault: Fault) => void): () => void;
  /** Call a listener with each channel that has no event yet: is the market's name right? */
  on(name: "unknown", listener: (channel: ChannelName) => void): () => void;

  /**
   * Follow one channel or several. Without a listener, iterate over the subscription.
   *
   * `recent`: number of past events that each lossless channel starts with, also if another
   * subscription has had them. `since`: a bookmark to go on from. Throws a TypeError if a
   * channel's name or the bookmark is not valid.
   */
  subscribe(
    channels: ChannelName | readonly ChannelName[],
    listener?: (message: Message) => void,
    options?: { recent?: number; since?: Bookmark },
  ): Subscription;

  /** How far the page has read: what was handed to listeners and loops, not what still waits. */
  bookmark(): Bookmark;

  /** Use another token, for this connection and all later ones. */
  authenticate(token: Token): void;

  /** Close for good. Every subscription ends. */
  close(): void;
}

export interface Options {
  token?: Token;
  /** The class of sockets, for a runtime that has none of its own. */
  WebSocket?: new (url: string) => WebSocket;
}

/**
 * Connect to a gateway: http, https, ws or wss; without an address, to the one that served the
 * file. A path before the gateway's own is kept. The feed keeps reconnecting until it is closed.
 */
export function connect(url?: string | URL, options?: Options): Feed;
