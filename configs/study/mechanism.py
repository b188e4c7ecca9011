"""Which step from SL to CLIP makes CLIP robust? Each step changes one thing; further runs are beside this path:

    cliptail study mechanism --workdir=runs/mechanism
    cliptail study mechanism:data=glyphs_16 --workdir=runs/mechanism_glyphs_16
    cliptail study mechanism:data=cifar100 --workdir=runs/mechanism_cifar100 \\
        --config.data_dir=DIR

On two CPU cores, four mirrored pairs on long-tailed glyphs take 2 hours; two pairs with 16 pixels instead of 32 and 12
epochs instead of 7 take one hour; two pairs on CIFAR-100-LT take 2 to 4 hours (DIR as in configs/study/cifar100_lt.py). The
results on CIFAR-100-LT are compared with those on glyphs in configs/study/results, or in
`--config.glyphs=runs/mechanism/report.json`. All runs of a study have the same images, epochs and batch size. Except
for `sl_linear`, `sl_sgd` and `sl_best`, they have the same optimizer: AdamW with the learning rate that is best for CLIP's
accuracy. With AdamW, SL is more accurate at the larger learning rate of `sl_best`. configs/study/mechanism.md describes the
results and what you may conclude.

Earlier runs, with seeds 0 to 3, suggested four hypotheses on log-odds per decade, which new seeds test: SL with counted
classes is as biased as CLIP; CLIP with a sigmoid loss is as biased as CLIP; a step of the path changes as much on both data
sets; and adjusted logits leave less than 1.0. Margins are those of the measures.
"""

import itertools
from collections.abc import Mapping

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.remedies import with_remedy

# By data source: captions, and the number of runs of each kind.
DATA = {
    "glyphs": dict(captions="a+cname+tags", seeds=8),
    "glyphs_16": dict(captions="a+cname+tags", seeds=4),
    "cifar100": dict(captions="a+cname+kind_of", seeds=4),
}
NAMES = {"clip": "CLIP on class names"}
SL_LEARNING_RATE = 1e-2  # for `sl_best`
PATH = ("sl_linear", "sl_sgd", "sl", "batch", "counts", "names", "clip", "clip_captions")
# The claim, the run with the higher and the run with the lower value of each slope.
CLAIMS = {
    # The steps of the path
    "cosine": ("A linear head leaves SL more biased than a cosine head", "sl_linear", "sl_sgd"),
    "adamw": ("SGD leaves SL more biased than AdamW", "sl_sgd", "sl"),
    "batch": ("A softmax over all classes leaves SL more biased than over those of the batch", "sl", "batch"),
    "counts": studies.STEP_CLAIMS["counts"],
    "names": ("A class embedding of its own leaves more bias than a text tower's of the class name", "counts", "names"),
    "both": ("One direction leaves CLIP more biased than both", "names", "clip"),
    "captions": ("Class names leave CLIP more biased than captions", "clip", "clip_captions"),
    # Runs beside the path
    "from_counts": ("A softmax over the batch's classes, counted, leaves SL more biased than CLIP", "counts", "clip"),
    "sigmoid": ("Without a softmax over the batch, CLIP is more biased", "sigmoid", "clip"),
    "words": ("Words as labels, without contrast, leave more bias than CLIP", "bag_of_words", "clip"),
    "distinct": (
        "Batches as they come leave CLIP more biased than batches of distinct classes",
        "clip",
        "clip_distinct",
    ),
    "adjusted": ("SL is more biased than with adjusted logits", "sl", "adjusted"),
    "ldam": ("SL is more biased than with LDAM and deferred weights", "sl", "ldam"),
    "balanced": ("SL is more biased than with balanced sampling", "sl", "balanced"),
    "best": ("With its own best learning rate, SL is more biased than CLIP", "sl_best", "clip"),
    "remedy": ("Adjusted logits leave SL more biased than CLIP", "adjusted", "clip"),
}
# Claims that two runs are equally biased.
EQUAL = {
    "counts_equal": ("With counted classes of the batch, SL is as biased as CLIP", "counts", "clip"),
    "sigmoid_equal": ("Without a softmax over the batch, CLIP is as biased", "sigmoid", "clip"),
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "data")
    data = arguments.choice(args, "data", tuple(DATA))
    source, claims, fields = studies.LONG_TAILED[data] | DATA[data], stated_claims(), {}
    if data == "cifar100":
        fields["glyphs"] = FieldReference("mechanism_glyphs_16")  # the results of the study on glyphs
        claims |= claims_across(fields["glyphs"])
    title = f"From SL to CLIP on long-tailed {source['name']}"
    return studies.equal_training(
        title, source, runs_on(source), claims, seeds=source["seeds"], path=PATH, names=NAMES, **fields
    )


def stated_claims() -> dict[str, studies.ClaimFields]:
    claims = studies.claims_on(studies.SLOPES, CLAIMS)
    claims |= studies.claims_on(("odds_acc",), CLAIMS, "_equal_accuracy", condition="equal accuracy")
    claims |= studies.claims_on(("odds_acc", "slope_pred"), EQUAL, equal=True)
    text = "Adjusted logits leave less than 1 in log-odds per decade"
    return claims | {"adjusted_below_1": studies.claim(text, "odds_acc", 1.0, "adjusted")}


def claims_across(glyphs: FieldReference) -> dict[str, studies.ClaimFields]:
    """Claims that each step of the path changes bias as much as on glyphs, whose results `glyphs` names."""
    claims = {}
    for higher, lower in itertools.pairwise(PATH):
        steps = {f"same_{lower}": (f"From {higher} to {lower}, bias changes as on glyphs", higher, lower)}
        claims |= studies.claims_on(
            ("odds_acc", "slope_pred"), steps, equal=True, reference=(higher, lower), study=glyphs
        )
    return claims


def runs_on(source: Mapping) -> dict[str, ConfigDict]:
    preset = f"data={source['preset']}"
    shared_runs = studies.from_sl_to_clip(source["preset"], source["learning_rate"])
    shared_runs["sl"].total_epochs = source["epochs"]  # LDAM's weights begin after two thirds
    runs = {
        "sl_linear": load_config(f"sup:{preset}"),
        "sl_sgd": load_config(f"sup:{preset}"),
        "sl": shared_runs["sl"],
        "batch": shared_runs["batch"],
        "counts": shared_runs["counts"],
        "names": load_config(f"clip:{preset}"),
        "clip": shared_runs["clip"],
        "clip_captions": load_config(f"clip:{preset},captions={source['captions']}"),
        "sigmoid": load_config(f"clip:{preset},loss=sigmoid"),
        "bag_of_words": load_config(f"clip:{preset},loss=words"),
        "clip_distinct": load_config(f"clip:{preset},batch_composition=distinct"),
        "adjusted": shared_runs["adjusted"],
        "ldam": with_remedy(shared_runs["sl"], "ldam"),
        "sl_best": load_config(f"sup:{preset}"),
        "balanced": with_remedy(shared_runs["sl"], "balanced"),
    }
    runs["sl_linear"].head.kind = "linear"
    runs["names"].contrastive.text_to_image = False
    for name, config in runs.items():
        if name not in ("sl_linear", "sl_sgd"):
            config.optimizer = studies.adamw(source["preset"], source["learning_rate"])
        if name == "sl_best":
            config.optimizer.learning_rate = SL_LEARNING_RATE
        if config.objective != "supervised":
            config.model.text.context_length = 16 if name == "clip_captions" else 8
    return runs
