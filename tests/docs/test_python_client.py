"""The documentation of the Python client: its example runs, and its page has every name."""

import asyncio
import inspect
import re
from typing import Any

import pytest

from percolator import client
from tests.docs.api_python import page
from tests.docs.pages import blocks
from tests.gateway import eventually
from tests.scripted import Message, Peer, scripted, trade

(EXAMPLE,) = (
    block.text for block in blocks() if block.page == "docs/clients.md" and "follow" in block.text
    and block.language == "python"
)  # fmt: skip


async def test_the_example_prints_events_gaps_and_refusals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As it is on the page, but for the address."""

    async def answer(peer: Peer, request: Message) -> None:
        await peer.refuse(request, "slab_limit", "price:SOL")
        await peer.accept(request | {"channels": ["trades:SOL"]})
        await peer.send(trade(6), {"type": "gap", "channel": "trades:SOL", "from": 6, "to": 9})

    async with scripted(answer=answer) as gateway:
        names: dict[str, Any] = {}
        source = EXAMPLE.replace("ws://localhost:3001", gateway.url)
        exec(source.replace("asyncio.run(main())", ""), names)  # noqa: S102 - the documentation
        running = asyncio.create_task(names["main"]())
        shown = ""

        def has_all() -> bool:
            nonlocal shown
            shown += capsys.readouterr().out
            return shown.count("\n") >= 3

        await eventually(has_all)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert re.search(r"^trades:SOL 6 Trade\(", shown, re.MULTILINE)
    assert "missing: after 6 and before 9" in shown
    assert "not now: price:SOL no: slab_limit" in shown


@pytest.mark.parametrize("name", client.__all__)
def test_every_name_of_the_client_has_a_section_on_its_page(name: str) -> None:
    """With its docstring; an alias has its value."""
    section = page().partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    thing = getattr(client, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert (inspect.getdoc(thing) or "no docstring") in section
    else:
        assert f"{name} = " in section


def test_the_page_shows_every_method_with_types_and_a_docstring() -> None:
    """An alias such as `aclose` is not shown."""
    text = page()
    assert "\nNone\n" not in text
    for name in ("subscribe", "unsubscribe", "state", "bookmark", "close"):
        assert f"### Feed.{name}\n" in text
    assert "on_state: Callable[[State], None] | None = None,\n) -> Feed: ..." in text
