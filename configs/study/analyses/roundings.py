"""Are the verdicts of a study the same on other processors?

    python configs/study/analyses/roundings.py --workdir=runs/roundings [--config=configs/study/quickstart.py]

Processors with other instructions add numbers in another order, so sums are rounded differently. This script runs a study
once with all instructions of this processor and once with those of each older generation of x86, in WORKDIR/all,
WORKDIR/AVX2 and WORKDIR/SSE4_2, and prints the table of its claims. The same command continues an interrupted study.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cliptail_jax.claims.verdicts import ClaimResult, read_claims
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.report.claim_tables import difference_of
from cliptail_jax.report.layout import markdown, text_table

GENERATIONS = {"all": "", "AVX2": "--xla_cpu_max_isa=AVX2", "SSE4_2": "--xla_cpu_max_isa=SSE4_2"}


def run_study(config: str, workdir: Path, flags: str) -> None:
    """Runs a study with further XLA flags. Raises UserError if it fails."""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    command = [sys.executable, "-m", "cliptail_jax", "study", config, f"--workdir={workdir}"]
    if subprocess.run(command, env=environment, stdout=sys.stderr).returncode:
        raise UserError(f"the study in {workdir} has failed: the lines above state why; the same command continues it")


def cell(claim: ClaimResult) -> str:
    """The difference, its verdict and, where that is another one, the verdict when corrected."""
    return f"{difference_of(claim).text} {claim.verdict_text}" if claim.difference else claim.verdict


@command_line
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/study/quickstart.py")
    parser.add_argument("--workdir", type=Path, required=True)
    options = parser.parse_args(arguments)
    studies = {}
    for name, flags in GENERATIONS.items():
        run_study(options.config, options.workdir / name, flags)
        studies[name] = read_claims(options.workdir / name / "report.json")
    header = ["claim", *(f"{name}: difference [95 %] and verdict" for name in studies)]
    rows = [
        [f"{claim.text} ({claim.quantity})", *(cell(claims[key]) for claims in studies.values())]
        for key, claim in studies["all"].items()
    ]
    print("\n".join(markdown(text_table(header, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
