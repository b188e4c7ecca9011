"""Commands on pages name programs, flags, configs and fields that exist."""

import re
import shlex

import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import known_configs, load_config
from cliptail_jax.programs import PROGRAMS, takes_config
from tests.forked_programs import run_forked
from tests.pages import ALL_PAGES

BLOCK, INLINE = re.compile(r"^ *(cliptail .*)$", re.MULTILINE), re.compile(r"`(cliptail [^`]*)`")
FLAG = re.compile(r"--([a-z]\w*)")
UNKNOWN = re.compile(r"[A-Z]{3,}|image_folder/|image_text/|\.py$")  # placeholders, and what a user makes
COMMANDS = {}  # by command: a page that has it
for page in ALL_PAGES:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    COMMANDS |= {of: page for of in [*BLOCK.findall(text), *INLINE.findall(text)]}


@pytest.fixture(scope="module")
def helps():
    """The help of each program, and of each figure on a page."""
    figures = {" ".join(of.split()[1:3]) for of in COMMANDS if re.match("cliptail figures [a-z]", of)}
    asked = [*PROGRAMS, *sorted(figures)]
    outcomes = run_forked("cliptail_jax", [[*of.split(), "--help"] for of in asked])
    return dict(zip(asked, (outcome.stdout for outcome in outcomes)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_page_has_a_program_flags_and_a_config_that_exist(command, helps):
    _, program, *words = shlex.split(command.partition(" -- ")[0], comments=True)
    if program.startswith("--") or words[:1] == ["FIGURE"]:
        return
    assert program in PROGRAMS, COMMANDS[command]
    part = f"{program} {words[0]}" if words else program
    known = {"help", *FLAG.findall(helps[program] + helps.get(part, ""))}
    flags = [word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")]
    fields = [flag.removeprefix("config.") for flag in flags if flag.startswith("config.")]
    assert {flag for flag in flags if not flag.startswith("config.")} <= known, COMMANDS[command]
    config = words[0] if words and not words[0].startswith("--") else ""
    if not takes_config(program) or not config or UNKNOWN.search(config):
        return
    assert config.partition(":")[0] in known_configs(), COMMANDS[command]
    loaded = load_config(config)
    assert {*fields} <= {name for name, _ in flatten(loaded)} | {*loaded}, COMMANDS[command]
