"""The manual: complete, current, and in every form."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.completion.command import SHELLS
from cli.main import COMMANDS, notify
from cli.manual.markdown import document
from cli.manual.pages import ENVIRONMENT, pages, summary
from cli.terminal import failure
from cli.terminal.failure import CODES

ROOT = Path(__file__).parents[2]
PAGES = {page.path: page for page in pages(notify)}
LINES = [(path, line) for path, page in PAGES.items() for line, _ in page.examples]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that is called, and what is left for it."""
    found: click.Command = notify
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        one = found.get_command(click.Context(found), words[0])
        assert one is not None, words
        found, words = one, words[1:]
    return found, words


@pytest.mark.parametrize("path", PAGES)
def test_every_command_is_described_by_an_entry_in_examples_json(path: str) -> None:
    page = PAGES[path]
    assert page.paragraphs[0].endswith("."), "a docstring, whose first sentence says what it does"
    assert page.examples, f"cli/manual/examples.json has no entry {path!r}"
    assert {0, 2} <= page.codes.keys()
    assert all(option.help for option in page.options), "each option says what it is for"


@pytest.mark.parametrize(("path", "line"), LINES, ids=str)
def test_every_example_is_a_valid_command(path: str, line: str) -> None:
    called = re.search(r"(?:^|\$\(| )(notify .*?)(?:\)\"?$| \| | > |$)", line)
    assert called is not None
    command, words = command_of(shlex.split(called[1])[1:])
    context = click.Context(command, resilient_parsing=True)
    command.make_parser(context).parse_args(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_of_each_command_is_current(name: str) -> None:
    command = notify.commands.get(name) or notify.get_command(click.Context(notify), name)
    assert command is not None
    assert summary(name) == command.get_short_help_str(200)


def test_docs_cli_md_is_current() -> None:
    written = (ROOT / "docs" / "cli.md").read_text()
    assert written == document(pages(notify)), "run: python docs/command_line.py > docs/cli.md"


def test_every_exit_code_is_documented_in_one_place() -> None:
    kinds = [kind for kind in vars(failure).values() if isinstance(kind, type)]
    raised = {kind.exit_code for kind in kinds if issubclass(kind, click.ClickException)}
    assert raised | {0, 2} == CODES.keys()
    assert PAGES[""].codes == CODES


def test_help_ends_with_examples_environment_and_exit_codes() -> None:
    shown = CliRunner().invoke(notify, ["drain", "--help"]).stdout
    assert "    notify drain --timeout 600\n        wait as long as the slowest mail may take" in shown
    assert "    DATABASE_URL  PostgreSQL; if not set, that of the `notify up`" in shown
    assert "    75  not finished in time: run the command again" in shown


def test_help_of_a_command_in_a_group_has_its_own_examples() -> None:
    shown = CliRunner().invoke(notify, ["keys", "rotate", "--help"]).stdout
    assert "notify keys rotate 12 --overlap 3600" in shown
    assert "NOTIFY_KEY" not in shown


def test_the_manual_knows_the_environment_variables_of_a_command() -> None:
    assert PAGES["send"].environment.keys() == ENVIRONMENT["api"].keys()
    assert "REDIS_URL" in PAGES["top"].environment


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_prints_a_script_that_asks_notify(shell: str) -> None:
    shown = CliRunner().invoke(notify, ["completion", shell])
    assert shown.exit_code == 0
    assert f"_NOTIFY_COMPLETE={shell}_complete" in shown.stdout


def test_the_completion_script_for_bash_is_valid() -> None:
    script = CliRunner().invoke(notify, ["completion", "bash"]).stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_completion_imports_no_command() -> None:
    script = (
        "import sys; from cli.main import notify; import click;"
        "found = notify.shell_complete(click.Context(notify), 're');"
        "print(*(item.value for item in found));"
        "sys.exit(any(name.startswith('cli.client.control') or name in ('peewee', 'dramatiq') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "retry resume retention\n")


def test_completion_offers_the_channels() -> None:
    command = notify.get_command(click.Context(notify), "pause")
    assert command is not None
    [channel] = [option for option in command.params if option.name == "channel"]
    assert [item.value for item in channel.shell_complete(click.Context(command), "e")] == ["email"]
