"""The help of every verb: short, exact, and there."""

import inspect

import pytest
import typer

from neuralfw.cli import app
from neuralfw.cli.app import ORDER


def test_the_help(cli, snapshot):
    result = cli("--help")
    assert result.exit_code == 0
    snapshot("help", result.stdout)
    assert cli("-h").stdout == result.stdout
    assert cli().exit_code == 2 and "Usage: neuralfw" in cli().output


@pytest.mark.parametrize("verb", ORDER)
def test_every_verb_and_each_of_its_options_has_a_text(cli, verb):
    command = typer.main.get_command(app).commands[verb]
    text = " ".join(cli(verb, "--help").stdout.split())
    assert inspect.cleandoc(command.help).split("\n\n")[0].replace("\n", " ") in text
    for parameter in command.params:
        if parameter.name != "help":
            assert parameter.help and " ".join(parameter.help.split()) in text


def test_the_verbs_are_those_of_the_design():
    assert {*typer.main.get_command(app).commands} == {*ORDER}
