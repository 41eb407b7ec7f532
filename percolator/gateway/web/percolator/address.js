/** Where a gateway's WebSocket is. */

/**
 * The WebSocket address of a gateway. A path prefix is kept: `https://host/prefix` leads to
 * `wss://host/prefix/ws`, and an address that ends in `/ws` stays as it is.
 *
 * @param {string | URL} url http, https, ws or wss; relative to `base`
 * @param {string} base address of the client's own file
 */
export function addressOf(url, base) {
  const address = new URL(url, base);
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(address.protocol)) {
    throw new TypeError(`not the address of a gateway: ${url}; use http, https, ws or wss`);
  }
  if (!/\/ws\/?$/.test(address.pathname)) address.pathname = `${address.pathname.replace(/\/+$/, "")}/ws`;
  address.hash = "";
  return address.href;
}
