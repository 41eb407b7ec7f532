"""The server to compare with, in a process of its own: the obvious one with `websockets`.

`python -m tests.benchmarks.broadcast NATS_URL PORT` passes each NATS message unchanged to
`websockets.broadcast()`. It does less than the gateway: it checks nothing, numbers nothing and
stores nothing, and every client gets every event. Compression is off, as it is in the gateway.
"""

import asyncio
import sys

import nats
from nats.aio.msg import Msg
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def run(url: str, port: int) -> None:
    """Serve until killed."""
    connections: set[ServerConnection] = set()

    async def client(connection: ServerConnection) -> None:
        await connection.recv()  # the subscribe, which is ignored
        await connection.send('{"type":"subscribed"}')
        connections.add(connection)
        try:
            await connection.wait_closed()
        finally:
            connections.remove(connection)

    async def on_message(message: Msg) -> None:
        broadcast(connections, message.data.decode())

    nats_client = await nats.connect(url)
    await nats_client.subscribe(
        "percolator.>", cb=on_message, pending_msgs_limit=-1, pending_bytes_limit=-1
    )
    async with serve(client, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2])))
