"""What programs print: names with control characters, and a standard output that is full or closed."""

import os
import subprocess
import sys

import pytest

from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.printing import printable
from cliptail_jax.programs.command_line import Parser
from cliptail_jax.runs.console import log_line

NAME, SHOWN = "\x1b[31mred\r\x07 two\nlines \x9b1m\u2028é", "\\x1b[31mred\\r\\x07 two\\nlines \\x9b1m\\u2028é"
COMMAND = [sys.executable, "-m", "cliptail_jax"]


def raise_error(arguments):
    raise UserError(f"there is no class {NAME}")


def write_note(arguments):
    log_line(f"note: {NAME} is skipped")


def parse(arguments):
    Parser(prog="name").parse_args([NAME])


def print_lines(arguments):
    print(f"a table\twith\n{NAME}")


@pytest.mark.parametrize(
    ("program", "stream", "line"),
    [
        (raise_error, "err", f"error: there is no class {SHOWN}"),
        (write_note, "err", f"note: {SHOWN} is skipped"),
        (parse, "err", f"error: unrecognized arguments: {SHOWN}; name --help lists the flags"),
        (print_lines, "out", "a table\twith\n" + SHOWN.replace("\\n", "\n")),
    ],
)
def test_control_characters_of_names_are_escaped(program, stream, line, capsys):
    command_line(program)([])
    assert getattr(capsys.readouterr(), stream).endswith(f"{line}\n")


def test_a_text_that_is_escaped_already_stays():
    assert printable(printable(NAME)) == printable(NAME)


@pytest.mark.program
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("measure", "--help"), ("--version",), ("study", "--list")])
def test_a_program_whose_output_is_lost_fails_with_at_most_one_line(arguments, buffered):
    closed, pipe = os.pipe()
    os.close(closed)
    full, environment = os.open("/dev/full", os.O_WRONLY), os.environ | {"PYTHONUNBUFFERED": buffered}
    ends = {}
    for name, output in (("full", full), ("pipe", pipe)):
        streams = {"stdout": output, "stderr": subprocess.PIPE, "text": True}
        ended = subprocess.run([*COMMAND, *arguments], **streams, env=environment, timeout=60)
        ends[name] = ended.returncode, ended.stderr
        os.close(output)
    assert ends["full"] == (2, "error: the standard output cannot be written: No space left on device\n")
    assert ends["pipe"] == (1, "")
