"""Does the optimizer make SL biased, and do optimizers differ when they are equally accurate?

    python -m cliptail_jax.study --config=configs/study/optimizers.py --workdir=runs/optimizers

In gradient flow, a class is learned at a rate proportional to its frequency, in sign descent at one that does not depend on
it, so that under long tails Adam overtakes SGD (Kunstner et al. 2024, arXiv 2402.19449). By this theory, SGD leaves more bias
than AdamW and Lion, whose updates are signs or nearly so, and than Muon, which moves all directions of a matrix equally far.

SL with its cosine head is trained on long-tailed glyphs as `sl_adamw` of configs/study/mechanism.py is: all runs have the same
images, epochs, batch size, warm-up and schedule. Weight decay alone would shrink their matrices by 0.2 % a step at the full
rate in each. Learning rates are the best for top-1, in one run of seed 1000, which is none of the study's; nobody has looked at
the bias of these runs. Claims are on the models at the end, and where both are equally accurate.
"""

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

DECAY = (
    2e-3  # the learning rate times the weight decay, which is AdamW's at its best rate with CLIP's weight decay of 0.2
)
RATES = {"sgd": 0.1, "adamw": 1e-2, "lion": 1e-3, "muon": 1e-2}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    data_dir, seed = FieldReference(""), FieldReference(0)
    runs = {name: trained_by(name, rate) for name, rate in RATES.items()}
    for config in runs.values():
        config.seed = config.data.seed = seed
        config.data.data_dir = data_dir
    title = "Optimizers of SL on long-tailed glyphs"
    study = dict(title=title, data_dir=data_dir, seed=seed, seeds=4, counterbalanced=True)
    return ConfigDict(study | dict(runs=studies.in_order(runs), claims=studies.in_order(claims())))


def trained_by(name: str, learning_rate: float) -> ConfigDict:
    """SL with an optimizer at a learning rate."""
    config = load_config("sup:data=glyphs_lt")
    config.total_epochs = 7
    config.data.drop_last = True
    config.eval.every_epochs = 1  # for equal accuracies
    optimizer = config.optimizer
    optimizer.update(dict(name=name, learning_rate=learning_rate, schedule="cosine_steps"))  # warmed up for a sixth
    optimizer.weight_decay = DECAY / learning_rate
    if name == "sgd":  # its decay is part of the gradient, which a momentum of 0.9 adds up to tenfold
        optimizer.weight_decay /= 10
        optimizer.sgd.decay_vectors = False
    return config


def claims() -> dict[str, dict]:
    stated = {}
    for lower, title in (("adamw", "AdamW"), ("lion", "Lion"), ("muon", "Muon")):
        for statistic in ("odds_acc", "slope_pred"):
            at_end = studies.claim(f"SGD leaves SL more biased than {title}", statistic, "sgd", lower)
            stated[f"{lower}_{statistic}"] = at_end
            stated[f"{lower}_{statistic}_equal"] = at_end | {"at": "equal accuracy"}
    return stated
