"""docs/publishers.md: its program publishes, through outages too, and its statements hold."""

import asyncio
import json
import re
from typing import Any

import nats
import pytest
from nats.js.errors import APIError

from percolator.errors import EventError
from percolator.jetstream import stream
from percolator.jetstream.publisher import TRANSIENT, WINDOW_SHARE
from percolator.jetstream.stream import DUPLICATE_WINDOW
from percolator.model.kinds import KINDS, PRICE
from tests.channels import decode, subject_of
from tests.docs.pages import ROOT, blocks
from tests.docs.schema import fits
from tests.docs.test_asyncapi import DOCUMENT, payload
from tests.gateway import event_json, eventually, running
from tests.nats_server import NatsServer

PAGE = (ROOT / "docs" / "publishers.md").read_text()
STREAM = "PERCOLATOR"
(PROGRAM,) = (
    block.text for block in blocks() if block.page == "docs/publishers.md"
    and block.language == "python"
)  # fmt: skip
LOCAL = "nats://localhost:4222"


def program(url: str) -> dict[str, Any]:
    """Return the names of the page's program, with another address and without its last line."""
    names: dict[str, Any] = {}
    exec(PROGRAM.replace(LOCAL, url).replace("asyncio.run(main())", ""), names)  # noqa: S102
    return names


async def test_the_program_publishes_to_a_gateway_each_event_once(
    nats_process: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run twice, its events are stored once, since they have the same ids."""
    main = program(nats_process.url)["main"]
    async with running(nats_process.url, STREAM) as gateway:
        await main()
        await gateway.has_read(3)
        market = await gateway.get_json("/markets/SOL")
        await main()
        info = await gateway.nats.jetstream().stream_info(STREAM)
        assert (await gateway.stats())["eventsRejected"] == 0
    assert info.state.messages == 3
    assert market["price"]["price"] == market["trade"]["price"] == 150.25
    assert market["funding"]["rate"] == "0.0001"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("outage", ["freeze", "kill"])
async def test_the_program_survives_an_outage(nats_process: NatsServer, outage: str) -> None:
    """NATS is frozen for longer than an attempt takes, or killed and started again."""
    client = await nats.connect(nats_process.url, max_reconnect_attempts=-1, pending_size=0)
    await stream.ensure(client, STREAM)
    publish = program(nats_process.url)["publish"]
    js = client.jetstream()
    subject = subject_of("trade", "SOL")
    event = json.loads(event_json("trade"))
    assert await publish(js, subject, event, "a:SOL:0") == 1
    if outage == "freeze":
        nats_process.freeze()
    else:
        nats_process.kill()
    sent = asyncio.create_task(publish(js, subject, event, "a:SOL:1"))
    done, _ = await asyncio.wait([sent], timeout=2.5)
    assert not done
    if outage == "freeze":
        nats_process.thaw()
    else:
        nats_process.start()
    assert await sent == 2
    assert await publish(js, subject, event, "a:SOL:1") == 2
    assert (await js.stream_info(STREAM)).state.messages == 2
    await client.close()


async def test_the_program_reports_what_a_gateway_rejects(
    nats_process: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report is as docs/asyncapi.yaml describes it."""
    names = program(nats_process.url)
    async with running(nats_process.url, STREAM) as gateway:
        await gateway.nats.subscribe("percolator.rejected", cb=names["report"])
        await gateway.nats.flush()
        event = {"price": 0, "timestamp": 1_700_000_000_000}
        js = gateway.nats.jetstream()
        assert await names["publish"](js, subject_of("price", "SOL"), event, "o:SOL:1") == 1
        shown = ""

        def has_all() -> bool:
            nonlocal shown
            shown += capsys.readouterr().out
            return shown.endswith("\n")

        await eventually(has_all)
    report = json.loads(shown.removeprefix("rejected: "))
    assert (report["seq"], report["subject"]) == (1, "percolator.price.SOL")
    assert report["reason"] == "invalid_price"
    assert fits(report, payload("rejected"), DOCUMENT)
    assert set(report) <= set(payload("rejected")["properties"])


async def test_the_program_raises_what_a_retry_cannot_help(nats_process: NatsServer) -> None:
    """A refusal at once, and no responders after the time for retries."""
    client = await nats.connect(nats_process.url)
    names = program(nats_process.url)
    js = client.jetstream()
    await js.add_stream(name="OTHER", subjects=["percolator.price.>"])
    with pytest.raises(APIError, match="expected stream does not match"):
        await names["publish"](js, "percolator.price.SOL", {}, "a")
    names["RETRY_SECONDS"] = 0
    with pytest.raises(TimeoutError, match=r"percolator\.trades\.SOL, id a: not acknowledged"):
        await names["publish"](js, "percolator.trades.SOL", {}, "a")
    await client.close()


def test_the_programs_stop_before_our_own_publishers_do() -> None:
    """All of them within the stream's duplicate window, and with the same exceptions."""
    times = re.findall(
        r"RETRY_SECONDS = (\d+)|RETRY_MS = (\d+)_000|(\d+) \* time\.Second // l", PAGE
    )
    times += re.findall(r"RETRY_FOR: Duration = Duration::from_secs\((\d+)\)()()", PAGE)
    assert len(times) == 4
    for found in times:
        assert 0 < int("".join(found)) < WINDOW_SHARE * DUPLICATE_WINDOW
    for block in blocks():
        if block.page == "docs/publishers.md" and block.language:
            assert all(str(code) in block.text for code in (503, *TRANSIENT))
            assert "percolator.rejected" in block.text


@pytest.mark.parametrize(
    ("subject", "event", "reason"),
    [
        ("percolator.price.SOL", {"price": 150_250_000}, None),
        ("percolator.price.SOL", {"price": 150.25, "markPrice": 0}, "invalid_markPrice"),
        ("percolator.trade.SOL", {"side": "long", "size": "1"}, "invalid_price"),
    ],
)
def test_the_common_mistakes_have_the_results_that_the_page_says(
    subject: str, event: dict[str, Any], reason: str | None
) -> None:
    """The first one is accepted: nothing in the number says that it is in millionths."""
    body = json.dumps(event | {"timestamp": 1_700_000_000_000}).encode()
    if reason is None:
        assert decode(subject, body).kind is PRICE
        return
    assert f"`{reason}`" in PAGE
    with pytest.raises(EventError) as failed:
        decode(subject, body)
    assert failed.value.reason == reason


def test_the_two_forms_of_the_example_are_the_same_event() -> None:
    """The envelope's, and the native one."""
    section = PAGE[PAGE.index("## From the envelope") :]
    found = [decode(*each) for each in lines_of(section)]
    assert len(found) == 2
    assert found[0] == found[1]


def lines_of(text: str) -> list[tuple[str, bytes]]:
    """Return subject and payload of each example of an event."""
    found = re.findall(r"^    (percolator\.\S+)  (\{.*\})$", text, re.MULTILINE)
    return [(subject, body.encode()) for subject, body in found]


def test_the_page_names_every_key_of_the_envelope() -> None:
    """With the name that it has in the native form."""
    section = PAGE[PAGE.index("## From the envelope") :]
    for kind in (each for each in KINDS if each.envelope):
        assert f'"{kind.envelope}"' in section
        assert f'"{kind}"' in section
