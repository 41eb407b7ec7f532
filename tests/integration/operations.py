"""What users of nats/nats-server.conf would like to do: tried by test_nats_permissions.

docs/security.md has these tables too, written by `python -m tests.docs.derived`.
"""

from typing import Any

from percolator.jetstream.creation import NAMES_PER_USER

STREAM = "PERCOLATOR"
CANDLES = "PERCOLATOR_CANDLES"

API = {
    "account information": "INFO",
    "list streams": "STREAM.LIST",
    "name streams": "STREAM.NAMES",
    "create another stream": "STREAM.CREATE.OTHER",
    "see another stream": "STREAM.INFO.OTHER",
    "update the stream": f"STREAM.UPDATE.{STREAM}",
    "purge the stream": f"STREAM.PURGE.{STREAM}",
    "delete the stream": f"STREAM.DELETE.{STREAM}",
    "delete a message": f"STREAM.MSG.DELETE.{STREAM}",
    "snapshot the stream": f"STREAM.SNAPSHOT.{STREAM}",
    "restore the stream": f"STREAM.RESTORE.{STREAM}",
    "remove a peer": f"STREAM.PEER.REMOVE.{STREAM}",
    "move the stream's leader": f"STREAM.LEADER.STEPDOWN.{STREAM}",
    "move the meta leader": "META.LEADER.STEPDOWN",
    "remove a server": "SERVER.REMOVE",
    "create a consumer without a name": f"CONSUMER.CREATE.{STREAM}",
    "create a consumer with another name": f"CONSUMER.CREATE.{STREAM}.other",
    "create one consumer more": f"CONSUMER.CREATE.{STREAM}.gateway-{NAMES_PER_USER + 1}",
    "create another user's consumer": f"CONSUMER.CREATE.{STREAM}.edge-2",
    "create a filtered consumer": f"CONSUMER.CREATE.{STREAM}.gateway-1.percolator.price.SOL",
    "create a durable consumer": f"CONSUMER.DURABLE.CREATE.{STREAM}.gateway-1",
    "delete another user's consumer": f"CONSUMER.DELETE.{STREAM}.edge-1",
    "see another user's consumer": f"CONSUMER.INFO.{STREAM}.edge-1",
    "pause another user's consumer": f"CONSUMER.PAUSE.{STREAM}.edge-1",
    "move a consumer's leader": f"CONSUMER.LEADER.STEPDOWN.{STREAM}.edge-1",
    "read with another user's consumer": f"CONSUMER.MSG.NEXT.{STREAM}.edge-1",
    "list consumers": f"CONSUMER.LIST.{STREAM}",
    "name consumers": f"CONSUMER.NAMES.{STREAM}",
    "read by subject": f"DIRECT.GET.{STREAM}.percolator.price.SOL",
    "read another stream": "DIRECT.GET.OTHER",
    "update the candles": f"STREAM.UPDATE.{CANDLES}",
    "purge the candles": f"STREAM.PURGE.{CANDLES}",
    "delete the candles": f"STREAM.DELETE.{CANDLES}",
    "delete a candle": f"STREAM.MSG.DELETE.{CANDLES}",
    "create a consumer of candles": f"CONSUMER.CREATE.{CANDLES}.projector-1",
}
"""Requests to JetStream that no user may send, under whatever prefix."""
OWN_API = {
    "see the stream": f"STREAM.INFO.{STREAM}",
    "create the stream": f"STREAM.CREATE.{STREAM}",
    "read events": f"DIRECT.GET.{STREAM}",
    "read an event": f"STREAM.MSG.GET.{STREAM}",
    "create a consumer": f"CONSUMER.CREATE.{STREAM}.gateway-1",
    "see the stream of candles": f"STREAM.INFO.{CANDLES}",
    "read candles": f"DIRECT.GET.{CANDLES}",
    "read a candle": f"STREAM.MSG.GET.{CANDLES}",
}
"""Requests that a gateway may send, and a projector with its own name; a publisher may not."""
CANDLES_API = {"create the stream of candles": f"STREAM.CREATE.{CANDLES}"}
"""Requests that only a projector may send."""
FOREIGN = {
    "anything else": "other",
    "an answer to a gateway": "_INBOX.edge.x",
    "an answer to a publisher": "_INBOX.maker.x",
    "an event to a gateway": "edge.deliver.x",
    "an acknowledgement": f"$JS.ACK.{STREAM}.edge-1.1.1.1.1.0",
    "flow control of another consumer": f"$JS.FC.{STREAM}.edge-1.x",
    "a request to the system": "$SYS.REQ.SERVER.PING",
}
"""Subjects that no user may publish to."""
LISTENING = {
    "everything": ">",
    "events": "percolator.>",
    "events of a kind": "percolator.price.*",
    "candles": "percolator.candle.>",
    "all inboxes": "_INBOX.>",
    "a gateway's inbox": "_INBOX.edge.>",
    "a publisher's inbox": "_INBOX.maker.>",
    "what a gateway reads": "edge.deliver.>",
    "answers between accounts": "_R_.>",
    "JetStream": "$JS.>",
    "the system": "$SYS.>",
}
"""Subjects that no user may subscribe to."""
TARGETS = {
    "an event": "percolator.price.SOL",
    "a purge": f"$JS.API.STREAM.PURGE.{STREAM}",
    "a deletion": f"$JS.API.STREAM.DELETE.{STREAM}",
    "a deletion of a consumer": f"$JS.API.CONSUMER.DELETE.{STREAM}.edge-1",
    "another user's request": f"edge.API.CONSUMER.DELETE.{STREAM}.edge-1",
    "a gateway's inbox": "_INBOX.edge.x",
    "a publisher's inbox": "_INBOX.maker.x",
    "flow control": f"$JS.FC.{STREAM}.edge-1.x",
    "the system": "$SYS.REQ.SERVER.PING",
}
"""Subjects to which a gateway would like JetStream to send something for it."""
REQUESTS: dict[str, dict[str, Any]] = {
    f"STREAM.INFO.{STREAM}": {},
    f"STREAM.CREATE.{STREAM}": {"name": STREAM, "subjects": [">"]},
    f"STREAM.MSG.GET.{STREAM}": {"seq": 1},
    f"DIRECT.GET.{STREAM}": {"seq": 1},
    f"STREAM.INFO.{CANDLES}": {},
    f"STREAM.MSG.GET.{CANDLES}": {"seq": 1},
    f"DIRECT.GET.{CANDLES}": {"seq": 1},
    f"CONSUMER.INFO.{STREAM}.gateway-1": {},
    f"CONSUMER.DELETE.{STREAM}.gateway-1": {},
}
"""Every request that a gateway may send."""


def table() -> list[str]:
    """Describe the outcome of each operation in a row."""
    refused = "refused | refused | refused |"
    rows = ["| operation | gateway | publisher | projector |", "|---|---|---|---|"]
    rows += [
        f"| {what} (`{name.replace('gateway-1', 'USER-1')}`) | allowed | refused | allowed |"
        for what, name in OWN_API.items()
    ]
    rows += [
        f"| {what} (`{name}`) | refused | refused | allowed |" for what, name in CANDLES_API.items()
    ]
    rows += [f"| {what} (`{name}`) | {refused}" for what, name in API.items()]
    rows += [
        "| publish an event | refused | allowed | refused |",
        "| publish a report | allowed | refused | refused |",
        "| publish a candle | refused | refused | allowed |",
    ]
    rows += [f"| publish {what} (`{to}`) | {refused}" for what, to in FOREIGN.items()]
    rows += [f"| listen to {what} (`{to}`) | {refused}" for what, to in LISTENING.items()]
    rows += [
        f"| have an answer sent as {what} (`{to}`) | no effect | no request to send | no effect |"
        for what, to in TARGETS.items()
    ]
    rows += [
        f"| have a consumer deliver {what} (`{to}`) | no effect | no consumer | no effect |"
        for what, to in TARGETS.items()
    ]
    return rows
