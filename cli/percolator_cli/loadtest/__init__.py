"""The load test: a crowd of clients that checks every message, and reports what it saw.

How 200,000 deliveries a second are checked on one core: all clients of a market are sent the same
bytes. Whoever gets a stretch of them first reads it message by message and lays it down as the
*reference*; everybody else compares with that, a whole read at a time. What differs is read
message by message too. In the end each client is a list of places in the reference, and what was
lost, doubled or out of order is counted from these, against what was published.

`wire`, `reference`, `reader`, `account`, `histogram`, `plan`, `measured` and `report` are pure: no
I/O and no clock. `client_pool` has the sockets, `sending` NATS, and `run` puts it together.
"""
