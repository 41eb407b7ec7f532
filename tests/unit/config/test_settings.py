"""Settings: four layers, and a sentence where a value cannot be used."""

from pathlib import Path

import pytest

from percolator.config.settings import SECRET, Settings, allowed_for, load, shown
from percolator.errors import SettingsError

SECRET_TEXT = "s" * 32
NUMBERS = [
    name for name, field in Settings.model_fields.items() if field.annotation in (int, float)
]
UNUSABLE = ["", "nan", "inf", "-1", "1e400", "a lot", "true", "0x10", "1,5"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a percolator.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(flags: dict[str, object] | None = None) -> str:
    """The sentence that settings are refused with."""
    with pytest.raises(SettingsError) as caught:
        load(flags)
    return str(caught.value)


def test_the_defaults_are_in_force_where_nothing_is_said() -> None:
    """A gateway needs no settings at all."""
    loaded = load()
    assert loaded.settings == Settings()
    assert (loaded.settings.host, loaded.settings.port) == ("127.0.0.1", 3001)
    assert set(loaded.origins.values()) == {"default"}


def test_the_first_layer_that_speaks_wins(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags, then the environment, then the file; each value knows where it came from."""
    toml = "port = 1\nbacklog = 1\nping_interval = 1.5\nmax_connections = 0\n"
    (empty_folder / "percolator.toml").write_text(toml)
    monkeypatch.setenv("PERCOLATOR_PORT", "2")
    monkeypatch.setenv("PERCOLATOR_BACKLOG", "2")
    loaded = load({"port": "3", "host": None})
    settings, origins = loaded.settings, loaded.origins
    assert (settings.port, settings.backlog, settings.ping_interval) == (3, 2, 1.5)
    assert settings.max_connections == 0
    assert (origins["port"], origins["backlog"]) == ("--port", "PERCOLATOR_BACKLOG")
    assert (origins["ping_interval"], origins["host"]) == ("percolator.toml", "default")


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_that_is_none_or_negative_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never is a limit switched off by a value that does not parse."""
    variable = f"PERCOLATOR_{name.upper()}"
    monkeypatch.setenv(variable, value)
    assert refusal() == (
        f"setting {name} (from {variable}): it must be {allowed_for(name)}, not {value!r}"
    )


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true", '"x"', "[1]"])
def test_a_number_of_the_file_is_checked_as_well(name: str, value: str, empty_folder: Path) -> None:
    """TOML has numbers of its own, and those that are none."""
    (empty_folder / "percolator.toml").write_text(f"{name} = {value}\n")
    assert f"setting {name} (from percolator.toml): it must be {allowed_for(name)}" in refusal()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("host", "a..b", "it must be an address or a name, not 'a..b'"),
        ("host", "a\nb", "it must be an address or a name"),
        ("port", "65536", "it must be a whole number from 0 to 65,535, not '65536'"),
        ("log_capacity", "0", "it must be a whole number from 1 to 1,000,000, not '0'"),
        ("max_buffered_bytes", "10", "it must be 0, or a whole number from 1,024 to 10,000,000"),
        ("stream", "a b", "it must be 1 to 64 of the characters A-Z, a-z, 0-9, _ and -, not 'a b'"),
        ("nats_creds", "/no/such", "it must be the path of a file that is there, not '/no/such'"),
        ("tls_cert", "~nobody-of-this-name/x", "it must be the path of a file that is there"),
        ("data_dir", "", "it must be the path of a folder, not ''"),
        ("auth", "maybe", "it must be true or false, not 'maybe'"),
        ("log_level", "loud", "it must be debug, info, warning or error, not 'loud'"),
        ("trusted_proxies", "10.0.0.0/33", "it must be networks such as 10.0.0.0/8"),
        ("allowed_origins", "example.com", "it must be origins such as https://example.com"),
        ("allowed_origins", "https://a.example/path", "it must be origins such as"),
        ("allowed_origins", "*", "it must be origins such as"),
        ("nats_url", "", "it must be one or more addresses such as nats://127.0.0.1:4222"),
        ("nats_url", "http://x", "it must be one or more addresses such as"),
        ("nats_url", "nats://x:99999", "it must be one or more addresses such as"),
        ("nats_url", "nats://x,,nats://y", "it must be one or more addresses such as"),
    ],
)
def test_a_refusal_says_what_is_allowed(name: str, value: str, said: str) -> None:
    """Setting, origin, rule and value stand in one sentence."""
    sentence = refusal({name: value})
    assert sentence.startswith(f"setting {name} (from --{name.replace('_', '-')}): {said}")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", sorted(SECRET))
def test_a_secret_may_not_be_empty_and_is_never_shown(name: str) -> None:
    """An empty key would sign valid tokens, and an empty token would open the door."""
    assert refusal({name: ""}).endswith(f"it must be {allowed_for(name)}")
    assert refusal({name: ["hunter2"]}).endswith(f"it must be {allowed_for(name)}")


def test_a_password_in_an_address_is_not_shown() -> None:
    """Neither in a refusal nor in a table of settings."""
    assert "hunter2" not in refusal({"nats_url": "nats://me:hunter2@x:99999"})
    settings = load({"nats_url": "nats://me:hunter2@a:1, b:2"}).settings
    assert settings.nats_url == "nats://me:hunter2@a:1,nats://b:2"
    assert shown(settings, "nats_url") == "nats://a:1, nats://b:2"


def test_a_short_signing_secret_is_refused() -> None:
    """HS256 needs 32 bytes; bytes, not characters."""
    assert "it must be a text of 32 bytes or more" in refusal({"auth_secret": "s" * 31})
    assert load({"auth_secret": "é" * 16}).settings.auth_secret is not None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"auth": "true"}, "setting auth (from --auth): it needs a key: set auth_secret"),
        ({"tls_cert": "file"}, "setting tls_cert (from --tls-cert): it needs tls_key beside it"),
        ({"tls_key": "file"}, "setting tls_key (from --tls-key): it needs tls_cert beside it"),
        (
            {"auth_secret": SECRET_TEXT, "auth_public_key": "file"},
            "setting auth_public_key (from --auth-public-key): it must not be set beside",
        ),
        (
            {"message_burst": "0"},
            "setting message_burst (from --message-burst): it must be 1 or more; to switch",
        ),
        ({"attempt_burst": "0"}, "setting attempt_burst (from --attempt-burst): it must be 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    flags: dict[str, object], said: str, empty_folder: Path
) -> None:
    """Each of them would be a gateway other than the operator thinks."""
    (empty_folder / "file").touch()
    assert refusal(flags).startswith(said)


def test_settings_that_do_go_together_are_taken(empty_folder: Path) -> None:
    """The other side of the same rules."""
    (empty_folder / "file").touch()
    load({"auth": "true", "auth_secret": SECRET_TEXT})
    load({"auth": "true", "auth_public_key": "file"})
    load({"tls_cert": "file", "tls_key": "file"})
    load({"messages_per_second": "0", "message_burst": "0"})


def test_an_unknown_setting_is_refused_with_the_nearest_name(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slip of the keyboard must not leave a limit at its default."""
    (empty_folder / "percolator.toml").write_text("max_conections = 5\n")
    assert refusal() == (
        "percolator.toml: there is no setting 'max_conections'; did you mean max_connections?"
    )
    (empty_folder / "percolator.toml").unlink()
    monkeypatch.setenv("PERCOLATOR_MAX_CONECTIONS", "5")
    assert refusal() == (
        "environment: there is no setting PERCOLATOR_MAX_CONECTIONS; "
        "did you mean PERCOLATOR_MAX_CONNECTIONS?"
    )


@pytest.mark.parametrize("content", [b"port = ", b"\xff", b"[port]\nx = 1\n"])
def test_a_file_that_cannot_be_used_is_refused(content: bytes, empty_folder: Path) -> None:
    """No TOML, no UTF-8, or a table where a value should stand."""
    (empty_folder / "percolator.toml").write_bytes(content)
    assert "percolator.toml" in refusal()


def test_a_folder_in_the_place_of_the_file_is_refused(empty_folder: Path) -> None:
    """It is there, and cannot be read."""
    (empty_folder / "percolator.toml").mkdir()
    assert refusal().startswith("percolator.toml is a folder")


def test_lists_are_read_from_texts_and_from_toml(empty_folder: Path) -> None:
    """Networks with host bits are taken as their network; origins as browsers write them."""
    flags = {"trusted_proxies": "10.1.2.3/8, ::1", "allowed_origins": "HTTPS://Example.com:443"}
    settings = load(flags).settings
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.allowed_origins == ("https://example.com",)
    (empty_folder / "percolator.toml").write_text(
        'allowed_origins = ["http://localhost:3000", "http://[::1]"]\n'
    )
    assert load().settings.allowed_origins == ("http://localhost:3000", "http://[::1]")


def test_settings_are_shown_as_one_writes_them(empty_folder: Path) -> None:
    """For `percolator config`: no Python, and no secret."""
    (empty_folder / "key.pem").touch()
    flags = {
        "auth": "true",
        "auth_secret": SECRET_TEXT,
        "trusted_proxies": "10.0.0.0/8,::1",
        "tls_cert": "key.pem",
        "tls_key": "key.pem",
    }
    settings = load(flags).settings
    names = ("auth", "auth_secret", "trusted_proxies", "tls_cert", "price_interval", "nats_url")
    assert [shown(settings, name) for name in names] == [
        "true",
        "(set, not shown)",
        "10.0.0.0/8, ::1/128",
        "key.pem",
        "0.5",
        "",
    ]
    assert SECRET_TEXT not in "".join(shown(settings, name) for name in Settings.model_fields)
    assert SECRET_TEXT not in repr(settings)
