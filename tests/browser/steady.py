"""How smooth the dashboard is, measured: python -m tests.browser.steady [SECONDS].

A gateway and a NATS of its own, 20 markets, 200 trades a second (half of them on the market in
sight) and 5 prices a second for each market. Prints one JSON object: tasks over 50 ms after load as
the browser counts them, which is by the clock on the wall; the longest task and the share of a core
by the CPU time of the main thread, which does not depend on what else the machine does; the heap
after a collection and the number of nodes in the course of time.
"""

import asyncio
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nats
from playwright.async_api import Browser, CDPSession, Page, async_playwright

from tests.browser.chromium import FLAGS, find
from tests.gateway import event_json, running
from tests.nats_server import NatsServer

SLABS = ["SEEN", *(f"SLAB{number}" for number in range(1, 20))]
TRADES_A_SECOND = 200
PRICES_A_SECOND = 5
SETTLE_SECONDS = 5
SAMPLES = 6
WATCH = """() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) globalThis.longTasks.push(Math.round(task.duration));
    }).observe({ type: "longtask" });
}"""


async def market(nats_url: str) -> None:
    """Publish for ever."""
    client = await nats.connect(nats_url)
    start, trades, prices = time.monotonic(), 0, 0
    try:
        while True:
            passed = time.monotonic() - start
            for _ in range(int(passed * TRADES_A_SECOND) - trades):
                trades += 1
                slab = SLABS[0] if trades % 2 else SLABS[trades // 2 % len(SLABS)]
                side = "long" if trades % 3 else "short"
                fields = {"price": 100 + random.random(), "side": side, "size": str(trades * 1_000)}  # noqa: S311
                await client.publish(f"percolator.trade.{slab}", event_json("trade", **now(fields)))
            if int(passed * PRICES_A_SECOND) >= prices:
                prices += 1
                for slab in SLABS:
                    fields = {"price": 100 + random.random(), "markPrice": 100.5}  # noqa: S311
                    payload = event_json("price", **now(fields))
                    await client.publish(f"percolator.price.{slab}", payload)
            await asyncio.sleep(0.005)
    finally:
        await client.close()


def now(fields: dict[str, Any]) -> dict[str, Any]:
    """Stamp an event."""
    return {**fields, "timestamp": int(time.time() * 1_000)}


async def measure(browser: Browser, page: Page, seconds: float) -> dict[str, Any]:
    """Look at a page for a while."""
    session = await page.context.new_cdp_session(page)
    await page.evaluate(WATCH)
    tasks, heap, nodes, seen = [0.0], [], [], []
    for _ in range(SAMPLES):
        await browser.start_tracing(page=page, categories=["toplevel"])
        await asyncio.sleep(seconds / SAMPLES)
        tasks += main_thread_tasks(await browser.stop_tracing())  # before we collect garbage
        heap.append(round(await metric(session, "JSHeapUsedSize", collect=True) / 1e6, 2))
        nodes.append(int(await metric(session, "Nodes")))
        seen.append(await page.inner_text("#tape-note"))
    return {
        "longTasksMs": await page.evaluate("longTasks"),
        "longestTaskCpuMs": round(max(tasks), 1),
        "mainThreadCpuShare": round(sum(tasks) / 1_000 / seconds, 3),
        "loadAverage": os.getloadavg()[0],
        "heapMB": heap,
        "nodes": nodes,
        "tape": seen,
    }


def main_thread_tasks(trace: bytes) -> list[float]:
    """Give the CPU time of each task of the page's main thread, ms."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1_000
        for event in events
        if event["name"] == "ThreadControllerImpl::RunTask"
        and (event["pid"], event["tid"]) in mains
        and "tdur" in event
    ]


async def metric(session: CDPSession, name: str, *, collect: bool = False) -> float:
    """Give one of Chromium's figures, after a collection of garbage where that is asked for."""
    if collect:
        await session.send("HeapProfiler.collectGarbage")
    await session.send("Performance.enable")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == name)


async def main(seconds: float) -> None:
    """Run it all, and print."""
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        async with running(server.url, "STEADY") as gateway, async_playwright() as playwright:
            playing = asyncio.create_task(market(server.url))
            path = find()
            assert path is not None, "no Chromium: install it, or name it in CHROMIUM"
            browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            await page.goto(f"http://127.0.0.1:{gateway.port}/#SEEN")
            await page.wait_for_selector("#tape tbody tr")
            await asyncio.sleep(SETTLE_SECONDS)
            found = await measure(browser, page, seconds)
            await browser.close()
            playing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await playing
    print(json.dumps(found))  # noqa: T201 - its output


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
