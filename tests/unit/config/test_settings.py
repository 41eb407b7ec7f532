"""Settings: what a value may be, and which settings do not go together."""

from pathlib import Path

import pytest

from percolator.config.settings import SECRET, Settings
from percolator.config.sources import load
from percolator.config.types import rule_of
from tests.unit.config.conftest import refusal

SECRET_TEXT = "s" * 32
USER: dict[str, object] = {"nats_user": "me", "nats_password": "hunter2"}
NUMBERS = [
    name for name, field in Settings.model_fields.items() if field.annotation in (int, float)
]
INVALID_NUMBERS = ["", "nan", "inf", "-1", "1e400", "a lot", "true", "0x10", "1,5"]


def rule(name: str) -> str:
    """What the setting of this name allows."""
    return rule_of(Settings.model_fields[name])


@pytest.mark.parametrize("value", INVALID_NUMBERS)
@pytest.mark.parametrize("name", NUMBERS)
def test_an_invalid_number_in_the_environment_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that does not parse never switches a limit off."""
    variable = f"PERCOLATOR_{name.upper()}"
    monkeypatch.setenv(variable, value)
    assert refusal() == f"setting {name} (from {variable}): it must be {rule(name)}, not {value!r}"


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "true", '"x"', "[1]"])
def test_an_invalid_number_in_the_file_is_refused(
    name: str, value: str, empty_folder: Path
) -> None:
    """TOML has its own NaN, infinity and booleans."""
    (empty_folder / "percolator.toml").write_text(f"{name} = {value}\n")
    assert f"setting {name} (from percolator.toml): it must be {rule(name)}" in refusal()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("host", "a..b", "it must be an IP address or a hostname, not 'a..b'"),
        ("host", "a\nb", "it must be an IP address or a hostname"),
        ("port", "65536", "it must be a whole number from 0 to 65,535, not '65536'"),
        ("log_capacity", "0", "it must be a whole number from 1 to 1,000,000, not '0'"),
        ("max_buffered_bytes", "10", "it must be 0, or a whole number from 1,024 to 10,000,000"),
        ("stream", "a b", "it must be 1 to 64 letters, digits, _ or -, not 'a b'"),
        ("nats_creds", "/no/such", "it must be the path of an existing file, not '/no/such'"),
        ("tls_cert", "~unknown-user/x", "it must be the path of an existing file"),
        ("data_dir", "", "it must be the path of a folder, not ''"),
        ("auth", "maybe", "it must be true or false, not 'maybe'"),
        ("log_level", "loud", "it must be debug, info, warning or error, not 'loud'"),
        ("trusted_proxies", "10.0.0.0/33", "it must be networks such as 10.0.0.0/8"),
        ("allowed_hosts", "https://example.com", "it must be host names such as feed.example.com"),
        ("allowed_hosts", "a b", "it must be host names such as feed.example.com"),
        ("allowed_origins", "example.com", "it must be origins such as https://example.com"),
        ("allowed_origins", "https://a.example/path", "it must be origins such as"),
        ("allowed_origins", "https://a.example, *.a.example", "it must be origins such as"),
        ("max_price_jump", "0.5", "it must be 0, or a number from 1 to 1,000,000,000"),
        ("max_price_jump", "inf", "it must be 0, or a number from 1 to 1,000,000,000"),
        ("nats_url", "", "it must be one or more addresses such as nats://127.0.0.1:4222"),
        ("nats_url", "http://x", "it must be one or more addresses such as"),
        ("nats_url", "nats://x:99999", "it must be one or more addresses such as"),
        ("nats_url", "nats://x,,nats://y", "it must be one or more addresses such as"),
    ],
)
def test_a_refusal_names_the_setting_its_origin_the_rule_and_the_value(
    name: str, value: str, said: str
) -> None:
    """In one sentence on one line."""
    sentence = refusal({name: value})
    assert sentence.startswith(f"setting {name} (from --{name.replace('_', '-')}): {said}")
    assert "\n" not in sentence


@pytest.mark.parametrize("name", sorted(SECRET))
def test_an_empty_secret_is_refused_and_no_secret_is_shown(name: str) -> None:
    """An empty key would sign valid tokens, and an empty token would admit every client."""
    assert refusal({name: ""}).endswith(f"it must be {rule(name)}")
    assert refusal({name: ["hunter2"]}).endswith(f"it must be {rule(name)}")
    assert SECRET_TEXT not in repr(load({"auth_secret": SECRET_TEXT}).settings)


def test_a_refused_nats_address_is_shown_without_its_login() -> None:
    """The host and the port are what the operator has to correct."""
    sentence = refusal({"nats_url": "nats://me:hunter2@x:99999"})
    assert "hunter2" not in sentence
    assert sentence.endswith("not 'nats://x:99999'")


@pytest.mark.parametrize(
    "url",
    [
        *("nats://me:hunter2#x@a:1", "nats://me:hunter2?x@a:1", "nats://me:hunter2/x@a:1"),
        *("nats://a:1#x", "nats://a:1?tls=true", "nats://a:1/x", "nats://me:hunter2,x@a:1"),
        *("nats://b:1,nats://me:hunter2/x@a:1", "nats://me:hunter2%FF@a:1"),
    ],
)
def test_an_address_with_an_unescaped_character_is_refused_with_the_escapes(url: str) -> None:
    """Nothing of the password is shown."""
    sentence = refusal({"nats_url": url})
    assert sentence.startswith("setting nats_url (from --nats-url): ")
    assert sentence.endswith(
        ": in a user or password, write % as %25, # as %23, ? as %3F, / as %2F, @ as %40 "
        "and a comma as %2C"
    )
    assert "hunter2" not in sentence


def test_a_slash_at_the_end_of_a_nats_address_is_accepted() -> None:
    """As in the addresses of other programs."""
    assert load({"nats_url": "nats://a:1/"}).settings.nats_url == "nats://a:1/"


@pytest.mark.parametrize("prefix", ["", ".", "a.", ".a", "a..b", "a.*", ">", "a b", "a" * 65])
def test_an_inbox_prefix_that_is_not_a_subject_is_refused(prefix: str) -> None:
    """With a wildcard, every user would hear each answer."""
    assert refusal({"nats_inbox_prefix": prefix}).startswith(
        "setting nats_inbox_prefix (from --nats-inbox-prefix): it must be a subject without "
        "wildcards, such as _INBOX.gateway"
    )


def test_nats_addresses_may_omit_the_scheme() -> None:
    """The scheme is added."""
    settings = load({"nats_url": "nats://me:hunter2@a:1, b:2"}).settings
    assert settings.nats_url == "nats://me:hunter2@a:1,nats://b:2"


def test_a_file_that_cannot_be_looked_up_is_refused_in_one_sentence() -> None:
    """Its name is too long for the system; a folder that is closed to us fails in the same way."""
    assert refusal({"nats_tls_key": "x" * 300}) == (
        f"setting nats_tls_key (from --nats-tls-key): {'x' * 200} cannot be read "
        "(File name too long)"
    )


@pytest.mark.parametrize("length", [10, 1_000])
def test_the_content_of_a_file_in_place_of_its_path_is_refused_unseen(length: int) -> None:
    """It may be a private key."""
    sentence = refusal({"tls_key": f"-----BEGIN PRIVATE KEY-----\n{'hunter2' * length}\n-----END"})
    assert sentence == (
        "setting tls_key (from --tls-key): it must be the path of a file, not what is in the file"
    )


def test_a_short_signing_secret_is_refused() -> None:
    """HS256 needs 32 bytes; bytes, not characters."""
    assert "it must be a string of at least 32 bytes" in refusal({"auth_secret": "s" * 31})
    assert load({"auth_secret": "é" * 16}).settings.auth_secret is not None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"auth": "true"}, "setting auth (from --auth): it needs a key: set auth_secret"),
        ({"tls_cert": "file"}, "setting tls_cert (from --tls-cert): it also needs tls_key"),
        ({"tls_key": "file"}, "setting tls_key (from --tls-key): it also needs tls_cert"),
        (
            {"auth_secret": SECRET_TEXT, "auth_public_key": "file"},
            "setting auth_public_key (from --auth-public-key): it cannot be combined with",
        ),
        (
            {"message_burst": "0"},
            "setting message_burst (from --message-burst): it must be at least 1; to switch",
        ),
        (
            {"proxy_protocol": "true"},
            "setting proxy_protocol (from --proxy-protocol): it also needs trusted_proxies",
        ),
        ({"nats_tls_cert": "file"}, "setting nats_tls_cert (from --nats-tls-cert): it also needs"),
        ({"nats_tls_key": "file"}, "setting nats_tls_key (from --nats-tls-key): it also needs"),
        ({"nats_user": "me"}, "setting nats_user (from --nats-user): it also needs nats_password"),
        ({"nats_password": "x"}, "setting nats_password (from --nats-password): it also needs"),
        (
            {**USER, "nats_url": "nats://a:1,nats://me@b:1"},
            "setting nats_user (from --nats-user): it cannot be combined with a login in nats_url",
        ),
        (
            {**USER, "nats_token": "x"},
            "setting nats_user (from --nats-user): it cannot be combined with nats_token",
        ),
        (
            {**USER, "nats_creds": "file"},
            "setting nats_user (from --nats-user): it cannot be combined with nats_creds",
        ),
        (
            {"reject_price_jump": "true"},
            "setting reject_price_jump (from --reject-price-jump): it also needs max_price_jump",
        ),
        ({"attempt_burst": "0"}, "setting attempt_burst (from --attempt-burst): it must be at"),
    ],
)
def test_conflicting_settings_are_refused(
    flags: dict[str, object], said: str, empty_folder: Path
) -> None:
    """Otherwise the gateway would not be what its operator thinks it is."""
    (empty_folder / "file").touch()
    assert refusal(flags).startswith(said)


def test_settings_that_go_together_are_accepted(empty_folder: Path) -> None:
    """The other side of the same rules."""
    (empty_folder / "file").touch()
    load({"auth": "true", "auth_secret": SECRET_TEXT})
    load({"auth": "true", "auth_public_key": "file"})
    load({"tls_cert": "file", "tls_key": "file"})
    load({"nats_tls_cert": "file", "nats_tls_key": "file"})
    load({**USER, "nats_url": "nats://a:1,tls://b:1"})
    load(USER)
    load({"nats_prefix": "gateway", "nats_inbox_prefix": "_INBOX.other"})
    load({"proxy_protocol": "true", "trusted_proxies": "10.0.0.1"})
    load({"reject_price_jump": "true", "max_price_jump": "10"})
    load({"messages_per_second": "0", "message_burst": "0"})


def test_lists_are_read_from_strings_and_from_toml(empty_folder: Path) -> None:
    """A network may have host bits; origins are stored as browsers write them."""
    flags = {"trusted_proxies": "10.1.2.3/8, ::1", "allowed_origins": "HTTPS://Example.com:443"}
    settings = load(flags).settings
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "::1/128"]
    assert settings.allowed_origins == ("https://example.com",)
    (empty_folder / "percolator.toml").write_text(
        'allowed_origins = ["http://localhost:3000", "http://[::1]"]\n'
    )
    assert load().settings.allowed_origins == ("http://localhost:3000", "http://[::1]")
