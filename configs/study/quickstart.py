"""What makes CLIP less biased than a classifier, on long-tailed glyphs of 16 pixels, in four to five minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

It trains four kinds of runs in mirrored pairs: the second run of a pair reverses the order of class frequencies. They
have the same images, epochs, batch size and optimizer, that of CLIP.

Expected: with ten times as many images, a class gains most accuracy and predictions with SL. Two changes of its softmax,
neither of which needs text, bring it to about CLIP's bias.
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

GLYPHS = studies.LONG_TAILED["glyphs"]
# By the less biased kind of runs: the claim on bias and that on the tail.
CLAIMS = {
    "counts": (
        "SL is more biased than with counted classes of the batch",
        "Counted classes of the batch lift the tail",
    ),
    "adjusted": ("SL is more biased than with adjusted logits", "Adjusted logits lift the tail"),
    "clip": ("SL is more biased than CLIP", "CLIP's tail is better than SL's"),
}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    claims = {}
    for kind, (bias, tail) in CLAIMS.items():
        claims |= studies.claims_on(("odds_acc", "slope_pred"), {kind: (bias, "sl", kind)})
        claims |= studies.claims_on(("tail",), {kind: (tail, kind, "sl")})
    study = studies.equal_training("Long-tailed glyphs (ratio 100)", GLYPHS, runs(), claims, seeds=2)
    for config in study.runs.values():
        config.eval.every_epochs = 3
    return study


def runs() -> dict[str, ConfigDict]:
    data = f"data={GLYPHS['preset']}"
    kinds = {
        "sl": load_config(f"sup:{data}"),
        "counts": load_config(f"sup:{data},vocabulary=1"),
        "adjusted": load_config(f"sup:{data},logit_adjustment=1"),
        "clip": load_config(f"clip:{data}"),
    }
    kinds["counts"].loss.count_in_batch = True
    kinds["clip"].model.text.context_length = 8  # enough for names, and fast
    for config in kinds.values():
        config.optimizer = studies.adamw(GLYPHS["preset"], GLYPHS["learning_rate"])
    return kinds
