"""The main finding of the study on long-tailed glyphs, in about three minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Three kinds of runs in mirrored pairs: in the second run of a pair, the order of class frequencies is reversed.

Expected: with ten times as many images, a class gains most accuracy and predictions with SL, less with a sampled vocabulary,
and least with CLIP.
"""

from ml_collections import ConfigDict, FieldReference

from configs import clip, common, sup

# The claim, the statistic, the run with the higher and the run with the lower value.
CLAIMS = {
    "sampled_accuracy": ("SL's accuracy is more biased than with a sampled vocabulary", "slope_acc", "sl", "sl_sampled"),
    "sampled_prediction": ("SL's predictions are more biased than with a sampled vocabulary", "slope_pred", "sl", "sl_sampled"),
    "sampled_tail": ("A sampled vocabulary lifts the tail", "tail", "sl_sampled", "sl"),
    "clip_accuracy": ("SL's accuracy is more biased than CLIP's", "slope_acc", "sl", "clip"),
    "clip_prediction": ("SL's predictions are more biased than CLIP's", "slope_pred", "sl", "clip"),
    "clip_sampled": ("A sampled vocabulary leaves accuracy more biased than CLIP's", "slope_acc", "sl_sampled", "clip"),
}  # fmt: skip


def get_config(arg: str = ""):
    common.read_only(arg)
    study = main_finding("Long-tailed glyphs (ratio 100)", "glyphs_lt", epochs=5)
    study.runs.clip.optimizer.learning_rate = 3e-3
    study.runs.clip.total_epochs = 7  # as in the paper, CLIP trains for longer than SL
    return study


def main_finding(title: str, preset: str, epochs: int) -> ConfigDict:
    """SL, SL with a sampled vocabulary and CLIP on class names, in mirrored pairs; and the claims of the paper on them."""
    data_dir, seed = FieldReference(""), FieldReference(0)
    runs = {
        "sl": sup.get_config(f"data={preset}"),
        "sl_sampled": sup.get_config(f"data={preset},vocabulary=20"),
        "clip": clip.get_config(f"data={preset}"),
    }
    runs["clip"].model.text.context_length = 8  # enough for names, and fast
    for config in runs.values():
        config.total_epochs = epochs
        config.seed = config.data.seed = seed
        config.data.data_dir = data_dir
    claims = {key: common.claim(*claim) for key, claim in CLAIMS.items()}
    study = dict(title=title, data_dir=data_dir, seed=seed, seeds=2, counterbalanced=True)
    return ConfigDict(study | dict(runs=common.in_order(runs), claims=common.in_order(claims)))
