"""Access to NATS: credentials files, and TLS that a server cannot refuse."""

from pathlib import Path

import pytest

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import credentials, stream
from percolator.jetstream.address import NatsAddress
from percolator.jetstream.connect import connect
from tests.certificates import Authority
from tests.nats_operator import Operator
from tests.nats_server import NatsServer


async def test_connect_logs_in_with_a_credentials_file(tmp_path: Path) -> None:
    """The server accepts only users of its own operator."""
    operator = Operator()
    config, creds, others = tmp_path / "nats.conf", tmp_path / "me.creds", tmp_path / "other.creds"
    config.write_text(operator.configuration())
    operator.write_credentials(creds)
    Operator().write_credentials(others)
    with NatsServer(tmp_path / "nats", "--config", str(config)) as server:
        client = await connect(NatsAddress(server.url, creds=creds), name="test", reconnect=False)
        assert (await stream.ensure(client, "PERCOLATOR")).last_seq == 0
        await client.close()
        for refused in (NatsAddress(server.url), NatsAddress(server.url, creds=others)):
            with pytest.raises(NatsUnreachableError, match="uthorization"):
                await connect(refused, name="test", reconnect=False)


def damaged(text: str) -> list[str]:
    """Variants of a credentials file, each with one error."""
    seed = text.partition("SEED-----\n")[2].partition("\n")[0]
    return [
        "",
        text.replace("USER JWT", "USER JOT"),
        text.replace("USER NKEY SEED", "SOMETHING ELSE"),
        text.replace(seed, seed[:-1]),
        text.replace(seed, seed[:20] + ("A" if seed[20] != "A" else "B") + seed[21:]),
        text.replace(seed, "SO" + seed[2:]),
        text.replace(seed, seed.lower()),
    ]


def test_an_invalid_credentials_file_raises_one_sentence(tmp_path: Path) -> None:
    """It names the setting, and quotes nothing from the file."""
    file = tmp_path / "me.creds"
    Operator().write_credentials(file)
    for text in damaged(file.read_text()):
        file.write_text(text)
        with pytest.raises(NatsUnfitError) as raised:
            credentials.read(file)
        assert str(raised.value) == (
            f"the NATS credentials file {file} does not contain the JWT and seed of a user: "
            "set nats_creds to another"
        )


@pytest.mark.parametrize("content", [b"\xff\xfe", "é".encode()])
def test_a_binary_credentials_file_raises_one_sentence(content: bytes, tmp_path: Path) -> None:
    """Its bytes are not ASCII."""
    file = tmp_path / "me.creds"
    file.write_bytes(content)
    with pytest.raises(NatsUnfitError, match="does not contain"):
        credentials.read(file)


async def test_a_missing_credentials_file_raises_one_sentence(
    tmp_path: Path, nats_url: str
) -> None:
    """It existed when the settings were read."""
    address = NatsAddress(nats_url, creds=tmp_path / "gone.creds")
    with pytest.raises(NatsUnfitError, match="cannot be read"):
        await connect(address, name="test", reconnect=False)


async def test_connect_trusts_only_a_server_with_a_certificate_of_our_authority(
    tmp_path: Path,
) -> None:
    """Without the authority's file, it trusts no server."""
    authority = Authority(tmp_path)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.issue(cert, key, "nats")
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other")
    flags = ("--tls", "--tlscert", str(cert), "--tlskey", str(key))
    with NatsServer(tmp_path / "nats", *flags) as server:
        address = NatsAddress(server.url, tls_ca=authority.file)
        client = await connect(address, name="test", reconnect=False)
        assert client.is_connected
        await client.close()
        for refused in (NatsAddress(server.url, tls_ca=stranger.file), NatsAddress(server.url)):
            with pytest.raises(
                NatsUnreachableError,
                match="the TLS handshake failed: unable to get local issuer certificate",
            ):
                await connect(refused, name="test", reconnect=False)


@pytest.mark.parametrize("scheme", ["nats", "tls"])
async def test_one_tls_address_binds_the_whole_list_to_tls(scheme: str, nats_url: str) -> None:
    """Wherever it is in the list; the password must not depend on which server answers."""
    login, nowhere = "alice:hunter2@", "tls" if scheme == "nats" else "nats"
    plain = nats_url.replace("nats://", f"{scheme}://{login}")
    for url in (f"{nowhere}://{login}127.0.0.1:1,{plain}", f"{plain},{nowhere}://127.0.0.1:1"):
        with pytest.raises(NatsUnreachableError, match="does not offer TLS"):
            await connect(NatsAddress(url), name="test", reconnect=False)


async def test_connect_sends_nothing_to_a_server_without_tls(nats_url: str, tmp_path: Path) -> None:
    """If TLS is required: the server could be an attacker's."""
    authority = Authority(tmp_path)
    plain = [
        NatsAddress(nats_url, token="a secret", tls_ca=authority.file),
        NatsAddress(nats_url.replace("nats://", "tls://"), token="a secret"),
    ]
    for address in plain:
        with pytest.raises(NatsUnreachableError, match="does not offer TLS"):
            await connect(address, name="test", reconnect=False)
