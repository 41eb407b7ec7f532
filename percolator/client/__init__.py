"""The client for Python programs: follows channels, reconnects and resumes by itself.

    from percolator.client import Gap, Refused, follow

    async with follow("ws://localhost:3001", ["trades:SOL", "price:SOL"]) as feed:
        async for message in feed:
            match message:
                case Gap() | Refused():
                    print("attention:", message)
                case _:
                    print(message.seq, message.event)

Each event of a lossless kind comes once and in order, over any number of reconnects and from any
gateway that reads the same stream; events that are lost come as a `Gap`. Of a price, the program
always gets the newest.
"""

from percolator.client.bookmark import Bookmark, Position
from percolator.client.feed import Feed, Since, follow
from percolator.client.messages import Gap, Message, Refused, State, Update
from percolator.client.tokens import Token

__all__ = [
    "Bookmark",
    "Feed",
    "Gap",
    "Message",
    "Position",
    "Refused",
    "Since",
    "State",
    "Token",
    "Update",
    "follow",
]
