"""What makes CLIP less biased than a classifier, on long-tailed glyphs of 16 pixels, in five minutes on two quiet CPU cores:

    cliptail study quickstart --workdir=runs/quickstart

It trains four kinds of runs in mirrored pairs: the second run of a pair reverses the order of class frequencies. All runs
have the same images, epochs, batch size and optimizer, which is CLIP's.

Expected: with ten times as many images, a class gains most accuracy and predictions with SL. Two changes of SL's softmax,
neither of which needs text, bring it to about CLIP's bias. One pair does not show how much trainings differ. Their variance is
that of mechanism.py, whose runs on the same images have three more epochs.
"""

from cliptail_jax.experiments import arguments, studies

# Shorter than the other studies on glyphs, and with another seed.
GLYPHS = studies.LONG_TAILED["glyphs_16"] | dict(epochs=9, first_seed=12)
# By key: the text, the statistics, the run with the higher and the run with the lower value.
CLAIMS = {
    "counts": ("SL is more biased than with counted classes of the batch", studies.SLOPES, "sl", "counts"),
    "counts_lift": ("Counted classes of the batch lift the tail", ("tail",), "counts", "sl"),
    "adjusted": ("SL is more biased than with adjusted logits", studies.SLOPES, "sl", "adjusted"),
    "adjusted_lift": ("Adjusted logits lift the tail", ("tail",), "adjusted", "sl"),
    # CLIP is less accurate than SL here, so its tail depends on more than its bias.
    "clip": ("SL is more biased than CLIP", studies.SLOPES, "sl", "clip"),
}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    claims = {}
    for key, (text, statistics, higher, lower) in CLAIMS.items():
        claims |= studies.claims_on(statistics, {key: (text, higher, lower)})
    kinds = studies.from_sl_to_clip(GLYPHS["preset"], GLYPHS["learning_rate"])
    runs = {name: kinds[name] for name in ("sl", "counts", "adjusted", "clip")}
    study = studies.equal_training(
        "Long-tailed glyphs (ratio 100)", GLYPHS, runs, claims, seeds=2, variances_from="mechanism_glyphs_16"
    )
    for config in study.runs.values():
        config.eval.every_epochs = 5
    return study
