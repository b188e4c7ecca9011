"""The main finding of the study on a generated data set, in less than six minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Expected: SL's accuracy and predictions follow class frequency, and a sampled vocabulary and CLIP weaken both correlations.
"""

from ml_collections import ConfigDict, FieldReference

from configs import clip, common, sup

# The claim, the statistic, the run with the higher and the run with the lower value.
CLAIMS = {
    "sampled_accuracy": ("SL's accuracy is more biased than with a sampled vocabulary", "corr_acc", "sl", "sl_sampled"),
    "sampled_prediction": ("SL's predictions are more biased than with a sampled vocabulary", "corr_pred", "sl", "sl_sampled"),
    "sampled_tail": ("A sampled vocabulary lifts the tail", "tail", "sl_sampled", "sl"),
    "clip_accuracy": ("SL's accuracy is more biased than CLIP's", "corr_acc", "sl", "clip_names"),
    "clip_prediction": ("SL's predictions are more biased than CLIP's", "corr_pred", "sl", "clip_names"),
    "caption_accuracy": ("Class names alone leave CLIP more biased than full captions", "corr_acc", "clip_names", "clip_captions"),
}  # fmt: skip


def get_config(arg: str = ""):
    common.read_only(arg)
    study = four_runs("Long-tailed glyphs (ratio 100)", "glyphs_lt", epochs=5, words=("tags",), context_length=16)
    for name in ("clip_names", "clip_captions"):
        study.runs[name].optimizer.learning_rate = 3e-3
        study.runs[name].total_epochs = 7  # as in the paper, CLIP trains for longer than SL
    return study


def four_runs(title: str, preset: str, epochs: int, words: tuple[str, ...], context_length: int) -> ConfigDict:
    """SL, SL with a sampled vocabulary, CLIP on class names, CLIP on full captions; and the claims of the paper on them."""
    data_dir, seed = FieldReference(""), FieldReference(0)
    runs = {
        "sl": sup.get_config(f"data={preset}"),
        "sl_sampled": sup.get_config(f"data={preset}"),
        "clip_names": clip.get_config(f"data={preset}"),
        "clip_captions": clip.get_config(f"data={preset}"),
    }
    runs["sl_sampled"].vocabulary.size = 20
    runs["clip_names"].model.text.context_length = 8  # enough for names, and fast
    runs["clip_captions"].data.captions.template = "a+cname"
    runs["clip_captions"].data.captions.words = words
    runs["clip_captions"].eval.templates = "a+cname"
    runs["clip_captions"].model.text.context_length = context_length
    for config in runs.values():
        config.total_epochs = epochs
        config.seed, config.data.data_dir = seed, data_dir
    claims = {key: common.claim(*claim) for key, claim in CLAIMS.items()}
    study = dict(title=title, data_dir=data_dir, seed=seed)
    return ConfigDict(study | dict(runs=common.in_order(runs), claims=common.in_order(claims)))
