"""The commands as a whole: help, version, wrong usage, and how errors end a process."""

from pathlib import Path

import pytest

from percolator import __version__
from percolator_cli import commands
from tests.cli.program import Program


def test_help_names_every_command_and_where_to_start(program: Program) -> None:
    """A newcomer can work from it."""
    done = program.run("--help")
    assert (done.code, done.err) == (0, "")
    assert "percolator serve --demo" in done.out
    for name in commands.COMMANDS:
        assert f"\n  {name} " in done.out


def test_no_command_at_all_shows_the_help_and_is_wrong_usage(program: Program) -> None:
    """As the help, but with exit code 2."""
    done = program.run()
    assert done.code == 2
    assert "percolator serve --demo" in done.err + done.out


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_each_command_is_listed_with_the_line_it_has_itself(name: str) -> None:
    """The listing does not import the commands, so its lines stand there twice."""
    assert (commands.load(name).help or "").partition("\n")[0] == commands.COMMANDS[name].summary


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_the_help_of_each_command_ends_with_an_example(
    program: Program, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """One that can be typed as it stands."""
    done = program.call(capsys, name, "--help")
    assert done.code == 0
    assert f"\n  percolator {name}" in done.out.partition("Examples:")[2]


def test_the_version_is_that_of_the_package(program: Program) -> None:
    """In one line."""
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
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    program: Program, args: list[str], sentence: str
) -> None:
    """It says what was wrong and where to read on."""
    done = program.run(*args)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"percolator: {sentence}")
    assert done.err.count("\n") == 1


def test_a_setting_that_cannot_be_used_is_exit_code_2(program: Program) -> None:
    """It names the setting, where it came from and what is allowed."""
    done = program.run("serve", env={"PERCOLATOR_PORT": "eighty"})
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("percolator: setting port (from PERCOLATOR_PORT): it must be")
    assert done.err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
def test_an_output_that_cannot_be_written_is_one_sentence(program: Program) -> None:
    """As on a full disk."""
    done = program.shell('"$0" config > /dev/full')
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("percolator: the output cannot be written (no space left on device)")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("line", ['"$0" config >&-', '"$0" config >&- 2>&-', '"$0" config <&-'])
def test_a_closed_stream_is_as_good_as_none(program: Program, line: str) -> None:
    """What would go there goes nowhere, and that is no fault."""
    done = program.shell(line)
    assert (done.code, done.err) == (0, "")


def test_a_reader_of_the_errors_who_has_seen_enough_is_no_fault(program: Program) -> None:
    """Of those neither."""
    done = program.shell('{ "$0" sreve 2>&1; echo $? >&2; } | true')
    assert done.err == "2\n"


def test_what_an_encoding_does_not_have_is_a_question_mark(program: Program) -> None:
    """A terminal that is not of UTF-8 gets the rest."""
    env = {"PYTHONIOENCODING": "ascii", "PERCOLATOR_HOST": "höst"}
    done = program.run("config", env=env)
    assert (done.code, done.err) == (0, "")
    assert "h?st" in done.out


def test_a_fault_of_ours_leaves_its_trace_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A person gets a sentence, and whoever mends it the file that the sentence names."""

    def broken() -> None:
        raise KeyError("a detail")

    monkeypatch.setattr(commands, "root", broken)
    assert commands.run() == 1
    sentence = capsys.readouterr().err
    assert sentence.startswith("percolator: this should not happen (KeyError)")
    with open(sentence.split()[-1]) as file:  # noqa: PTH123 - a name out of a sentence
        assert "a detail" in file.read()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(program: Program, shell: str) -> None:
    """What completion is installed with asks the program in this way."""
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
