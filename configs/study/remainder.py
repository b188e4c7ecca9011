"""What bias remains if the loss adds no prior: does it come from few exposures of rare classes, or from few distinct images?

    cliptail study remainder --workdir=runs/remainder
    cliptail study remainder:data=cifar100 --workdir=runs/remainder_cifar100
    cliptail study remainder:tower=runs/natural/seed_2/adjusted --workdir=runs/remainder_pretrained

SL adds log p(class) to the logits; adjusted logits add nothing, and leave a remainder (configs/effective_prior.md). All runs have
classes of 500 to 5 images per epoch, at three lengths of training, in two mirrored pairs:

    adjusted    adjusted logits on the long tail as it is
    fresh       adjusted logits; every epoch draws other images, from 500 of each class, as often as under the long tail
    balanced    the images of the long tail, repeated so that all classes are seen equally often (balanced sampling)
    sl          SL, for comparison

With `tower=RUN`, two kinds at the second length compare adjusted logits from random weights (`adjusted`) and from the image tower of a run
on other images (`pretrained`), such as icons, whose classes are others, too.

With equally many images of all classes there is no frequency to be biased towards. At the second length, two runs try to lower the
remainder on the same images: `augmented`, with crops of half to all of the area, and `decayed`, with five times the weight decay.

Expected, from networks in PyTorch: with longer training, few exposures cost less (`fresh`), few distinct images cost more (`adjusted`),
and repeating them makes it worse (`balanced`).
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

FIRST_SEED = 36  # no study on these data has it
LENGTHS = {"glyphs_16": (8, 16, 32), "cifar100": (15, 30, 60)}  # epochs
ARMS = ("adjusted", "fresh", "balanced", "sl")
CROPS, DECAY = (0.5, 1.0), 5
PRETRAINED = "A tower that is pre-trained on other images lowers the remainder"
NAMES = {
    "adjusted": "adjusted logits",
    "fresh": "adjusted logits, fresh images",
    "balanced": "balanced sampling",
    "sl": "SL",
    "augmented": "adjusted logits, strong augmentation",
    "decayed": "adjusted logits, strong weight decay",
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "data", "tower")
    data = arguments.choice(args, "data", tuple(LENGTHS))
    source, lengths = studies.LONG_TAILED[data], LENGTHS[data]
    if tower := args.get("tower"):
        return pretrained_tower(source, tower, lengths[1])
    arms = {f"{arm}_{epochs}": (arm, epochs) for epochs in lengths for arm in ARMS}
    arms |= {f"{arm}_{lengths[1]}": (arm, lengths[1]) for arm in ("augmented", "decayed")}
    runs = {run: config_of(source, *values) for run, values in arms.items()}
    names = {run: f"{NAMES[arm]}, {epochs} epochs" for run, (arm, epochs) in arms.items()}
    title = f"What remains without a prior, on long-tailed {source['name']}"
    return studies.study(title, runs, stated_claims(lengths), FIRST_SEED, seeds=4, counterbalanced=True, names=names)


def pretrained_tower(source: studies.ClaimFields, tower: str, epochs: int):
    """Adjusted logits with the image tower of another run, whose directory is `tower`, and with a random one."""
    runs = {name: config_of(source, "adjusted", epochs) for name in ("adjusted", "pretrained")}
    runs["pretrained"].image.init = tower
    claims = studies.claims_on(("odds_acc",), {"pretrained": (PRETRAINED, "adjusted", "pretrained")})
    names = {"adjusted": NAMES["adjusted"], "pretrained": "adjusted logits, pre-trained tower"}
    title = f"A pre-trained tower and what remains without a prior, on long-tailed {source['name']}"
    return studies.study(title, runs, claims, FIRST_SEED, seeds=4, counterbalanced=True, names=names)


def config_of(source: studies.ClaimFields, arm: str, epochs: int) -> ConfigDict:
    config = load_config(f"sup:data={source['preset']}")
    config.optimizer = studies.adamw(source["preset"], source["learning_rate"])
    config.total_epochs, config.eval.every_epochs, config.data.drop_last = epochs, epochs // 6, True
    config.loss.logit_adjustment = 0.0 if arm in ("balanced", "sl") else 1.0
    config.data.balanced_sampling = arm == "balanced"
    config.data.profile.redrawn = arm == "fresh"
    if arm == "augmented":
        config.data.crop_scale = CROPS
    if arm == "decayed":
        config.optimizer.weight_decay *= DECAY
    return config


def stated_claims(lengths: tuple[int, ...]) -> dict[str, studies.ClaimFields]:
    short, middle, long = lengths
    texts = {
        "fresh_length": ("Few exposures cost less with longer training", f"fresh_{short}", f"fresh_{long}"),
        "tail_length": ("Few distinct images cost more with longer training", f"adjusted_{long}", f"adjusted_{short}"),
        "repeated_length": ("Repeated images cost more with longer training", f"balanced_{long}", f"balanced_{short}"),
        "augmented": ("Strong augmentation lowers the remainder", f"adjusted_{middle}", f"augmented_{middle}"),
        "decayed": ("Strong weight decay lowers the remainder", f"adjusted_{middle}", f"decayed_{middle}"),
    }
    for epochs in lengths:
        texts |= {
            f"sl_{epochs}": ("SL is more biased than adjusted logits", f"sl_{epochs}", f"adjusted_{epochs}"),
            f"fresh_{epochs}": ("Fresh images lower the remainder", f"adjusted_{epochs}", f"fresh_{epochs}"),
            f"repeated_{epochs}": ("Repeating images raises the remainder", f"balanced_{epochs}", f"adjusted_{epochs}"),
            f"remains_{epochs}": ("With fresh images, few exposures still cost", f"fresh_{epochs}", 0.0),
        }
    return studies.claims_on(("odds_acc",), texts)
