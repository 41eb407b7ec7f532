"""The load test: clients that check every message, and a report on what they received.

How 200,000 deliveries per second are checked on one core: all clients of a market receive the same
bytes. The first client to receive a message parses it and appends it to the *reference*; the
others compare their bytes with the reference, a whole read at a time. Only bytes that differ are
parsed again. In the end each client is a list of positions in the reference. From these and the
published events, the account counts what was lost, duplicated or out of order.

`wire`, `pacing`, `reference`, `reader`, `account`, `histogram`, `plan`, `measured` and `report`
are pure: no I/O and no clock. `load_client` and `client_pool` do the WebSocket I/O, `sending` does
the NATS I/O, and `run` combines them. `limits` tests the gateway's limits with `limit_checks`,
which use `limit_probe`.
"""
