"""The command line as a whole: help, version, wrong usage and errors."""

from pathlib import Path

import pytest

from percolator import __version__
from percolator_cli import commands
from tests.cli.program import Program


def test_help_lists_every_command_and_how_to_start(program: Program) -> None:
    """A new user can start from it."""
    done = program.run("--help")
    assert (done.code, done.err) == (0, "")
    assert "percolator serve --demo" in done.out
    for name in commands.COMMANDS:
        assert f"\n  {name} " in done.out


def test_running_without_a_command_shows_the_help_and_is_wrong_usage(program: Program) -> None:
    """It prints the same as --help, but the exit code is 2."""
    done = program.run()
    assert done.code == 2
    assert "percolator serve --demo" in done.err + done.out


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_listing_shows_the_first_line_of_each_commands_help(name: str) -> None:
    """The listing does not import the commands, so these lines are written twice."""
    assert (commands.load(name).help or "").partition("\n")[0] == commands.COMMANDS[name].summary


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_help_of_each_command_ends_with_an_example(
    program: Program, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The example can be typed as it is."""
    done = program.call(capsys, name, "--help")
    assert done.code == 0
    assert f"\n  percolator {name}" in done.out.partition("Examples:")[2]


def test_version_prints_the_version_of_the_package(program: Program) -> None:
    """The output is one line."""
    assert program.run("--version").out == f"percolator {__version__}\n"


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["sreve"], "no such command 'sreve'. Did you mean 'serve'? See `percolator --help`"),
        (
            ["publish", "price", "SOL", "1", "--mak", "2"],
            "no such option: --mak (Possible options: --mark); see `percolator publish price",
        ),
        (["publish", "price", "SOL"], "missing argument 'PRICE'; see `percolator publish price"),
    ],
)
def test_wrong_usage_is_reported_in_one_sentence_with_exit_code_2(
    program: Program, args: list[str], sentence: str
) -> None:
    """The error says what is wrong and which help to read."""
    done = program.run(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"percolator: {sentence}")
    assert done.err.count("\n") == 1


def test_an_invalid_setting_is_exit_code_2(program: Program) -> None:
    """The error has the setting's name, its origin and the rule."""
    done = program.run("serve", env={"PERCOLATOR_PORT": "eighty"})
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("percolator: setting port (from PERCOLATOR_PORT): it must be")
    assert done.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_unwritable_output_is_reported_in_one_sentence(program: Program) -> None:
    """/dev/full behaves like a full disk."""
    done = program.shell('"$0" config > /dev/full')
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: the output cannot be written (no space left on device)")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("line", ['"$0" config >&-', '"$0" config >&- 2>&-', '"$0" config <&-'])
def test_a_command_succeeds_with_a_closed_standard_stream(program: Program, line: str) -> None:
    """What would be printed there is discarded."""
    done = program.shell(line)
    assert (done.code, done.err) == (0, "")


def test_a_closed_standard_error_does_not_change_the_exit_code(program: Program) -> None:
    """The error cannot be printed, but the exit code is still that of wrong usage."""
    done = program.shell('{ "$0" sreve 2>&1; echo $? >&2; } | true')
    assert done.err == "2\n"


def test_characters_that_the_encoding_lacks_are_printed_as_question_marks(program: Program) -> None:
    """Here the encoding is ASCII."""
    env = {"PYTHONIOENCODING": "ascii", "PERCOLATOR_HOST": "höst"}
    done = program.run("config", env=env)
    assert (done.code, done.err) == (0, "")
    assert "h?st" in done.out


def test_an_internal_error_is_one_sentence_and_its_traceback_goes_to_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence ends with the file's name."""

    def broken() -> None:
        raise KeyError("a detail")

    monkeypatch.setattr(commands, "root", broken)
    assert commands.run() == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith("percolator: internal error (KeyError)")
    with open(sentence.split()[-1]) as file:  # noqa: PTH123 - the name is a string
        assert "a detail" in file.read()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(program: Program, shell: str) -> None:
    """An installed completion calls the program with these variables."""
    asked = {
        "_PERCOLATOR_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "percolator pub",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "percolator pub",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = program.run(env=asked)
    assert "publish" in done.out
    assert "serve" not in done.out
