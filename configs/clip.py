"""CLIP, trained from scratch on the captions of a variant:

    python -m cliptail_jax.train --config=configs/clip.py:data=cifar100_lt --workdir=runs/clip --config.data.data_dir=DIR

Captions are the class name by default, and the raw captions of LAIONet, YFCC15M-Cls and CC12M-Cls;
`--config.data.captions.template=openai80` draws one of 80 templates per record,
and on glyphs `--config.data.captions.words="('description',)"` adds each image's own words.
"""

from configs import common


def get_config(arg: str = ""):
    config, preset = common.start(arg, batch_size=1024)
    config.objective = "contrastive"
    if not config.data.captions.words:
        config.data.captions.template = "cname"
    config.data.drop_last = True
    config.optimizer.update(
        dict(name="adamw", learning_rate=1e-3, weight_decay=0.2, schedule="cosine_steps", warmup_steps=500)
    )
    if preset in common.SMALL:
        common.small_images(config, preset)
        config.optimizer.update({"learning_rate": 2e-3, "warmup_steps": 100})
        return config
    # The study's recipe: RN50, batch 1024, batch norm over all of it.
    config.total_epochs = 32
    config.data.eval_resize = 224
    return config
