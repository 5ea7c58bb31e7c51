"""The command as a whole: versions, help, exit codes, and one line for a mistake."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import fastconv
from fastconv.cli.app import app
from tests.cli.conftest import one_line

COMMANDS = ("demo", "bench", "check", "warmup", "info")


def python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_python_m_fastconv():
    done = python("-m", "fastconv", "--version")
    assert (done.returncode, done.stdout) == (0, f"fastconv {fastconv.__version__}\n")


def test_a_mistake_is_one_line_and_exit_code_2():
    done = python("-m", "fastconv", "check", "--problem", "conv forward x=1x1x2 w=1x1x3 float32")
    assert done.returncode == 2
    assert one_line(done.stderr)
    assert "does not fit" in done.stderr


def test_importing_the_package_does_not_import_the_command():
    code = "import sys, fastconv; print([n for n in sys.modules if n.startswith('fastconv.cli')])"
    assert python("-c", code).stdout == "[]\n"


def test_layers_and_problems_need_no_extra():
    code = (
        "import sys; sys.modules.update(typer=None, rich=None, matplotlib=None)\n"
        "import fastconv.cli.problems, fastconv.cli.layers, fastconv.cli.operands\n"
        "import fastconv.cli.contenders"
    )
    assert python("-c", code).stderr == ""


@pytest.mark.parametrize("name", ["typer", "rich"])
def test_without_its_extra_the_command_says_what_to_install(command, missing, name):
    missing(name)
    code, out, err = command("info")
    assert (code, out) == (2, "")
    assert one_line(err)
    assert name in err
    assert "pip install fastconv[cli]" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(name):
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert "Examples" in shown.output
    assert f"fastconv {name}" in shown.output


def test_help_lists_the_commands():
    shown = CliRunner().invoke(app, ["--help"])
    assert all(name in shown.output for name in COMMANDS)


def test_without_a_command_help_is_shown():
    assert "Usage" in CliRunner().invoke(app, []).output


@pytest.mark.parametrize(
    "arguments", [["bnech"], ["check", "--seconds", "-1"], ["bench", "--direction", "up"]]
)
def test_usage_errors_exit_with_2(arguments):
    assert CliRunner().invoke(app, arguments).exit_code == 2
