"""The paper's main finding on long-tailed glyphs, in four to eight minutes on two CPU cores:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

It trains three kinds of runs in mirrored pairs: the second run of a pair reverses the order of class frequencies.

Expected: with ten times as many images, a class gains most accuracy and predictions with SL, less with a sampled
vocabulary, and least with CLIP.
"""

from cliptail_jax.experiments import arguments, studies


def get_config(arg: str = ""):
    arguments.read_only(arg)
    study = studies.main_finding("Long-tailed glyphs (ratio 100)", "glyphs_lt", epochs=5)
    study.runs.clip.optimizer.learning_rate = 3e-3
    study.runs.clip.total_epochs = 7
    return study
