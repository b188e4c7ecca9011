"""The environment of programs that plan for accelerators."""

import os
import subprocess
import sys

import pytest

UNKNOWN = "--on=v5e-7"  # which is refused after the config has been read
LINE = "--model ViT-B-32 --train-data x.tar --batch-size 2 --name a".split()
CODE = """
import sys
from cliptail_jax import programs
from cliptail_jax.host.errors import UserError

assert "jax" not in sys.modules
try:
    programs.run(sys.argv[1:])
except UserError as error:
    print(error)
import jax
print(jax.config.jax_platforms)
"""


@pytest.mark.program
@pytest.mark.parametrize(
    "arguments", [["plan", "clip", UNKNOWN], ["open_clip", "--plan", UNKNOWN, "--gpus=1", "--", *LINE]]
)
def test_jax_is_imported_without_the_chips_of_the_machine(arguments, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    outcome = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    *_, error, platforms = outcome.stdout.splitlines()
    assert "unknown topology 'v5e-7'" in error and platforms == "cpu", outcome.stderr
