"""Do recipes have the bias that their effective log-priors forecast, from one trained model?

    cliptail study forecast:part=sources --workdir=runs/forecast_sources
    cliptail forecast sl batch:128 vocabulary:70:linear:128 counts --workdir=runs/forecast_sources --runs=adjusted \\
        --output=forecasts.tsv
    cliptail study forecast --workdir=runs/forecast_glyphs_16

The first command trains the sources, in a mirrored pair with a seed that the study does not use. The second one forecasts
other recipes from them; configs/study/results/forecasts has these tables, written before the study was run. The third
command trains two mirrored pairs of each recipe on long-tailed glyphs of 16 pixels, in three to four hours of one CPU core,
and tests the forecasts.

A claim compares the difference of a recipe from the run that its source corresponds to, trained with the same seeds, with the
forecast difference: both have the same images and classes, so that neither varies with the classes. The forecast is right if
the two agree within 0.25 in `odds_acc`, and within three points in top-1, head and tail.

All recipes train equally long, except for those that learn more slowly. Rules fixed before the study, from one run of each
recipe with another seed (`part=tuning`; top-1, and its rise over the last fifth of the epochs, in points):

    groups of 8    24 epochs 77.2, 2.1;   36 epochs 81.6, 2.5                         (12 epochs: 49)
    groups of 16   12 epochs 71.5, 2.5;   24 epochs 82.2, 2.6;   36 epochs 86.2, 2.4
    groups of 32   12 epochs 77.0, 1.5;   24 epochs 84.5, 1.1
    batch of 256   12 epochs 69.6, 4.0;   24 epochs 83.5, -0.5

A recipe has the smallest of these epochs for which top-1 rises by less than three points. (The learning rate decays to zero,
which raises top-1 by two points at the end of 36 epochs, too.) Its source is the one, of adjusted logits with 6, 9, 12 and 24
epochs, whose forecast of its top-1 is nearest to this run's; with batches of 256, adjusted logits with as many epochs.
"""

from typing import NamedTuple

from ml_collections import ConfigDict

from cliptail_jax.config.files import find_table, load_config
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.report.forecasts import read_forecasts

GLYPHS = studies.LONG_TAILED["glyphs_16"] | dict(first_seed=32)
SOURCE_SEED, TUNING_SEED = 30, 1000
MARGINS = {"odds_acc": 0.25, "top1": 3.0, "head": 3.0, "tail": 3.0}
SIZES, SAMPLINGS = (60, 70, 80), ("uniform", "sqrt", "linear")
TAUS = (0.25, 0.5, 0.75, 1.5)
DECAY = 0.9999  # β of the class weights


class Kind(NamedTuple):
    """A kind of runs whose bias is forecast.

    Attributes:
        name: its name in sentences.
        recipe: its recipe, as in the tables of forecasts.
        config: its config.
        base: the run that its source corresponds to.
    """

    name: str
    recipe: str
    config: ConfigDict
    base: str = "adjusted"


def sl(epochs: int = GLYPHS["epochs"], batch: int = 128, tau: float = 0.0) -> ConfigDict:
    config = load_config(f"sup:data={GLYPHS['preset']},batch_size={batch}")
    config.loss.logit_adjustment = tau
    return trained(config, epochs)


def softmax(group: int, epochs: int = GLYPHS["epochs"], batch: int = 128, counted: bool = False) -> ConfigDict:
    """SL whose softmax has the classes of groups of images."""
    config = sl(epochs, batch)
    config.vocabulary.update({"size": 1, "group_size": group})
    config.loss.count_in_batch = counted
    return config


def vocabulary(size: int, sampling: str) -> ConfigDict:
    config = sl()
    config.vocabulary.update({"size": size, "sampling": sampling})
    return config


def weighted() -> ConfigDict:
    config = sl()
    config.loss.class_weights = DECAY
    return config


def clip(arguments: str = "", repeated_texts: str = "counted") -> ConfigDict:
    config = load_config(f"clip:data={GLYPHS['preset']}{arguments}")
    config.model.text.context_length = 8  # enough for names, and fast
    if config.objective == "contrastive":
        config.contrastive.repeated_texts = repeated_texts
    return trained(config, GLYPHS["epochs"])


def trained(config: ConfigDict, epochs: int) -> ConfigDict:
    """The config with the optimizer of all runs."""
    config.optimizer = studies.adamw(GLYPHS["preset"], GLYPHS["learning_rate"])
    config.total_epochs, config.eval.every_epochs, config.data.drop_last = epochs, 2, True
    return config


def bases() -> dict[str, ConfigDict]:
    """The runs that correspond to the sources."""
    return {
        "adjusted": sl(tau=1.0),
        "adjusted_9": sl(9, tau=1.0),
        "adjusted_256": sl(24, 256, tau=1.0),
        "counts": softmax(0, counted=True),
        "clip": clip(),
    }


def kinds() -> dict[str, Kind]:
    """The kinds by the name of their runs."""
    further = {
        f"adjusted_{round(100 * tau)}": Kind(f"adjusted logits with τ = {tau:g}", f"adjusted:{tau:g}", sl(tau=tau))
        for tau in TAUS
    }
    for size in SIZES:
        for sampling in SAMPLINGS:
            name, recipe = f"a vocabulary of {size}, {sampling} sampling", f"vocabulary:{size}:{sampling}:128"
            further[f"vocabulary_{size}_{sampling}"] = Kind(name, recipe, vocabulary(size, sampling))
    return {
        "sl": Kind("SL", "sl", sl()),
        **further,
        "weights": Kind("class weights", f"weights:{DECAY}", weighted()),
        "group_8": Kind("groups of 8", "batch:8", softmax(8, epochs=24)),
        "group_16": Kind("groups of 16", "batch:16", softmax(16), "adjusted_9"),
        "group_32": Kind("groups of 32", "batch:32", softmax(32)),
        "group_64": Kind("groups of 64", "batch:64", softmax(64)),
        "batch": Kind("the batch's classes", "batch:128", softmax(0)),
        "batch_256": Kind("the classes of batches of 256", "batch:256", softmax(0, 24, 256), "adjusted_256"),
        "sigmoid": Kind("CLIP's sigmoid loss", "sigmoid", clip(",loss=sigmoid"), "clip"),
        "clip_distinct": Kind("CLIP with distinct classes", "clip", clip(",batch_composition=distinct"), "clip"),
        "clip_once": Kind("CLIP with each text once", "batch:128", clip(repeated_texts="once"), "clip"),
    }


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "part")
    part = arguments.choice(args, "part", ("study", "sources", "tuning"))
    if part == "tuning":
        return studies.study("Epochs of recipes", tuning(), {}, TUNING_SEED, seeds=1)
    if part == "sources":
        runs = bases() | {"adjusted_6": sl(6, tau=1.0), "adjusted_24": sl(24, tau=1.0)}
        return studies.study("Sources of forecasts", runs, {}, SOURCE_SEED, seeds=2, counterbalanced=True)
    runs = bases() | {name: kind.config for name, kind in kinds().items()}
    runs["clip_dropped"] = clip(repeated_texts="dropped")
    names = {name: kind.name for name, kind in kinds().items()} | {
        "adjusted": "adjusted logits",
        "adjusted_9": "adjusted logits, 9 epochs",
        "adjusted_256": "adjusted logits, batches of 256",
        "clip_dropped": "CLIP without a text's repetitions",
    }
    title = f"Forecasts by effective log-prior, on long-tailed {GLYPHS['name']}"
    return studies.study(title, runs, stated_claims(), GLYPHS["first_seed"], seeds=4, counterbalanced=True, names=names)


def tuning() -> dict[str, ConfigDict]:
    runs = {f"group_8_{epochs}": softmax(8, epochs) for epochs in (12, 24, 36)}
    runs |= {f"group_16_{epochs}": softmax(16, epochs) for epochs in (12, 24, 36)}
    runs |= {f"group_32_{epochs}": softmax(32, epochs) for epochs in (12, 24)}
    return runs | {f"batch_256_{epochs}": softmax(0, epochs, 256) for epochs in (12, 24)}


def stated_claims() -> dict[str, studies.ClaimFields]:
    forecasts = {base: read_forecasts(find_table(f"results/forecasts/glyphs_16_{base}")) for base in bases()}
    claims = {}

    def state(key: str, text: str, statistic: str, run: str, kind: Kind, base: str, excess: float = 0.0, **attributes):
        """A claim on the difference of a run from its base, minus the forecast difference and an excess."""
        values = [forecasts[base][recipe][statistic] for recipe in (kind.recipe, base)]
        minus = (round(values[0] + excess, 4), round(values[1], 4))
        claims[f"{key}_{statistic}"] = studies.claim(text, statistic, run, base, minus=minus, **attributes)

    def state_forecasts(key: str, run: str, kind: Kind, base: str):
        text = f"The change from {base} to {kind.name} is as forecast"
        for statistic, margin in MARGINS.items():
            state(key, text, statistic, run, kind, base, equal=True, margin=margin)

    all_kinds = kinds() | {"counts": Kind("counted classes of the batch", "counts", softmax(0, counted=True))}
    for name, kind in all_kinds.items():
        state_forecasts(name, name, kind, kind.base)
    for name in ("group_32", "group_64", "batch"):  # losses over the batch's classes, from one of them
        state_forecasts(f"{name}_from_counts", name, all_kinds[name], "counts")
    for name in ("counts", "group_8", "group_16", "group_32", "group_64", "batch", "batch_256"):
        kind, text = all_kinds[name], "leave more bias than the law, by 0 to 0.2"
        beginning = f"{kind.name[0].upper()}{kind.name[1:]}"
        state(f"excess_{name}", f"{beginning} {text}", "odds_acc", name, kind, kind.base, 0.1, equal=True, margin=0.1)
    for small, large in (("group_32", "batch"), ("group_64", "batch")):
        values = [forecasts["adjusted"][all_kinds[name].recipe]["odds_acc"] for name in (small, large)]
        text = f"The excess over the law is larger in {all_kinds[small].name} than in batches of 128"
        claims[f"excess_{small}_{large}"] = studies.claim(
            text, "odds_acc", small, large, minus=tuple(round(value, 4) for value in values)
        )
    for size in SIZES:
        pairs = (("uniform", "sqrt"), ("sqrt", "linear"), ("uniform", "linear"))
        for more, less in pairs:
            text = f"A vocabulary of {size} leaves more bias with {more} than with {less} sampling"
            runs = (f"vocabulary_{size}_{more}", f"vocabulary_{size}_{less}")
            claims |= studies.claims_on(("odds_acc",), {f"sampling_{size}_{more}_{less}": (text, *runs)})
    trap = {
        "once": ("CLIP with each text once is more biased than CLIP", "clip_once", "clip"),
        "once_dropped": (
            "CLIP with each text once is more biased than without repetitions",
            "clip_once",
            "clip_dropped",
        ),
        "dropped": ("CLIP without a text's repetitions is more biased than CLIP", "clip_dropped", "clip"),
    }
    return claims | studies.claims_on(("odds_acc",), trap)
