"""Is the bias that remains without a prior what any classes with as few images would have, without frequent ones beside them?

    cliptail study equal_classes --workdir=runs/equal_classes
    python configs/study/analyses/equal_classes_curve.py --workdir=runs/equal_classes

On two CPU cores, it takes 15 minutes. Adjusted logits add no prior, and leave a bias (configs/study/forecast.md, "What remains without a
prior"). If it came only from the number of a class's own images, then classes that all have n images would be as accurate as a class
with n images in a long tail. All runs have the recipe of configs/study/mechanism.py on glyphs of 16 pixels:

    long_tail      adjusted logits, classes with 500 to 5 images, and the mirrored order; 12 epochs
    steps_N        all classes with N images, for as many steps as `long_tail`
    epochs_N       all classes with N images, for as many epochs: each image is seen as often as in `long_tail`

The analysis gives each class of the long tail the accuracy that it has where all classes have as many images (interpolated in log-odds
over log N), and computes bias and accuracy from that: the forecast.

Stated before the runs: both curves forecast more bias than the long tail has, by more than 0.25, since the rare classes of a long tail
profit from what the frequent ones teach; their tails are forecast too low. A forecast within 0.25 would show that the bias that remains
is that of few images alone.
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

SOURCE = studies.LONG_TAILED["glyphs_16"]
FIRST_SEED = 60  # no study on these data has it
NUMBERS = (5, 16, 50, 158, 500)  # images of a class
STEPS = 1008  # of `long_tail`
MIRRORED = {"long_tail": False, "long_tail_mirrored": True}
ARMS = {"steps": "as many steps", "epochs": "as many epochs"}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    runs, names = {}, {}
    for run, is_mirrored in MIRRORED.items():
        config = runs[run] = classifier()
        config.loss.logit_adjustment = 1.0
        config.data.profile.mirrored = is_mirrored
        names[run] = "long tail, adjusted logits" + ", mirrored" * is_mirrored
    for arm, text in ARMS.items():
        for number in NUMBERS:
            config = runs[f"{arm}_{number}"] = classifier()
            config.data.profile.ratio = 1.0
            config.data.profile.largest = number
            if arm == "steps":
                config.total_steps = STEPS
            names[f"{arm}_{number}"] = f"{number} images of each class, {text}"
    title = f"Classes with equally few images on {SOURCE['name']}"
    return studies.study(title, runs, {}, FIRST_SEED, seeds=2, names=names)


def classifier() -> ConfigDict:
    """SL with the recipe of all runs."""
    config = load_config(f"sup:data={SOURCE['preset']}")
    config.optimizer = studies.adamw(SOURCE["preset"], SOURCE["learning_rate"])
    config.total_epochs = SOURCE["epochs"]
    config.eval.every_epochs = 1000  # at the end alone
    config.data.drop_last = True
    return config
