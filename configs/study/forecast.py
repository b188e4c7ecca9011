"""Do recipes have the bias that their effective log-priors forecast, from one trained model?

    cliptail study forecast:part=sources --workdir=runs/forecast_sources
    cliptail forecast sl batch:128 vocabulary:70:linear:128 counts --workdir=runs/forecast_sources --runs=adjusted \\
        --output=forecasts.tsv
    cliptail study forecast --workdir=runs/forecast_glyphs_16

The first command trains the sources, in a mirrored pair with a seed that the study does not use. The second one forecasts
other recipes from them; configs/study/results/forecasts has these tables, written before the study was run. The third
command trains two mirrored pairs of each recipe on long-tailed glyphs of 16 pixels, in three hours of one CPU core, and tests
the forecasts. With data=cifar100, it is a smaller study on CIFAR-100-LT, in three to four hours of one core.

A claim compares the difference of a recipe from the run that its source corresponds to, trained with the same seeds, with the
forecast difference: both have the same images and classes, so that neither varies with the classes. The forecast is right if
the two agree within 0.25 in `odds_acc`, and within three points in top-1, head and tail.

All recipes train equally long, except for those that learn more slowly. Rules fixed before the study, from one run of each
recipe with another seed (`part=tuning`; top-1, and its rise over the last fifth of the epochs, in points):

    groups of 8    24 epochs 77.2, 2.1;   36 epochs 81.6, 2.5                         (12 epochs: not tried)
    groups of 16   12 epochs 71.5, 2.5;   24 epochs 82.2, 2.6;   36 epochs 86.2, 2.4
    groups of 32   12 epochs 77.0, 1.5;   24 epochs 84.5, 1.1
    batch of 256   12 epochs 69.6, 4.0;   24 epochs 83.5, -0.5

A recipe has the smallest of these epochs for which top-1 rises by less than three points. (The learning rate decays to zero,
which raises top-1 by two points at the end of 36 epochs, too.) Its source is the one, of adjusted logits with 6, 9, 12 and 24
epochs, whose forecast of its top-1 is nearest to this run's; with batches of 256, adjusted logits with as many epochs.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from cliptail_jax.config.files import find_table, load_config
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.kinds import KINDS
from cliptail_jax.report.forecasts import read_forecasts

# By data source: the first seeds of the study and of its sources; the other seeds of mechanism.py are smaller.
SEEDS = {"glyphs_16": (32, 30), "cifar100": (32, 30)}
TUNING_SEED = 1000
MARGINS = {"odds_acc": 0.25, "top1": 3.0, "head": 3.0, "tail": 3.0}
SIZES, SAMPLINGS = (60, 70, 80), ("uniform", "sqrt", "linear")
TAUS = (0.25, 0.5, 0.75, 1.5)
DECAY = 0.9999  # β of the class weights
# Claims on CLIP that leaves out repeated texts.
TRAP = {
    "once": ("CLIP with each text once is more biased than CLIP", "clip_once", "clip"),
    "once_dropped": ("CLIP with each text once is more biased than without repetitions", "clip_once", "clip_dropped"),
    "dropped": ("CLIP without a text's repetitions is more biased than CLIP", "clip_dropped", "clip"),
}

Source = Mapping[str, Any]  # an entry of `studies.LONG_TAILED`


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


def sl(source: Source, epochs: int = 0, batch: int = 128, tau: float = 0.0) -> ConfigDict:
    config = load_config(f"sup:data={source['preset']},batch_size={batch}")
    config.loss.logit_adjustment = tau
    return trained(config, source, epochs)


def softmax(source: Source, group: int, epochs: int = 0, batch: int = 128, counts: bool = False) -> ConfigDict:
    """SL whose softmax has the classes of groups of images."""
    config = sl(source, epochs, batch)
    config.vocabulary.update({"size": 1, "group_size": group})
    config.loss.count_in_batch = counts
    return config


def vocabulary(source: Source, size: int, sampling: str) -> ConfigDict:
    config = sl(source)
    config.vocabulary.update({"size": size, "sampling": sampling})
    return config


def weighted(source: Source) -> ConfigDict:
    config = sl(source)
    config.loss.class_weights = DECAY
    return config


def clip(source: Source, arguments: str = "", repeated_texts: str = "counted") -> ConfigDict:
    config = load_config(f"clip:data={source['preset']}{arguments}")
    config.model.text.context_length = 8  # enough for names, and fast
    if config.objective == "contrastive":
        config.contrastive.repeated_texts = repeated_texts
    return trained(config, source)


def trained(config: ConfigDict, source: Source, epochs: int = 0) -> ConfigDict:
    """The config with the optimizer of all runs, and by default the source's epochs."""
    config.optimizer = studies.adamw(source["preset"], source["learning_rate"])
    config.total_epochs, config.eval.every_epochs, config.data.drop_last = epochs or source["epochs"], 2, True
    return config


def bases(data: str) -> dict[str, ConfigDict]:
    """The runs that correspond to the sources."""
    source = studies.LONG_TAILED[data]
    runs = {"adjusted": sl(source, tau=1.0)}
    if data == "glyphs_16":
        runs |= {"adjusted_9": sl(source, 9, tau=1.0), "adjusted_256": sl(source, 24, 256, tau=1.0)}
    return runs | {"counts": softmax(source, 0, counts=True), "clip": clip(source)}


def kinds(data: str) -> dict[str, Kind]:
    """The kinds by the name of their runs."""
    source, is_small = studies.LONG_TAILED[data], data == "cifar100"
    runs = {"sl": Kind("SL", "sl", sl(source))}
    for tau in (0.5,) if is_small else TAUS:
        name, recipe = f"adjusted logits with τ = {tau:g}", f"adjusted:{tau:g}"
        runs[f"adjusted_{round(100 * tau)}"] = Kind(name, recipe, sl(source, tau=tau))
    for size in (70,) if is_small else SIZES:
        for sampling in ("uniform", "linear") if is_small else SAMPLINGS:
            name, recipe = f"a vocabulary of {size}, {sampling} sampling", f"vocabulary:{size}:{sampling}:128"
            runs[f"vocabulary_{size}_{sampling}"] = Kind(name, recipe, vocabulary(source, size, sampling))
    if is_small:
        return runs | {
            "group_32": Kind("groups of 32", "batch:32", softmax(source, 32)),
            "batch": Kind("the batch's classes", "batch:128", softmax(source, 0)),
        }
    return runs | {
        "weights": Kind("class weights", f"weights:{DECAY}", weighted(source)),
        "group_8": Kind("groups of 8", "batch:8", softmax(source, 8, epochs=24)),
        "group_16": Kind("groups of 16", "batch:16", softmax(source, 16), "adjusted_9"),
        "group_32": Kind("groups of 32", "batch:32", softmax(source, 32)),
        "group_64": Kind("groups of 64", "batch:64", softmax(source, 64)),
        "batch": Kind("the batch's classes", "batch:128", softmax(source, 0)),
        "batch_256": Kind("the classes of batches of 256", "batch:256", softmax(source, 0, 24, 256), "adjusted_256"),
        "sigmoid": Kind("CLIP's sigmoid loss", "sigmoid", clip(source, ",loss=sigmoid"), "clip"),
        "clip_distinct": Kind(
            "CLIP with distinct classes", "clip", clip(source, ",batch_composition=distinct"), "clip"
        ),
        "clip_once": Kind("CLIP with each text once", "batch:128", clip(source, repeated_texts="once"), "clip"),
    }


def judged_kinds(data: str) -> dict[str, Kind]:
    """The kinds, and the base whose bias is forecast, too."""
    return kinds(data) | {"counts": Kind("counted classes of the batch", "counts", bases(data)["counts"])}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "data", "part")
    data = arguments.choice(args, "data", tuple(SEEDS))
    part = arguments.choice(args, "part", ("study", "sources", "tuning"))
    source, (first_seed, source_seed) = studies.LONG_TAILED[data], SEEDS[data]
    if part == "tuning":
        return studies.study("Epochs of recipes", tuning(source), {}, TUNING_SEED, seeds=1)
    if part == "sources":
        runs = bases(data)
        if data == "glyphs_16":
            runs |= {"adjusted_6": sl(source, 6, tau=1.0), "adjusted_24": sl(source, 24, tau=1.0)}
        return studies.study("Sources of forecasts", runs, {}, source_seed, seeds=2, counterbalanced=True)
    runs = bases(data) | {name: kind.config for name, kind in kinds(data).items()}
    if data == "glyphs_16":
        runs["clip_dropped"] = clip(source, repeated_texts="dropped")
    names = {name: kind.name for name, kind in kinds(data).items()} | {
        "adjusted_9": "adjusted logits, 9 epochs",
        "adjusted_256": "adjusted logits, batches of 256",
        "clip_dropped": "CLIP without a text's repetitions",
    }
    names = {name: text for name, text in names.items() if name in runs and name not in KINDS}
    title = f"Forecasts by effective log-prior, on long-tailed {source['name']}"
    return studies.study(title, runs, stated_claims(data), first_seed, seeds=4, counterbalanced=True, names=names)


def tuning(source: Source) -> dict[str, ConfigDict]:
    runs = {f"group_8_{epochs}": softmax(source, 8, epochs) for epochs in (24, 36)}
    runs |= {f"group_16_{epochs}": softmax(source, 16, epochs) for epochs in (12, 24, 36)}
    runs |= {f"group_32_{epochs}": softmax(source, 32, epochs) for epochs in (12, 24)}
    return runs | {f"batch_256_{epochs}": softmax(source, 0, epochs, 256) for epochs in (12, 24)}


def stated_claims(data: str) -> dict[str, studies.ClaimFields]:
    forecasts = {base: read_forecasts(find_table(f"results/forecasts/{data}_{base}")) for base in bases(data)}
    all_kinds, claims = judged_kinds(data), {}

    def state(key: str, text: str, statistic: str, run: str, base: str, excess: float = 0.0, **attributes: Any) -> None:
        """A claim on the difference of a run from its base, minus the forecast difference and an excess."""
        values = [forecasts[base][recipe][statistic] for recipe in (all_kinds[run].recipe, base)]
        reference = (round(values[0] + excess, 4), round(values[1], 4))
        claims[f"{key}_{statistic}"] = studies.claim(text, statistic, run, base, reference=reference, **attributes)

    def state_forecasts(key: str, run: str, base: str) -> None:
        text = f"The change from {base} to {all_kinds[run].name} is as forecast"
        for statistic, margin in MARGINS.items():
            state(key, text, statistic, run, base, equal=True, margin=margin)

    for name, kind in all_kinds.items():
        state_forecasts(name, name, kind.base)
    over_batch = [
        name
        for name in ("counts", "group_8", "group_16", "group_32", "group_64", "batch", "batch_256")
        if name in all_kinds
    ]
    for name in ("group_32", "group_64", "batch"):  # losses over the batch's classes, from one of them
        if name in all_kinds:
            state_forecasts(f"{name}_from_counts", name, "counts")
    for name in over_batch:
        kind = all_kinds[name]
        text = f"{kind.name[0].upper()}{kind.name[1:]} leave more bias than the law, by 0 to 0.2"
        state(f"excess_{name}", text, "odds_acc", name, kind.base, 0.1, equal=True, margin=0.1)
    for small, large in (("group_32", "batch"), ("group_64", "batch")):
        if small in all_kinds:
            values = [forecasts["adjusted"][all_kinds[name].recipe]["odds_acc"] for name in (small, large)]
            text = f"The excess over the law is larger in {all_kinds[small].name} than in batches of 128"
            reference = tuple(round(value, 4) for value in values)
            claims[f"excess_{small}_{large}"] = studies.claim(text, "odds_acc", small, large, reference=reference)
    for size in SIZES:
        for higher, lower in (("uniform", "sqrt"), ("sqrt", "linear"), ("uniform", "linear")):
            runs = (f"vocabulary_{size}_{higher}", f"vocabulary_{size}_{lower}")
            if {*runs} <= {*all_kinds}:
                text = f"A vocabulary of {size} leaves more bias with {higher} than with {lower} sampling"
                claims |= studies.claims_on(("odds_acc",), {f"sampling_{size}_{higher}_{lower}": (text, *runs)})
    if "clip_once" in all_kinds:
        claims |= studies.claims_on(("odds_acc",), TRAP)
    return claims
