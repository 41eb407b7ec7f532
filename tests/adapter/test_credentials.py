"""Getting in: credentials files, and TLS to NATS that cannot be talked out of."""

from pathlib import Path

import pytest

from percolator.errors import NatsUnfitError, NatsUnreachableError
from percolator.jetstream import credentials, stream
from percolator.jetstream.connect import NatsAddress, connect
from tests.certificates import Authority
from tests.nats_operator import Operator
from tests.nats_server import NatsServer


async def test_a_credentials_file_gets_in(tmp_path: Path) -> None:
    """Where the server asks for a user of its operator, and for nobody else."""
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
    """A credentials file, with something wrong in each."""
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


def test_a_file_that_is_no_credentials_file_is_one_sentence(tmp_path: Path) -> None:
    """With the setting that names it, and nothing of what it holds."""
    file = tmp_path / "me.creds"
    Operator().write_credentials(file)
    for text in damaged(file.read_text()):
        file.write_text(text)
        with pytest.raises(NatsUnfitError) as raised:
            credentials.read(file)
        assert str(raised.value) == (
            f"the NATS credentials file {file} does not hold the JWT and the seed of a user: "
            "name another (nats_creds)"
        )


@pytest.mark.parametrize("content", [b"\xff\xfe", "é".encode()])
def test_a_file_that_is_no_text_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    """Whatever bytes it has."""
    file = tmp_path / "me.creds"
    file.write_bytes(content)
    with pytest.raises(NatsUnfitError, match="does not hold"):
        credentials.read(file)


async def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path, nats_url: str) -> None:
    """It was there when the settings were read."""
    address = NatsAddress(nats_url, creds=tmp_path / "gone.creds")
    with pytest.raises(NatsUnfitError, match="cannot be read"):
        await connect(address, name="test", reconnect=False)


async def test_a_server_with_a_certificate_of_our_authority_is_trusted(tmp_path: Path) -> None:
    """And no other; without the authority's file, nobody is."""
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
            with pytest.raises(NatsUnreachableError, match="TLS fails"):
                await connect(refused, name="test", reconnect=False)


async def test_nothing_is_said_in_plain_where_tls_is_wanted(nats_url: str, tmp_path: Path) -> None:
    """A server that does not ask for TLS gets no credentials, for it may be somebody else."""
    authority = Authority(tmp_path)
    plain = [
        NatsAddress(nats_url, token="a secret", tls_ca=authority.file),
        NatsAddress(nats_url.replace("nats://", "tls://"), token="a secret"),
    ]
    for address in plain:
        with pytest.raises(NatsUnreachableError, match="does not ask for TLS"):
            await connect(address, name="test", reconnect=False)
