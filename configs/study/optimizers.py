"""Does the optimizer make SL biased, and do optimizers differ at equal accuracy?

    cliptail study optimizers --workdir=runs/optimizers

Gradient flow learns a class at a rate proportional to its frequency, and sign descent at a rate that does not depend on
it, so Adam overtakes SGD under long tails (Kunstner et al. 2024, arXiv 2402.19449). By this theory, SGD leaves more
bias than AdamW and Lion, whose updates are signs or nearly so, and than Muon, which moves all directions of a matrix
equally far.

SL with its cosine head is trained on long-tailed glyphs of 16 pixels in two mirrored pairs. All runs have the images,
epochs, batch size, warm-up and schedule of `sl_adamw` in configs/study/mechanism.py. At the full learning rate, weight decay
alone would shrink the matrices of each run by 0.2 % a step. Claims are on the models at the end and at equal accuracy.

Each optimizer has the learning rate with the best top-1 (%). It was chosen before the study from one run at each rate, with
a seed that the study does not use, by

    cliptail study optimizers:tune=yes --workdir=runs/optimizer_rates

    sgd     1e-2  74.3    3e-2  79.8    1e-1  78.9    3e-1  71.8
    adamw   3e-3  77.0    1e-2  79.9    3e-2  75.7
    lion    1e-3  73.6    3e-3  78.1    1e-2  72.9
    muon    3e-3  81.5    1e-2  85.5    3e-2  86.3    1e-1  84.0

Lion's momentum decays by 0.9 a step. With 0.99, Lion's default, it remembers a hundred of the 588 steps, and reaches
22.5, 24.8 and 18.9 % with rates of 3e-4, 1e-3 and 3e-3 on glyphs of 32 pixels.
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

# The learning rate times the weight decay: that of AdamW with a rate of 1e-2 and CLIP's weight decay of 0.2.
DECAY = 2e-3
SOURCE = studies.LONG_TAILED["glyphs_16"]
RATES = {"sgd": 3e-2, "adamw": 1e-2, "lion": 3e-3, "muon": 3e-2}  # the best of `tune=yes`
RATE_GRID = {
    "sgd": ("1e-2", "3e-2", "1e-1", "3e-1"),
    "adamw": ("3e-3", "1e-2", "3e-2"),
    "lion": ("1e-3", "3e-3", "1e-2"),
    "muon": ("3e-3", "1e-2", "3e-2", "1e-1"),
}
TUNING_SEED = 1000
NAMES = {"sgd": "SGD", "adamw": "AdamW", "lion": "Lion", "muon": "Muon"}
# The claim, the run with the higher and the run with the lower value.
CLAIMS = {
    "adamw": ("SGD leaves SL more biased than AdamW", "sgd", "adamw"),
    "lion": ("SGD leaves SL more biased than Lion", "sgd", "lion"),
    "muon": ("SGD leaves SL more biased than Muon", "sgd", "muon"),
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "tune")
    if arguments.choice(args, "tune", ("no", "yes")) == "yes":
        rates = {f"{name}_{rate}": (name, float(rate)) for name, grid in RATE_GRID.items() for rate in grid}
        runs = {run: sl_with(*values) for run, values in rates.items()}
        source = SOURCE | dict(first_seed=TUNING_SEED)
        return studies.equal_training("Learning rates of optimizers", source, runs, {}, counterbalanced=False, seeds=1)
    runs = {name: sl_with(name, learning_rate) for name, learning_rate in RATES.items()}
    claims = studies.claims_on(("odds_acc", "slope_pred"), CLAIMS)
    claims |= studies.claims_on(("odds_acc", "slope_pred"), CLAIMS, "_equal_accuracy", condition="equal accuracy")
    title = f"Optimizers of SL on long-tailed {SOURCE['name']}"
    return studies.equal_training(title, SOURCE, runs, claims, seeds=4, names=NAMES)


def sl_with(name: str, learning_rate: float) -> ConfigDict:
    """SL with an optimizer at a learning rate."""
    config = load_config(f"sup:data={SOURCE['preset']}")
    optimizer = config.optimizer
    optimizer.update(dict(name=name, learning_rate=learning_rate, schedule="cosine_steps"))
    optimizer.lion.b2 = 0.9
    optimizer.weight_decay = DECAY / learning_rate
    if name == "sgd":  # its decay is part of the gradient, which a momentum of 0.9 multiplies by up to ten
        optimizer.weight_decay /= 10
        optimizer.sgd.decay_vectors = False
    return config
