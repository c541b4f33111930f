"""What the pages tell people to type: each command is one, its options are, its files are there.

`make test-docs` types them.
"""

import re
import subprocess

import click
import pytest

from lib import grammar, parameters
from lib.__main__ import main
from lib.files import ROOT
from tests import documented

COMMANDS = documented.commands()


def parsed(group, words):
    """The context of the innermost command; of a command that is only named, nothing more."""
    name, command, rest = group.resolve_command(click.Context(group), list(words))
    if rest == ["--help"]:
        return None
    if isinstance(command, click.Group) and rest:
        return parsed(command, rest)
    return command.make_context(name, rest) if rest else None


def test_the_pages_name_commands_of_all_kinds():
    first = {command.words[:4][-1] for command in COMMANDS}
    assert len(COMMANDS) > 40
    assert {"run", "check", "compare"} <= first


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_documented_command_parses_and_its_files_are_there(command):
    if command.words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        named = [word for word in command.words[1:] if "=" not in word]
        assert set(named) <= {*targets}, command.where
    elif command.words[1] == "-m" and command.words[3:]:
        context = parsed(main, command.words[3:])
        given = context.params.get("overrides", ()) if context else ()
        assert {name for name, _ in given} <= grammar.all_declared().keys(), command.where
    for file in command.files:
        assert list(ROOT.glob(file)), f"{command.where}: {file} is not there"


def test_make_lab_hands_its_parameter_file_to_all_notebooks():
    words = ["make", "-n", "lab", "PARAMS=params/sample_jca.yaml"]
    told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True).stdout
    assert "lib check params/sample_jca.yaml" in told
    assert f"{parameters.PARAMS_FILE}=params/sample_jca.yaml" in told
    plain = subprocess.run(words[:3], cwd=ROOT, capture_output=True, text=True).stdout
    assert parameters.PARAMS_FILE not in plain
