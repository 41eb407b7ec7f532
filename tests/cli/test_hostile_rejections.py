"""`percolator rejected` against a gateway that is hostile, and with a NATS that refuses it."""

import json
from pathlib import Path

import pytest

from tests.cli.hostile_answers import assert_harmless, assert_one_sentence
from tests.cli.program import Program
from tests.cli.terminal import terminal
from tests.hostile import ESCAPES, HARMFUL, HostileGateway, page
from tests.integration import deployed

REJECTION = {"seq": 7, "subject": "percolator.trade.SOL", "reason": "invalid_price"}
HARMFUL_ONE = {
    "seq": 2**53 - 1,
    "subject": f"percolator.trade.{ESCAPES}",
    "reason": ESCAPES,
    "epoch": ESCAPES,
    "message": f"[red]{ESCAPES}" * 100,
    "id": ESCAPES,
    "payload": ESCAPES,
    "time": 2**53 - 1,
    "more": [ESCAPES],
}


def answer(*rejections: object, **other: object) -> bytes:
    """Return a gateway's answer with these rejections."""
    return page({"run": "r", "total": len(rejections), "rejected": [*rejections], **other})


def test_rejections_of_a_gateway_are_shown_without_escapes(
    program: Program, hostile: HostileGateway
) -> None:
    """In a pipe, as JSON and in a terminal; mark-up is shown as it is."""
    hostile.pages["/rejected"] = answer(HARMFUL_ONE)
    args = ("rejected", "--url", hostile.http)
    done = program.run(*args)
    assert_harmless(done)
    assert (done.code, done.out.count("\n")) == (0, 1)
    assert "[red]" in done.out
    as_json = program.run(*args, "--json")
    assert_harmless(as_json)
    assert as_json.json["seq"] == 2**53 - 1
    with terminal(program, *args) as screen:
        assert screen.end() == 0
    shown = screen.shown.decode()
    # A terminal adds \r, and the program its own colours.
    assert not [harm for harm in HARMFUL if harm in shown and harm not in ("\r", "\x1b[31m")]


MALFORMED = {
    "run is missing": page({}),
    "total is not valid": answer(total=-1),
    "rejected is not valid": answer(rejected=5),
    "rejected.0.seq is missing": answer({}),
    "rejected.0.seq is not valid": answer(REJECTION | {"seq": 2**63}),
    "rejected.0.subject is not valid": answer(REJECTION | {"subject": 5}),
    "rejected.0.time is not valid": answer(REJECTION | {"time": 1e300}),
    "rejected.0.accepted is not valid": answer(REJECTION | {"accepted": "x"}),
    "no JSON": page(b"<html>"),
    "HTTP 500": page(b"", "500 x"),
}


@pytest.mark.parametrize("why", MALFORMED)
def test_malformed_rejections_are_reported_in_one_sentence(
    program: Program, hostile: HostileGateway, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    """It names the field."""
    hostile.pages["/rejected"] = MALFORMED[why]
    assert_one_sentence(program.call(capsys, "rejected", "--url", hostile.http), why, "/rejected")


def test_a_gateway_without_the_page_is_older(
    program: Program, hostile: HostileGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence says what else can be done."""
    hostile.pages["/rejected"] = page(b"", "404 Not Found")
    done = program.call(capsys, "rejected", "--url", hostile.http)
    assert_one_sentence(done, "an older gateway keeps no rejections", "--nats")


def test_rejections_that_were_lost_between_two_looks_are_counted(
    program: Program, hostile: HostileGateway
) -> None:
    """A gateway keeps 500, and a flood may have more between two looks."""
    hostile.pages["/rejected"] = answer(REJECTION)
    with program.start("rejected", "--follow", "--json", "--url", hostile.http) as running:
        assert json.loads(running.line())["seq"] == 7
        hostile.pages["/rejected?since=1"] = answer(REJECTION | {"seq": 11}, total=5)
        assert "3 rejections came too fast" in running.complaint("too fast")
        assert json.loads(running.line())["seq"] == 11


def test_a_publisher_reads_its_rejections_with_the_login_that_it_has(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nats-server.conf as it is; a gateway's login may not, and the sentence says so."""
    deployed.set_passwords(monkeypatch)
    with deployed.serving(tmp_path / "nats") as server:

        def args(user: str) -> tuple[str, ...]:
            return "rejected", "--nats-url", deployed.login(server, user), "--nats-prefix", user

        with program.start(*args("publisher")) as running:
            assert "connected to NATS" in running.complaint("waiting for rejections")
        done = program.run(*args("gateway"))
    assert (done.code, done.out) == (1, "")
    assert "NATS does not let this user read percolator.rejected" in done.err
    assert "agateway" not in done.err
