"""What a user sees of what NATS says: in the log, `/health`, the doctor and the commands."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from percolator.jetstream.stream import definition
from tests.certificates import Authority
from tests.cli.program import Program
from tests.gateway import Gateway, event_json, eventually, starting
from tests.nats_permissions import limited
from tests.nats_server import NatsServer

STREAM, SUBJECT = "PERCOLATOR", "percolator.trade.SOL"
LOOKING = ("$JS.API.STREAM.>", "$JS.API.DIRECT.>", "$JS.FC.>")
READING = (*LOOKING, "$JS.API.CONSUMER.>")
VIOLATION = 'Permissions Violation for Publish to "$JS.API.CONSUMER.CREATE.PERCOLATOR"'


async def health(gateway: Gateway) -> dict[str, Any]:
    """Return the JSON of `/health`, whatever its status."""
    _, _, body = await gateway.get("/health")
    found: dict[str, Any] = json.loads(body)
    return found


async def findings(program: Program, *args: str) -> dict[str, dict[str, str]]:
    """Run the doctor; return what it found, by name."""
    done = await asyncio.to_thread(program.run, "doctor", "--json", *args)
    assert done.err == ""
    return {each["name"]: each for each in json.loads(done.out)}


async def test_a_gateway_that_may_not_create_a_consumer_says_so_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In its log, in `/health` and in the doctor; it starts when it may."""
    with limited(tmp_path / "nats", LOOKING) as server:
        operator = await server.operator()
        await operator.jetstream().add_stream(definition(STREAM))
        async with starting(server.login(), STREAM) as gateway:
            await eventually(lambda: VIOLATION in gateway.service.feed.trouble)
            assert [VIOLATION in line for line in caplog.messages].count(True) == 1
            state = (await health(gateway))["checks"]["state"]
            assert state["reason"].startswith(
                "the state is still being read from the stream: NATS does not create a consumer: "
                f"{VIOLATION} (allow it for this user, or set nats_prefix"
            )
            program = Program(tmp_path, nats_url=server.login("operator"))
            found = await findings(program, "--url", f"127.0.0.1:{gateway.port}")
            assert VIOLATION in found["health: state"]["text"]
            server.permit(READING)
            await server.reload()
            await gateway.service.ready()
            assert (await health(gateway))["status"] == "ok"
        await operator.close()


async def test_a_gateway_that_loses_its_permission_for_a_consumer_reads_on_and_says_so(
    tmp_path: Path,
) -> None:
    """It is ready, and shows the trouble beside the check that passes."""
    with limited(tmp_path / "nats", READING) as server:
        operator = await server.operator()
        await operator.jetstream().add_stream(definition(STREAM))
        async with starting(server.login(), STREAM) as gateway:
            await gateway.service.ready()
            server.permit(LOOKING)
            await server.reload()
            for consumer in await operator.jetstream().consumers_info(STREAM):
                await operator.jetstream().delete_consumer(STREAM, consumer.name)
            await eventually(lambda: VIOLATION in gateway.service.feed.trouble)
            await operator.jetstream().publish(SUBJECT, event_json("trade"))
            await gateway.has_read(1)
            found = await health(gateway)
            assert found["status"] == "ok"
            assert VIOLATION in found["checks"]["feed"]["trouble"]
            program = Program(tmp_path, nats_url=server.login("operator"))
            shown = await findings(program, "--url", f"127.0.0.1:{gateway.port}")
            assert shown["health: feed"]["verdict"] == "warning"
            assert VIOLATION in shown["health: feed"]["text"]
        await operator.close()


async def test_the_doctor_says_what_nats_does_not_permit(tmp_path: Path) -> None:
    """To the user that the doctor logs in as."""
    with limited(tmp_path / "nats", ["percolator.>"]) as server:
        found = await findings(Program(tmp_path, nats_url=server.login()), "--url", "127.0.0.1:1")
    assert found["NATS"]["verdict"] == "ok"
    assert found["JetStream"]["text"] == (
        "cannot look up the stream PERCOLATOR: Permissions Violation for Publish to "
        '"$JS.API.STREAM.INFO.PERCOLATOR" (allow it for this user, or set nats_prefix to the name '
        "that NATS gives it)"
    )


async def test_the_doctor_says_what_is_wrong_with_a_login(tmp_path: Path) -> None:
    """And shows neither user nor password; nothing has to be started."""
    with limited(tmp_path / "nats") as server:
        settings = {"nats_user": "alice", "nats_password": "hunter2"}
        program = Program(tmp_path, nats_url=server.url, **settings)
        found = (await findings(program, "--url", "127.0.0.1:1"))["NATS"]
    assert found["text"] == (
        f"NATS at {server.url} cannot be reached: Authorization Violation; check nats_user and "
        "nats_password, nats_creds, nats_token or the login in nats_url"
    )
    assert found["advice"] == ""


async def test_the_doctor_says_what_is_wrong_with_an_authority(tmp_path: Path) -> None:
    """A file that is not one, the authority of another server, and none."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").file
    Authority(tmp_path).issue(cert, key, "nats")
    flags = ("--tls", f"--tlscert={cert}", f"--tlskey={key}")
    with NatsServer(tmp_path / "nats", *flags) as server:
        for ca, said in (
            (key, f"setting nats_tls_ca: {key} holds no certificate in PEM"),
            (stranger, "; set nats_tls_ca to the authority that signed its certificate"),
            (None, "; set nats_tls_ca to the authority that signed its certificate"),
        ):
            settings = {"nats_tls_ca": ca} if ca else {}
            program = Program(tmp_path, nats_url=server.url, **settings)
            found = (await findings(program, "--url", "127.0.0.1:1"))["NATS"]
            assert found["text"].endswith(said)
            assert found["advice"] == ""


@pytest.mark.parametrize("args", [("serve", "--port", "0"), ("publish", "price", "SOL", "1.5")])
def test_a_file_that_holds_no_certificate_ends_the_command_at_once(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    """With one sentence, also while no NATS answers."""
    file = tmp_path / "ca.pem"
    file.write_text("junk")
    done = Program(tmp_path, nats_url="nats://127.0.0.1:1", nats_tls_ca=file).run(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"percolator: setting nats_tls_ca: {file} holds no certificate in PEM\n"


async def test_a_file_that_is_damaged_while_the_gateway_runs_is_named_and_read_again(
    tmp_path: Path,
) -> None:
    """Certificates are renewed; the gateway serves its clients meanwhile."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority = Authority(tmp_path)
    authority.issue(cert, key, "nats")
    good = authority.file.read_bytes()
    flags = ("--tls", f"--tlscert={cert}", f"--tlskey={key}")
    with NatsServer(tmp_path / "nats", *flags) as server:
        async with starting(server.url, STREAM, nats_tls_ca=authority.file) as gateway:
            await gateway.service.ready()
            await gateway.client("price:SOL")
            authority.file.write_text("junk")
            server.restart()
            await eventually(lambda: "setting nats_tls_ca: " in gateway.service.feed.trouble)
            assert not (await health(gateway))["checks"]["nats"]["ok"]
            authority.file.write_bytes(good)
            await eventually(lambda: not gateway.service.feed.trouble)
            assert gateway.service.admission.places.total == 1


async def test_what_nats_does_not_let_a_gateway_report_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, though no request fails of it."""
    with limited(tmp_path, READING) as server:
        operator = await server.operator()
        await operator.jetstream().add_stream(definition(STREAM))
        async with starting(server.login(), STREAM) as gateway:
            await gateway.service.ready()
            for _ in range(3):
                await operator.jetstream().publish(SUBJECT, b"{}")
            await gateway.has_read(3)
            said = 'NATS says: Permissions Violation for Publish to "percolator.rejected"'
            await eventually(lambda: said in caplog.messages)
        assert caplog.messages.count(said) == 1
        await operator.close()


def test_a_publisher_without_permission_gets_one_sentence(tmp_path: Path) -> None:
    """It names the subject, and what to do."""
    with limited(tmp_path / "nats", ["x"]) as server:
        done = Program(tmp_path, nats_url=server.login()).run("publish", "price", "SOL", "1.5")
    assert done.code == 1
    assert done.err == (
        "percolator: NATS does not acknowledge the event: Permissions Violation for Publish to "
        '"percolator.price.SOL" (allow it for this user, or set nats_prefix to the name that NATS '
        "gives it)\n"
    )


async def test_a_load_test_without_permission_gets_the_same_sentence(tmp_path: Path) -> None:
    """Not a guess that it publishes to another NATS than the gateway's."""
    with limited(tmp_path / "nats", ["x"]) as server:
        operator = await server.operator()
        await operator.jetstream().add_stream(definition(STREAM))
        async with starting(server.login("operator"), STREAM) as gateway:
            await gateway.service.ready()
            program = Program(tmp_path, nats_url=server.login())
            url = f"127.0.0.1:{gateway.port}"
            args = ("loadtest", "--url", url, "--connections", "1", "--duration", "1")
            done = await asyncio.to_thread(program.run, *args)
        await operator.close()
    assert done.code == 1
    assert done.err.startswith(
        "percolator: NATS does not acknowledge the event: Permissions Violation for Publish to "
        '"percolator.'
    )
    assert done.err.count("\n") == 1
