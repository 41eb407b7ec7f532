"""Runs one attack: a gateway that is attacked, one that is not, and the honest clients of both."""

import asyncio
import contextlib
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client

from percolator.auth.tokens import mint
from percolator.config.settings import Settings
from tests.benchmarks.flood.attack import Attack
from tests.benchmarks.flood.honest import Crowd, Door, Visits, micros
from tests.benchmarks.processes import Process
from tests.benchmarks.stage import SETTINGS, Server, Stage
from tests.certificates import Authority
from tests.gateway import event_json

HONEST = 100
CONTROL = 25
"""Honest clients of the other gateway: fewer, since they share a core with all that load it."""
TRADES_PER_SECOND = 50
SUBJECT = "percolator.trade.SOL"
SETTLE_SECONDS = 1.0
FILL_BATCH = 1_000
SECRET = "a secret of thirty-two bytes or more"
TOKEN_SECONDS = 3_600
DEFAULTS = {
    **{name: str(Settings.model_fields[name].default) for name in SETTINGS},
    "max_connections_per_slab": "0",
    "log_level": "error",
    "auth_secret": SECRET,
}
"""The default limits, except that all clients read one market."""
MB = 1_000_000


@dataclass(frozen=True)
class Phase:
    """The figures of some seconds. `lost` are events, `refused` are visits, of `visits`."""

    p99_ms: float
    control_p99_ms: float
    lost: int
    refused: int
    visits: int
    cpu_percent: float
    waiting_percent: float
    peak_mb: float


@dataclass(frozen=True)
class Outcome:
    """Both phases of an attack, and what the attacker counted."""

    attack: Attack
    quiet: Phase
    attacked: Phase
    counts: dict[str, int]

    @property
    def ratio(self) -> float:
        """How much later trades were under attack."""
        return self.attacked.p99_ms / self.quiet.p99_ms

    @property
    def control_ratio(self) -> float:
        """The same for the gateway that was not attacked: the noise of the machine."""
        return self.attacked.control_p99_ms / self.quiet.control_p99_ms

    @property
    def net_ratio(self) -> float:
        """The ratio without the noise of the machine, if that made trades later."""
        return self.ratio / max(self.control_ratio, 1)

    def holds(self, bound: float) -> bool:
        """Return whether honest clients lost nothing, were let in, and waited little longer."""
        faults = self.attacked.lost + self.quiet.lost + self.attacked.refused
        return self.net_ratio <= bound and not faults


def run(stage: Stage, attack: Attack, seconds: float) -> Outcome:
    """Run an attack: some quiet seconds, and as many under attack."""
    with stage.nats() as server:
        asyncio.run(_make_stream(server.url, attack))
        tls, files = _certificate(stage.folder) if attack.tls else (None, {})
        settings = DEFAULTS | dict(attack.settings) | files
        with (
            stage.gateway(server.url, tls=tls, **settings) as attacked,
            stage.gateway(server.url, tls=tls, **settings) as control,
        ):
            scene = Scene(stage, attack, server.url, attacked, control)
            return asyncio.run(scene.play(seconds))


async def _make_stream(url: str, attack: Attack) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(attack.stream)
    await client.close()


def _certificate(folder: Path) -> tuple[ssl.SSLContext, dict[str, str]]:
    """Issue a certificate; return how to trust it, and the settings that name it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    authority = Authority(folder)
    authority.issue(cert, key, "localhost")
    trusting = ssl.create_default_context(cafile=authority.file)
    return trusting, {"tls_cert": str(cert), "tls_key": str(key)}


class Scene:
    """Two gateways, their honest clients, and a publisher."""

    def __init__(
        self, stage: Stage, attack: Attack, nats_url: str, attacked: Server, control: Server
    ) -> None:
        self._stage = stage
        self._attack = attack
        self._nats_url = nats_url
        self._attacked = attacked
        self._control = control
        token = mint(SECRET, ["*"], now=time.time(), seconds=TOKEN_SECONDS)
        self._door, self._control_door = (
            Door(server.port, token, server.tls) for server in (attacked, control)
        )

    async def play(self, seconds: float) -> Outcome:
        """Measure without and under attack."""
        client = await nats.connect(self._nats_url)
        await self._fill(client)
        crowd = await Crowd.connect(self._door, "127.0.2", HONEST)
        control = await Crowd.connect(self._control_door, "127.0.5", CONTROL)
        await self._publish(client, SETTLE_SECONDS)
        quiet = await self._phase(client, crowd, control, seconds)
        with self._attacker() as attacker:
            await self._publish(client, SETTLE_SECONDS)
            attacked = await self._phase(client, crowd, control, seconds)
            counts = json.loads(attacker.finish())
        counts |= self._attack.after(self._attacked)
        await client.close()
        return Outcome(self._attack, quiet, attacked, counts)

    @contextlib.contextmanager
    def _attacker(self) -> Iterator[Process]:
        command = [sys.executable, "-m", "tests.benchmarks.flood.attacker", self._attack.name]
        command += [str(self._attacked.port), self._nats_url]
        with Process(command, self._stage.load_core) as attacker:
            yield attacker

    async def _fill(self, client: Client) -> None:
        """Publish what the attack needs in the stream; wait until both gateways have read it."""
        published = 0
        for subject, count in self._attack.fill.items():
            payload = event_json(subject.split(".")[1])
            for _ in range(count):
                await client.publish(subject, payload)
                published += 1
                if published % FILL_BATCH == 0:
                    await client.flush()
        await client.flush()
        for server in (self._attacked, self._control):
            server.process.wait_until_quiet()

    async def _publish(self, client: Client, seconds: float) -> int:
        """Publish trades at their pace; return how many."""
        due = time.monotonic()
        count = int(seconds * TRADES_PER_SECOND)
        for _ in range(count):
            due += 1 / TRADES_PER_SECOND
            await client.publish(SUBJECT, event_json("trade", timestamp=micros()))
            await asyncio.sleep(max(due - time.monotonic(), 0))
        return count

    async def _phase(self, client: Client, crowd: Crowd, control: Crowd, seconds: float) -> Phase:
        process = self._attacked.process
        process.forget_peak()
        for each in (crowd, control):
            each.forget()
        started, cpu, waiting = time.monotonic(), process.cpu, process.waiting
        async with _visiting(self._door, self._attack.back) as visits:
            published = await self._publish(client, seconds)
        percent = 100 / (time.monotonic() - started)
        cpu, waiting = process.cpu - cpu, process.waiting - waiting
        figures = await crowd.figures(published)
        others = await control.figures(published)
        return Phase(
            p99_ms=figures.p99_ms,
            control_p99_ms=others.p99_ms,
            lost=figures.lost + visits.lost,
            refused=visits.refused,
            visits=visits.made,
            cpu_percent=cpu * percent,
            waiting_percent=waiting * percent,
            peak_mb=process.memory("VmHWM") / MB,
        )


@contextlib.asynccontextmanager
async def _visiting(door: Door, back: int) -> AsyncIterator[Visits]:
    """Run the visits of a client until the end of the block."""
    visits = Visits(door, back)
    running = asyncio.create_task(visits.run())
    try:
        yield visits
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
