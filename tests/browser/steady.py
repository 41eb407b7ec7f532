"""Measure how smoothly the dashboard runs: python -m tests.browser.steady [SECONDS].

It starts its own gateway and NATS server, with 20 markets, 200 trades per second (half of them on
the chosen market) and 5 prices per second and market. It prints one JSON object: tasks over 50 ms
after loading, as the browser measures them in wall time; the longest task and the share of a core
in CPU time of the main thread, which does not depend on the load of the machine; and, over time,
the heap after a garbage collection and the number of nodes.
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

SLABS = ["CHOSEN", *(f"SLAB{number}" for number in range(1, 20))]
TRADES_PER_SECOND = 200
PRICES_PER_SECOND = 5
SETTLE_SECONDS = 5
SAMPLES = 6
WATCH = """() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => {
        for (const task of list.getEntries()) globalThis.longTasks.push(Math.round(task.duration));
    }).observe({ type: "longtask" });
}"""


async def publish(nats_url: str) -> None:
    """Publish trades and prices until cancelled."""
    client = await nats.connect(nats_url)
    start, trades, prices = time.monotonic(), 0, 0
    try:
        while True:
            passed = time.monotonic() - start
            for _ in range(int(passed * TRADES_PER_SECOND) - trades):
                trades += 1
                slab = SLABS[0] if trades % 2 else SLABS[trades // 2 % len(SLABS)]
                side = "long" if trades % 3 else "short"
                fields = {"price": 100 + random.random(), "side": side, "size": str(trades * 1_000)}  # noqa: S311
                await client.publish(
                    f"percolator.trade.{slab}", event_json("trade", **stamped(fields))
                )
            if int(passed * PRICES_PER_SECOND) >= prices:
                prices += 1
                for slab in SLABS:
                    fields = {"price": 100 + random.random(), "markPrice": 100.5}  # noqa: S311
                    payload = event_json("price", **stamped(fields))
                    await client.publish(f"percolator.price.{slab}", payload)
            await asyncio.sleep(0.005)
    finally:
        await client.close()


def stamped(fields: dict[str, Any]) -> dict[str, Any]:
    """Add the current time to an event's fields."""
    return {**fields, "timestamp": int(time.time() * 1_000)}


async def measure(browser: Browser, page: Page, seconds: float) -> dict[str, Any]:
    """Sample a page over some seconds, and return its figures."""
    session = await page.context.new_cdp_session(page)
    await page.evaluate(WATCH)
    tasks, heap, nodes, tape = [0.0], [], [], []
    for _ in range(SAMPLES):
        await browser.start_tracing(page=page, categories=["toplevel"])
        await asyncio.sleep(seconds / SAMPLES)
        tasks += main_thread_tasks(await browser.stop_tracing())  # before the garbage collection
        heap.append(round(await metric(session, "JSHeapUsedSize", collect=True) / 1e6, 2))
        nodes.append(int(await metric(session, "Nodes")))
        tape.append(await page.inner_text("#tape-note"))
    return {
        "longTasksMs": await page.evaluate("longTasks"),
        "longestTaskCpuMs": round(max(tasks), 1),
        "mainThreadCpuShare": round(sum(tasks) / 1_000 / seconds, 3),
        "loadAverage": os.getloadavg()[0],
        "heapMB": heap,
        "nodes": nodes,
        "tape": tape,
    }


def main_thread_tasks(trace: bytes) -> list[float]:
    """Return the CPU time of each task of the page's main thread, in milliseconds."""
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
    """Return one of Chromium's metrics, on request after a garbage collection."""
    if collect:
        await session.send("HeapProfiler.collectGarbage")
    await session.send("Performance.enable")
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(float(each["value"]) for each in metrics if each["name"] == name)


async def main(seconds: float) -> None:
    """Run the measurement and print the result."""
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        async with running(server.url, "STEADY") as gateway, async_playwright() as playwright:
            publishing = asyncio.create_task(publish(server.url))
            path = find()
            assert path is not None, (
                "Chromium was not found: install it, or set CHROMIUM to its path"
            )
            browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
            page = await browser.new_page(viewport={"width": 1280, "height": 800})
            await page.goto(f"http://127.0.0.1:{gateway.port}/#CHOSEN")
            await page.wait_for_selector("#tape tbody tr")
            await asyncio.sleep(SETTLE_SECONDS)
            result = await measure(browser, page, seconds)
            await browser.close()
            publishing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await publishing
    print(json.dumps(result))  # noqa: T201 - the output of this program


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0))
