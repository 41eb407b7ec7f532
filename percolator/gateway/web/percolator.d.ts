/** The browser client of a percolator gateway. */

/** `price:SLAB`, `trades:SLAB` or `funding:SLAB`; a slab has 1 to 64 of A-Z, a-z, 0-9, _ and -. */
export type ChannelName = `price:${string}` | `trades:${string}` | `funding:${string}`;

interface Stamped {
  /** The market. */
  slab: string;
  /** Unix milliseconds, by the publisher's clock. */
  timestamp: number;
  /** Place of the event in the stream, the same on every gateway. */
  seq: number;
  /** There on a value that was known before: the last one, sent as a channel is subscribed. */
  snapshot?: true;
}

/** The latest price, at most one in half a second for each slab; in USD. */
export interface Price extends Stamped {
  type: "price";
  price: number;
  markPrice?: number;
  indexPrice?: number;
}

/** One execution. Trades arrive complete and in order. */
export interface Trade extends Stamped {
  type: "trade";
  side: "long" | "short";
  /** Base units, a decimal string of up to 128 bits: use BigInt, not Number. */
  size: string;
  /** USD. */
  price: number;
  /** Seq of the trade before this one; 0: there is none, null: not known. */
  prev: number | null;
}

/** A funding rate. They arrive complete and in order. */
export interface Funding extends Stamped {
  type: "funding";
  /** A signed decimal string: "0.0001" is 0.01 %. */
  rate: string;
  prev: number | null;
}

/** Events of a channel after seq `from` and before seq `to` are missing, and stay so. */
export interface Gap {
  type: "gap";
  channel: ChannelName;
  from: number;
  to: number;
  /** There where the stream was replaced: seqs start again. */
  epoch?: string;
}

export type Event = Price | Trade | Funding;

/** What a subscription gives. A gap comes in the place of what is missing, never for prices. */
export type Message = Event | Gap;

/** Every state says since when, in Unix milliseconds. */
export type State =
  | { name: "connecting"; since: number }
  | { name: "live"; since: number }
  /** Connected, but nothing was heard since then, and an answer is overdue. */
  | { name: "stale"; since: number }
  /** Not connected, for this reason; the next attempt is at `retryAt`, Unix milliseconds. */
  | { name: "waiting"; since: number; reason: string; retryAt: number }
  /** Closed by the page, for good. */
  | { name: "closed"; since: number };

/** What could not be done; `channel` where one is at fault. */
export interface Fault {
  /** An error code of the protocol, or `token` or `unreadable`. */
  code: string;
  message: string;
  channel?: ChannelName;
}

/** A signed token, or what gives one each time that the feed connects. */
export type Token = string | (() => string | Promise<string>);

export interface Subscription extends AsyncIterableIterator<Message> {
  readonly channels: readonly ChannelName[];
  /** Stop listening; the iteration ends. A channel without listeners is unsubscribed. */
  unsubscribe(): void;
}

export interface Feed {
  /** What it does at the moment. */
  readonly state: State;
  /** When the gateway was last heard of, Unix milliseconds; 0: never. */
  readonly heardAt: number;

  /** Hear of every state, the present one at once. Gives what ends it. */
  on(name: "state", listener: (state: State) => void): () => void;
  /** Hear of what could not be done. Without a listener it goes to the console. */
  on(name: "error", listener: (fault: Fault) => void): () => void;

  /**
   * Follow one channel or several. Without a listener, iterate over what it gives.
   *
   * `recent`: start a channel with so many of its last trades or funding rates. Throws a TypeError
   * for a name that is no channel.
   */
  subscribe(
    channels: ChannelName | readonly ChannelName[],
    listener?: (message: Message) => void,
    options?: { recent?: number },
  ): Subscription;

  /** Take another token, for this connection and all that follow. */
  authenticate(token: Token): void;

  /** Close for good. Every subscription ends. */
  close(): void;
}

/**
 * Connect to a gateway: http, https, ws or wss; without an address, the one that the file came
 * from. It goes on connecting until it is closed.
 */
export function connect(url?: string | URL, options?: { token?: Token }): Feed;
