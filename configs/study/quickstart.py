"""The main finding of the study on a generated data set, in less than six minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Expected: SL's accuracy and predictions follow class frequency, and a sampled vocabulary and CLIP weaken both correlations.
"""

from ml_collections import ConfigDict, FieldReference

from configs import clip, common, sup


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
    claims = {
        "sampled_accuracy": dict(text="SL's accuracy is more biased than with a sampled vocabulary", statistic="corr_acc",
                                 higher="sl", lower="sl_sampled"),
        "sampled_prediction": dict(text="SL's predictions are more biased than with a sampled vocabulary",
                                   statistic="corr_pred", higher="sl", lower="sl_sampled"),
        "sampled_tail": dict(text="A sampled vocabulary lifts the tail", statistic="tail", higher="sl_sampled", lower="sl"),
        "clip_accuracy": dict(text="SL's accuracy is more biased than CLIP's", statistic="corr_acc",
                              higher="sl", lower="clip_names"),
        "clip_prediction": dict(text="SL's predictions are more biased than CLIP's", statistic="corr_pred",
                                higher="sl", lower="clip_names"),
        "caption_accuracy": dict(text="Class names alone leave CLIP more biased than full captions", statistic="corr_acc",
                                 higher="clip_names", lower="clip_captions"),
    }  # fmt: skip
    runs, claims = ConfigDict(runs, sort_keys=False), ConfigDict(claims, sort_keys=False)  # in the report's order
    return ConfigDict(dict(title=title, data_dir=data_dir, seed=seed, runs=runs, claims=claims))
