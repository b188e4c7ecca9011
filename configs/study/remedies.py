"""Which remedy for a long tail helps on these data? On your own images, or on a preset:

    cliptail study remedies:data=image_folder/mine,tune=yes --workdir=runs/rates
    cliptail study remedies:data=image_folder/mine,rate=0.01 --workdir=runs/remedies

The first command trains SL with four learning rates and a separate seed, and prints the best rate. The second command
trains SL and remedies that change one thing each. All runs have the same images, epochs, batch size, augmentation and
optimizer: AdamW with this rate. The report begins with the remedy with the largest mean accuracy over classes, its
gain in the tail and its cost in the head. configs/study/remedies.md has results on long-tailed glyphs, CIFAR-100-LT and icons.

The arguments of cliptail_jax/experiments/training.py, such as recipe, size and batch_size, select the data and the recipe.
This file adds:

    rate=0.01      the learning rate; by default that of `RATES`, or 0.01 for small images and 0.001 with the paper's recipe
    tune=yes       train SL with several learning rates, to choose one
    epochs=30      the number of epochs; by default that of `EPOCHS`, or of the recipe
    seeds=4        the runs of each kind, by default 2; with an imposed class frequency, as in glyphs_lt, they are mirrored pairs

Stated before the runs, for glyphs_lt, cifar100_lt and icons: each change of SL's softmax or sampling lifts the tail and the
mean over classes; adjusted logits cost accuracy in the head, are more accurate than balanced sampling and CLIP, and as
accurate as counted classes of the batch. CLIP's best rate is smaller than SL's, so CLIP is at a disadvantage here.
"""

import shlex

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies, training
from cliptail_jax.experiments.own_data import find_preset
from cliptail_jax.experiments.remedies import REMEDIES, with_remedy
from cliptail_jax.host.errors import UserError
from cliptail_jax.results.study import BEST

RATE_GRID = ("1e-3", "3e-3", "1e-2", "3e-2")  # also the names of the runs, which cannot have dots
SMALL_RATE, PAPER_RATE = 1e-2, 1e-3
RATES = {"glyphs_lt": 1e-2, "cifar100_lt": 1e-2, "icons": 1e-2}  # by preset, the best of `tune=yes`
EPOCHS = {"glyphs_lt": 7, "icons": 5}  # by preset, as in the other studies; cifar100_lt has those of the recipe
LABELLED = ("icons",)  # presets whose records have labels besides the classes that their captions name
TUNING_SEED = 1000
FIRST_SEED = 20  # runs with other seeds suggested the claims


def get_config(arg: str = ""):
    args = training.read(arg, "rate", "tune", "epochs", "seeds")
    data_args = {name: value for name, value in args.items() if name in training.ARGUMENTS}
    data, recipe = args["data"], ",".join(f"{name}={value}" for name, value in data_args.items())
    sl = load_config(f"sup:{recipe}")
    if not sl.eval.sets:
        raise UserError(
            f"data={data} has no split val, validation or test with classes, which remedies are compared on: build it with "
            "--val=..., for pairs also with --label_column=NAME, or give sets=NAME:SPLIT"
        )
    preset = find_preset(data, sl.data.data_dir)
    if 0 < preset.records < sl.batch_size:
        raise UserError(
            f"data={data} has {preset.records} images, fewer than a batch of {sl.batch_size}: give a smaller one, such as "
            f"batch_size={max(preset.records // 8, 2)}"
        )
    rate = RATES.get(data, SMALL_RATE if sl.model.image.name == "basic_resnet" else PAPER_RATE)
    rate = arguments.real(args, "rate", rate)
    sl.optimizer = load_config(f"clip:{recipe}").optimizer
    sl.total_epochs = arguments.number(args, "epochs", EPOCHS.get(data, sl.total_epochs))
    sl.vocabulary.group_size, sl.data.drop_last = 0, True
    epochs = f",epochs={sl.total_epochs}" * ("epochs" in args)
    if arguments.choice(args, "tune", ("no", "yes")) == "yes":
        if unused_names := args.keys() & {"rate", "seeds"}:
            raise UserError(f"the config argument {min(unused_names)} is not for tune=yes: leave it out")
        config_string = shlex.quote(f"remedies:{recipe}{epochs},rate={BEST}")
        study = tuning(sl, data, f"cliptail study {config_string} --workdir=runs/remedies")
    else:
        sl.optimizer.learning_rate = rate
        has_names = preset.has_names and (not sl.data.class_match.classes or data in LABELLED)
        study = comparison(sl, data, arguments.number(args, "seeds", 2), has_names)
    study.data_dir = args.get("data_dir", "")
    return study


def tuning(sl: ConfigDict, data: str, next_command: str) -> ConfigDict:
    """SL with several learning rates. `next_command` is the command for the best of them."""
    runs = {rate: sl.copy_and_resolve_references() for rate in RATE_GRID}
    for rate, config in runs.items():
        config.optimizer.learning_rate = float(rate)
    return studies.study(f"Learning rates of SL on {data}", runs, {}, first_seed=TUNING_SEED, next_command=next_command)


def comparison(sl: ConfigDict, data: str, seeds: int, has_names: bool) -> ConfigDict:
    """SL, its remedies and CLIP on class names, which is left out if classes have no names or only captions name them."""
    runs = {"sl": sl, **{name: with_remedy(sl, name) for name in REMEDIES}, "clip": sl.copy_and_resolve_references()}
    runs["clip"].objective = "contrastive"
    runs["clip"].data.captions.update(dict(template="cname", words=()))
    runs["clip"].data.class_match.classes = ""
    runs["clip"].eval.templates = "cname"
    title = f"Remedies for a long tail on {data}"
    if not has_names:
        del runs["clip"]
        title += ", without CLIP on class names: its records have none"
    fields = dict(seeds=seeds, counterbalanced=bool(sl.data.profile.name), baseline="sl")
    names = {"clip": "CLIP on class names"} | {run: remedy.name for run, remedy in REMEDIES.items() if remedy.name}
    fields["names"] = {run: name for run, name in names.items() if run in runs}
    return studies.study(title, runs, claims_on(runs), FIRST_SEED, **fields)


def claims_on(runs: dict[str, ConfigDict]) -> dict[str, studies.ClaimFields]:
    claims = {}
    for part, statistic in (("tail", "tail"), ("mean", "mean_per_class")):
        for name, remedy in REMEDIES.items():
            claims[f"{name}_{part}"] = studies.claim(f"{remedy.claim_start} the {part}", statistic, name, "sl")
    mean = "mean_per_class"
    claims["head"] = studies.claim("Adjusted logits cost accuracy in the head", "head", "sl", "adjusted")
    text = "Adjusted logits are more accurate than {}"
    claims["over_balanced"] = studies.claim(text.format("balanced sampling"), mean, "adjusted", "balanced")
    if "clip" in runs:
        claims["over_clip"] = studies.claim(text.format("CLIP on class names"), mean, "adjusted", "clip")
    text = "Counted classes of the batch are as accurate as adjusted logits"
    return claims | {"counts_equal": studies.claim(text, mean, "counts", "adjusted", equal=True)}
