"""A natural long tail: icons, whose names and frequencies nobody chose.

    cliptail study natural --workdir=runs/natural --config.data_dir=DIR
    cliptail study natural:part=order --workdir=runs/natural_order --config.data_dir=DIR
    cliptail study natural:part=factors --workdir=runs/natural_factors --config.data_dir=DIR
    python configs/study/analyses/composition.py --workdir=runs/natural --output=runs/composition.png

DIR contains the icons (cliptail_jax/datasets/README.md). All runs of a part have the same images per step, steps and
optimizer. SL trains on the 45,842 records with a class, `clip` on the same records and their class names, and
`clip_captions` on the same records and their captions. Runs named `all` train on all 103,934 pairs.

**losses** (two seeds): which loss makes CLIP robust under natural frequencies? configs/study/mechanism.py asks the same
of imposed frequencies. CLIP on captions is also evaluated by retrieval. composition.py asks whether a caption of two
words is found because each word was seen often, or because both were seen together.

**order** (two seeds): natural frequency is confounded with class difficulty. The 141 classes with 100 records or more
get frequencies from 100 to 2, in natural, random and reversed order. Natural and reversed order are a mirrored pair. If
frequent concepts are easier, bias is largest in natural order.

**factors** (one run each): factors that only natural text has. They are words beyond the class; the share of pairs that
name no class; scale; and 24 classes that no caption names, while other captions contain the words of their names or
no caption does.

Claims, recipe and margins were fixed before the runs.
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.remedies import with_remedy

BATCH_SIZE, STEPS = 256, 900
LEARNING_RATE = 2e-3
MIN_RECORDS, RATIO = 100, 50  # part=order: the records of the smallest class, and the ratio of the frequencies
ORDERS = {"natural": ("natural", False), "random": ("random", False), "reversed": ("natural", True)}
CAPTIONS = "icons:test@name"  # retrieval

NAMES = {
    "clip": "CLIP on class names",
    "clip_all": "CLIP on all pairs",
    "sigmoid_all": "CLIP on all pairs, sigmoid loss",
    "words_all": "words as labels, all pairs",
    "clip_style": "CLIP on names and style words",
    "clip_set": "CLIP on names, style words and titles of sets",
    "clip_third": "CLIP, a third of the pairs without a class",
    "all_half": "CLIP on half of the pairs",
    "all_eighth": "CLIP on an eighth of the pairs",
    "unseen": "CLIP, 24 classes that no caption names",
    "unseen_words": "CLIP, 24 classes whose words no caption has",
}
IN_ORDER = {
    "sl": "SL",
    "counts": "SL, weighted by count",
    "clip_captions": "CLIP on captions",
    "clip_all": "CLIP on all pairs",
}
NAMES |= {f"{kind}_{order}": f"{name}, {order} order" for kind, name in IN_ORDER.items() for order in ORDERS}

# Names of two words, which also occur in other names.
ZERO_SHOT = (
    "alarm clock", "bar chart", "battery empty", "battery full", "battery low", "book open", "cloud download", "cloud rain",
    "cloud snow", "cloud sun", "cloud upload", "credit card", "door open", "id card", "line chart", "lock open", "magic wand",
    "mail open", "pie chart", "shopping bag", "shopping basket", "shopping cart", "test tube", "traffic light",
)  # fmt: skip
BIAS = ("odds_acc", "slope_pred")
# The claim, the run with the higher and the run with the lower value of each measure of bias.
LOSSES = {
    "clip": ("SL is more biased than CLIP on captions of the same records", "sl", "clip_captions"),
    **{key: studies.STEP_CLAIMS[key] for key in ("batch", "counts")},
    "captions": ("Class names leave CLIP more biased than captions of the same records", "clip", "clip_captions"),
    "all": ("Pairs with a class leave CLIP more biased than all pairs", "clip_captions", "clip_all"),
    "words_all": ("Words as labels, without contrast, leave more bias than CLIP", "words_all", "clip_all"),
    "adjusted": studies.STEP_CLAIMS["adjusted"],
}
EQUAL = {
    "counts_equal": (
        "With counted classes of the batch, SL is as biased as CLIP on class names",
        "counts",
        "clip",
    ),
    "sigmoid_equal": ("Without a softmax over the batch, CLIP is as biased", "sigmoid_all", "clip_all"),
}
FACTORS = {
    "style": ("Names leave CLIP more biased than names with style words", "clip_captions", "clip_style"),
    "set": (
        "Names with style words leave CLIP more biased than with the title of the set, too",
        "clip_style",
        "clip_set",
    ),
    "third": ("No pairs without a class leave CLIP more biased than a third of them", "clip_captions", "clip_third"),
    "all": ("A third of the pairs without a class leaves CLIP more biased than all", "clip_third", "clip_all"),
    "eighth": ("An eighth of the pairs leaves CLIP more biased than a half", "all_eighth", "all_half"),
    "half": ("A half of the pairs leaves CLIP more biased than all", "all_half", "clip_all"),
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "part")
    parts = {"losses": losses, "order": order, "factors": factors}
    part = arguments.choice(args, "part", tuple(parts))
    seeds = {} if part == "factors" else {"seeds": 2}
    runs, claims = parts[part]()
    names = {run: NAMES[run] for run in runs if run in NAMES}
    if part == "factors":  # the captions of other runs have more or fewer words
        names["clip_captions"] = "CLIP on names"
    return studies.study(f"A natural long tail: icons, {part}", runs, claims, first_seed=0, names=names, **seeds)


def losses() -> tuple[dict[str, ConfigDict], dict[str, studies.ClaimFields]]:
    """The runs and claims of a part."""
    runs = {
        "sl": sl(),
        **{remedy: with_remedy(sl(), remedy) for remedy in ("batch", "counts", "adjusted")},
        "clip": clip(only_classes=True),
        "clip_captions": clip(only_classes=True),
        "clip_all": clip(),
        "sigmoid_all": clip("loss=sigmoid"),
        "words_all": clip("loss=words"),
    }
    runs["clip"].data.captions.update(dict(template="cname", words=()))
    for name in ("clip_captions", "clip_all", "sigmoid_all"):
        runs[name].eval.sets = ("icons:test", CAPTIONS)
    claims = studies.claims_on(BIAS, LOSSES) | studies.claims_on(BIAS, EQUAL, equal=True)
    bias = {
        "rare_words": (
            "Pairs with a class leave retrieval more biased towards frequent words",
            "clip_captions",
            "clip_all",
        )
    }
    recall = {"retrieval": ("All pairs find more captions than pairs with a class", "clip_all", "clip_captions")}
    claims |= studies.claims_on(("retrieval_slope",), bias, eval_set=CAPTIONS)
    return runs, claims | studies.claims_on(("image_to_text_r5",), recall, eval_set=CAPTIONS)


def order() -> tuple[dict[str, ConfigDict], dict[str, studies.ClaimFields]]:
    """The runs and claims of a part."""
    kinds = {
        "sl": sl,
        "counts": lambda: with_remedy(sl(), "counts"),
        "clip_captions": lambda: clip(only_classes=True),
        "clip_all": clip,
    }
    runs, easier_claims, robust_claims = {}, {}, {}
    for kind, make in kinds.items():
        for name, (ranks, is_mirrored) in ORDERS.items():
            config = runs[f"{kind}_{name}"] = make()
            config.total_steps = STEPS * 2 // 3
            config.data.classes.at_least = MIN_RECORDS
            profile = dict(
                name="exponential", ratio=float(RATIO), largest=MIN_RECORDS, order=ranks, mirrored=is_mirrored
            )
            config.data.profile.update(profile)
            config.eval.every_epochs = 2 if kind == "clip_all" else 20
        text = "In natural order, {} is more biased than in {}, as frequent concepts are easier"
        for other in ("random", "reversed"):
            easier_claims[f"{kind}_easier_{other}"] = (
                text.format(kind, f"{other} order"),
                f"{kind}_natural",
                f"{kind}_{other}",
            )
    for name in ORDERS:
        robust_claims[f"clip_{name}"] = (
            f"In {name} order, SL is more biased than CLIP on captions",
            f"sl_{name}",
            f"clip_captions_{name}",
        )
        robust_claims[f"counts_{name}"] = (
            f"In {name} order, SL is more biased than with counts",
            f"sl_{name}",
            f"counts_{name}",
        )
    return runs, studies.claims_on(("odds_acc",), easier_claims) | studies.claims_on(BIAS, robust_claims)


def factors() -> tuple[dict[str, ConfigDict], dict[str, studies.ClaimFields]]:
    """The runs and claims of a part."""
    runs = {
        "clip_captions": clip(only_classes=True),
        "clip_style": clip("captions=name+style", only_classes=True),
        "clip_set": clip("captions=name+style+title", only_classes=True),
        "clip_third": clip(),
        "clip_all": clip(),
        "all_half": clip("fraction=1/2"),
        "all_eighth": clip("fraction=1/8"),
        "unseen": clip(),
        "unseen_words": clip(),
    }
    runs["clip_set"].model.text.context_length = 24
    for name in ("clip_captions", "clip_all"):  # the same runs as in part=losses
        runs[name].eval.sets = ("icons:test", CAPTIONS)
    runs["clip_third"].data.class_match.unmatched_fraction = 1 / 3
    runs["all_eighth"].eval.every_epochs = 5
    for name in ("unseen", "unseen_words"):
        runs[name].data.removed.update(dict(classes=ZERO_SHOT, words=name == "unseen_words"))
        runs[name].eval.tail_classes = len(ZERO_SHOT)
    claims = studies.claims_on(BIAS, FACTORS)
    tail_claims = {
        "unseen": ("CLIP recognizes more than a tenth of the images of classes that no caption names", "unseen", 10.0),
        "words": ("... and more if other captions have the words of their names", "unseen", "unseen_words"),
    }
    return runs, claims | studies.claims_on(("tail",), tail_claims)


def sl() -> ConfigDict:
    """SL on the records with a class."""
    return with_recipe(load_config("sup:data=icons"))


def clip(*args: str, only_classes: bool = False) -> ConfigDict:
    """CLIP on the names of all pairs, or of those with a class."""
    config = with_recipe(load_config(",".join(["clip:data=icons", *args])))
    config.model.text.update(dict(width=128, layers=2, context_length=16))
    if only_classes:
        config.data.class_match.classes = ""  # the records' own labels, which are by the same rule
    return config


def with_recipe(config: ConfigDict) -> ConfigDict:
    """A config with the recipe of all runs."""
    config.total_steps, config.batch_size = STEPS, BATCH_SIZE
    config.data.drop_last = True
    config.optimizer = studies.adamw("icons", LEARNING_RATE)
    config.eval.every_epochs = 2
    return config
