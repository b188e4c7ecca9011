"""Which images to collect: does a law of accuracy by class frequency beat simple rules, and are its predictions right?

    cliptail study collect --workdir=runs/collect
    cliptail study collect:data=cifar100 --workdir=runs/collect_cifar100 \\
        --config.data_dir=DIR

10 % more images are given to no class, to all classes in proportion, to all equally, to the rarest first, or by the plan of
`cliptail collect`. SL and SL with adjusted logits train with four seeds each, on long-tailed glyphs of 16 pixels or on
CIFAR-100-LT (DIR as in configs/study/cifar100_lt.py). Two published rules are compared at equal numbers of images, with SL:
MetaCLIP's cap, which keeps fewer images of the head from a pool of twice the images, and balanced sampling of the images
that are collected in proportion. Runs have the optimizer, epochs and batch size of configs/study/mechanism.py. For each
seed, the runs of all rules but the cap contain the images of `nobody`.

The class frequencies are the tables in configs/study/collect. The tables and the predictions are computed from base.tsv
there, which has the results of one run of each loss, with other seeds than those that test the claims:

    cliptail study collect:data=cifar100,base=1 --workdir=runs/base ...
    python configs/study/analyses/collect_predictions.py tables --sl=runs/base/sl --adjusted=runs/base/adjusted \\
        --output=configs/study/collect/cifar100

The base of glyphs_16 is seed_8 of the published study mechanism_glyphs_16 (its sl_adamw and adjusted), which has the same
recipe. Two further claims, on the predictions, are in analyses/collect_predictions.py, whose `judge` tests them.
"""

from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.kinds import kind_name

FIRST_SEED, BASE_SEED, SEEDS = 20, 8, 4
RULES = {
    "nobody": "no more images",
    "proportional": "more images in proportion",
    "equally": "more images of all classes equally",
    "rarest": "more images of the rarest classes",
    "plan": "more images by the plan",
}
MORE_RULES = {"cap": "MetaCLIP's cap", "balanced": "more images in proportion, balanced sampling"}  # with SL
# By key: the text, the run with the higher and the run with the lower value, and the points by which they differ.
CLAIMS = {
    "sl_proportional": ("With SL, the plan beats collection in proportion by 5 points", "sl_plan", "sl_proportional", 5.0),
    "sl_rarest": ("With SL, the plan beats the rarest first by 1 point", "sl_plan", "sl_rarest", 1.0),
    "adjusted_proportional": (
        "With adjusted logits, the plan beats collection in proportion by 5 points",
        "adjusted_plan", "adjusted_proportional", 5.0,
    ),
    "adjusted_rarest": (
        "With adjusted logits, the plan beats the rarest first by 1 point", "adjusted_plan", "adjusted_rarest", 1.0,
    ),
    "cap": ("The plan beats MetaCLIP's cap on a pool of twice the images", "sl_plan", "sl_cap", 0.0),
    "balanced": ("The plan beats balanced sampling of images in proportion", "sl_plan", "sl_balanced", 0.0),
}  # fmt: skip


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "data", "base")
    data = arguments.choice(args, "data", ("glyphs_16", "cifar100"))
    source = studies.LONG_TAILED[data]
    kinds = studies.from_sl_to_clip(source["preset"], source["learning_rate"])
    kinds = {name: kinds[name] for name in ("sl", "adjusted")}
    for config in kinds.values():
        config.total_epochs = config.eval.every_epochs = source["epochs"]
        config.data.drop_last = True
    if arguments.choice(args, "base", ("", "1")):
        return studies.study(f"Base of collect on {source['name']}", kinds, {}, BASE_SEED)
    runs, names = {}, {}
    for kind, config in kinds.items():
        for rule, rule_name in (RULES if kind == "adjusted" else RULES | MORE_RULES).items():
            names[f"{kind}_{rule}"] = f"{kind_name(kind)}, {rule_name}"
            runs[f"{kind}_{rule}"] = run = config.copy_and_resolve_references()
            run.data.profile.name = ""
            run.data.match.frequency = f"collect/{data}/{table_of(kind, rule)}"
    runs["sl_balanced"].data.balanced_sampling = True
    claims = {
        key: studies.claim(text, "mean_per_class", higher, lower, threshold=points)
        | ({"margin": 0.0} if points else {})
        for key, (text, higher, lower, points) in CLAIMS.items()
    }
    return studies.study(
        f"Which images to collect: {source['name']}", runs, claims, FIRST_SEED, seeds=SEEDS, names=names
    )


def table_of(kind: str, rule: str) -> str:
    """The name of the table with the class frequencies of a run."""
    return {"plan": f"plan_{kind}", "balanced": "proportional"}.get(rule, rule)
