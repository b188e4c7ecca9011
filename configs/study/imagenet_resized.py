"""The main finding on photographs with the web's long tail: ImageNet's images, as often as LAION-400M names their
classes.

    cliptail study imagenet_resized --workdir=runs/imagenet32 --config.data_dir=DIR \\
        --config.frequency=class_frequency_laion400m_imagenet_ori.txt

DIR contains TFDS's imagenet_resized/32x32, or 64x64 with `:size=64`, prepared as cliptail_jax/datasets/README.md
describes. The frequency table is in metadata/freqs of github.com/CVMI-Lab/clip-beyond-tail; any table of ImageNet's
classes works. It is scaled to 100,000 images, and no class gets more than the 732 images of ImageNet's smallest class:
40 classes have 732 images, the median class has 23, and 27 classes have none.

SL, SL with counted classes of the batch, and CLIP on class names are each trained with the web's frequencies in natural
order, assigned to classes at random, and reversed. Natural and reversed order are a mirrored pair. The random order
shows whether frequent concepts are easier. This study has not been run, and its recipe is not tuned: it is that of
CIFAR-100-LT with larger batches.

A run has 64 epochs, or 6,208 steps of 1,024 images. By `plan`, a step of CLIP on v5e-8 takes at least 0.017 ms, so the
input is the limit there. A core that trains on 1,000 images a second, as on CIFAR-100, takes two hours.

    cliptail plan clip:data=imagenet32,batch_size=1024 --on=v5e-8 \\
        --records=100000 --classes=1000 --config.total_epochs=64 --config.model.text.context_length=16
"""

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.remedies import with_remedy

IMAGES, BATCH_SIZE, EPOCHS = 100_000, 1024, 64
NAMES = {"sl": "SL", "counts": "SL, weighted by count", "clip": "CLIP on class names"}
ORDERS = ("natural", "random", "reversed")
CLAIMS = {
    "clip": ("In {} order, SL is more biased than CLIP", "sl", "clip"),
    "counts": ("In {} order, SL is more biased than with counted classes of the batch", "sl", "counts"),
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "size")
    size = arguments.choice(args, "size", ("32", "64"))
    frequency = FieldReference("class_frequency_laion400m_imagenet_ori.txt")
    runs, claims, names = {}, {}, {}
    for order in ORDERS:
        for kind in ("sl", "counts", "clip"):
            config = runs[f"{kind}_{order}"] = run_of(kind, f"data=imagenet{size},batch_size={BATCH_SIZE}")
            config.data.match.update(dict(n=IMAGES, assignment=order))
            config.data.match.frequency = frequency
            names[f"{kind}_{order}"] = f"{NAMES[kind]}, {order} order"
        order_claims = {
            f"{key}_{order}": (text.format(order), *(f"{kind}_{order}" for kind in kinds))
            for key, (text, *kinds) in CLAIMS.items()
        }
        claims |= studies.claims_on(("odds_acc", "slope_pred"), order_claims)
    for kind in ("sl", "counts", "clip"):
        text = "In natural order, {} is more biased than in random order, as frequent concepts are easier"
        claims[f"{kind}_easier"] = studies.claim(text.format(kind), "odds_acc", f"{kind}_natural", f"{kind}_random")
    title = f"ImageNet at {size} pixels, as frequent as on the web"
    return studies.study(title, runs, claims, first_seed=0, seeds=2, frequency=frequency, names=names)


def run_of(kind: str, args: str) -> ConfigDict:
    config = load_config(f"clip:{args}" if kind == "clip" else f"sup:{args}")
    config.total_epochs, config.eval.every_epochs = EPOCHS, 4
    config.optimizer = load_config(f"clip:{args}").optimizer
    config.batch_norm.group_size = 128
    config.data.drop_last = True
    if kind == "clip":
        config.model.text.context_length = 16
    return with_remedy(config, "counts") if kind == "counts" else config
