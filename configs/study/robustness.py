"""Do the headlines of this project depend on the recipe? 24 recipes on long-tailed glyphs of 16 pixels:

    cliptail study robustness --workdir=runs/robustness

Small changes of a recipe may flip verdicts (arXiv 2512.24503). This study repeats SL, the two steps from it to CLIP,
adjusted logits and CLIP with each combination of 3 learning rates, 2 widths, 2 numbers of epochs and 2 batch sizes. In
each combination, all five have the same recipe, and one mirrored pair each. The report counts how often a claim holds. In a further cell,
`best`, each has its own learning rate, which has the highest top-1 in runs with another seed:

    cliptail study robustness:tune=yes --workdir=runs/rates

The bias of these runs was not looked at. The variance between trainings of a recipe is that of mechanism.py's runs on these
images.

Predicted before the runs: in at least 95 % of the cells, SL − CLIP, each of the two steps, and SL − adjusted have the
claimed sign; and the size of each step does not depend on the width. All runs take three hours on two CPU cores.
"""

import itertools
from typing import NamedTuple

from ml_collections import ConfigDict

from cliptail_jax.experiments import arguments, studies

WIDTHS, EPOCHS, BATCHES = (8, 16), (6, 12), (64, 256)
RATES = (1e-3, 3e-3, 1e-2)
ARMS = ("sl", "batch", "counts", "adjusted", "clip")
BEST_RATES = {"sl": 1e-2, "batch": 1e-2, "counts": 1e-2, "adjusted": 3e-2, "clip": 3e-3}  # results/robustness_rates.md
# The claim, the arm with the higher and the arm with the lower log-odds per decade.
EQUAL = {"counts_equal": ("With counted classes of the batch, SL is as biased as CLIP", "counts", "clip")}
TUNING_SEED = 1000


class Cell(NamedTuple):
    """A recipe that all arms share."""

    rate: float
    width: int
    epochs: int
    batch: int

    def __str__(self) -> str:
        return f"{rate_name(self.rate)}-width{self.width}-epochs{self.epochs}-batch{self.batch}"


def rate_name(rate: float) -> str:
    """A learning rate as part of a name, which has no dot: 'rate3e-3'."""
    return f"rate{rate:.0e}".replace("e-0", "e-")


CELLS = [Cell(*values) for values in itertools.product(RATES, WIDTHS, EPOCHS, BATCHES)]
CENTRE = Cell(3e-3, 16, 12, 128)


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "tune")
    if arguments.choice(args, "tune", ("no", "yes")) == "yes":
        by_rate = {rate: arms_of(CENTRE._replace(rate=rate)) for rate in (*RATES, 3e-2)}
        runs = {f"{arm}-{rate_name(rate)}": by_rate[rate][arm] for arm in ARMS for rate in by_rate}
        return studies.study("Learning rates of SL and CLIP", runs, {}, first_seed=TUNING_SEED)
    runs = {f"{arm}-{cell}": config for cell in CELLS for arm, config in arms_of(cell).items()}
    claims = {}
    for cell in CELLS:
        claims |= claims_in(str(cell))
    runs |= {f"{arm}-best": arms_of(CENTRE._replace(rate=rate))[arm] for arm, rate in BEST_RATES.items()}
    claims |= claims_in("best", " at its best learning rate")
    return studies.study(
        "SL and CLIP under 24 recipes",
        runs,
        claims | width_claims(),
        seeds=2,
        counterbalanced=True,
        variances_from="mechanism_glyphs_16",  # its recipe is nearly that of a cell
    )


def claims_in(cell: str, suffix: str = "") -> dict[str, studies.ClaimFields]:
    """The claims on the arms in a cell. A claim has the same text in all cells."""
    fields, equal_fields = (
        {f"{key}-{cell}": (text + suffix, f"{a}-{cell}", f"{b}-{cell}") for key, (text, a, b) in claims.items()}
        for claims in (studies.STEP_CLAIMS, EQUAL)
    )
    return studies.claims_on(("odds_acc",), fields) | studies.claims_on(("odds_acc",), equal_fields, equal=True)


def width_claims() -> dict[str, studies.ClaimFields]:
    """Claims that a step changes as much at both widths, with the learning rate, epochs and batch size of the other studies."""
    claims = {}
    narrow_cell, wide_cell = (Cell(3e-3, width, 12, 64) for width in WIDTHS)
    for key in ("batch", "counts"):
        _, higher, lower = studies.STEP_CLAIMS[key]
        step = {
            f"{key}-widths": (
                f"The step to {lower} changes bias as much at both widths",
                f"{higher}-{wide_cell}",
                f"{lower}-{wide_cell}",
            )
        }
        claims |= studies.claims_on(
            ("odds_acc",), step, equal=True, reference=(f"{higher}-{narrow_cell}", f"{lower}-{narrow_cell}")
        )
    return claims


def arms_of(cell: Cell) -> dict[str, ConfigDict]:
    """The arms with the recipe of a cell."""
    arms = studies.from_sl_to_clip(f"glyphs_lt,size=16,batch_size={cell.batch}", cell.rate)
    for config in arms.values():
        config.total_epochs = config.eval.every_epochs = cell.epochs
        config.model.image.width = cell.width
        config.data.drop_last = True
    return arms
