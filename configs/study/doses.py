"""CLIP's batches and captions, by dose:

    cliptail study doses --workdir=runs/doses

One mirrored pair of each kind of CLIP on the class names of long-tailed glyphs of 16 pixels: 30 minutes on two CPU cores.
Each run changes one thing: the batch size, at equal images or at equal steps; the number of classes in a batch; the
share of captions that name another class; the number of words behind the name. The learning rate and a warm-up of a
sixth of the steps are those of CLIP in configs/study/mechanism.py. Batch norm has groups of 32 images, so that larger
batches do not change it.
"""

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments, studies

SOURCE = studies.LONG_TAILED["glyphs_16"]
IMAGES, BATCH_SIZE, EPOCHS = 10_847, 128, SOURCE["epochs"]
# The claim, the run with the higher and the run with the lower value of each slope.
CLAIMS = {
    "images": ("A larger batch leaves CLIP more biased, at equal images", "images_512", "images_32"),
    "steps": ("A larger batch leaves CLIP more biased, at equal steps", "steps_512", "steps_32"),
    "classes_50": ("50 classes in a batch leave CLIP more biased than 20", "classes_50", "classes_20"),
    "classes_20": ("20 classes in a batch leave CLIP more biased than 5", "classes_20", "classes_5"),
    "classes": ("Batches as they come leave CLIP more biased than batches of 5 classes", "clip", "classes_5"),
    "noise_10": ("A tenth of captions that name another class leaves CLIP more biased than none", "noise_10", "clip"),
    "noise_30": ("Three tenths leave CLIP more biased than one", "noise_30", "noise_10"),
    "noise_50": ("A half leaves CLIP more biased than three tenths", "noise_50", "noise_30"),
    "words_1": ("Class names leave CLIP more biased than with one word behind them", "clip", "words_1"),
    "words_2": ("One word behind the class name leaves CLIP more biased than two", "words_1", "words_2"),
}


def get_config(arg: str = ""):
    arguments.read_only(arg)
    runs = {
        "clip": on_glyphs(),
        "images_32": on_glyphs("batch_size=32"),
        "images_512": on_glyphs("batch_size=512"),
        "steps_32": on_glyphs("batch_size=32", steps=IMAGES // BATCH_SIZE * EPOCHS),
        "steps_512": on_glyphs("batch_size=512", steps=IMAGES // BATCH_SIZE * EPOCHS),
        **{f"classes_{k}": on_glyphs(f"batch_classes={k}") for k in (5, 20, 50)},
    }
    for percent in (10, 30, 50):
        runs[f"noise_{percent}"] = on_glyphs()
        runs[f"noise_{percent}"].data.captions.distractors = percent / 100
    for words in (1, 2):
        runs[f"words_{words}"] = on_glyphs("captions=cname+tags")
        runs[f"words_{words}"].data.captions.max_words = words
    names = {
        "clip": "batches of 128, as they come",
        **{f"images_{size}": f"batches of {size}, as many images" for size in (32, 512)},
        **{f"steps_{size}": f"batches of {size}, as many steps" for size in (32, 512)},
        **{f"classes_{k}": f"{k} classes in a batch" for k in (5, 20, 50)},
        **{f"noise_{percent}": f"{percent} % wrong captions" for percent in (10, 30, 50)},
        "words_1": "one word behind the name",
        "words_2": "two words behind the name",
    }
    title = f"CLIP's batch and captions by dose, on long-tailed {SOURCE['name']}"
    claims = studies.claims_on(studies.SLOPES, CLAIMS)
    return studies.study(title, runs, claims, SOURCE["first_seed"], seeds=2, counterbalanced=True, names=names)


def on_glyphs(*args: str, steps: int = 0) -> ConfigDict:
    """CLIP with these arguments, for so many steps; by default for `EPOCHS` epochs."""
    config = load_config(",".join([f"clip:data={SOURCE['preset']}", *args]))
    config.total_steps = steps or IMAGES // config.batch_size * EPOCHS
    config.optimizer.update({"learning_rate": SOURCE["learning_rate"], "warmup_steps": config.total_steps // 6})
    config.batch_norm.group_size = 32
    config.model.text.context_length = 16 if config.data.captions.words else 8
    config.eval.every_epochs = 1
    return config
