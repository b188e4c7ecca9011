"""Every field a training config has, with its default and meaning, and the check of a whole config."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.concepts.templates import TEMPLATE_SETS
from cliptail_jax.errors import UserError

MAX_BLUR = 2.0  # pixels: the largest radius of a multi-crop view's blur, at 224 pixels


def base_config() -> ConfigDict:
    """The training config that every file of `configs/` starts from. 0, '' and () mean "off" or "all" throughout."""
    return ConfigDict(
        dict(
            seed=0,  # initial weights, order of the data, augmentation, sampled vocabularies
            objective="supervised",  # 'contrastive', 'dino'; or 'zero_shot', published models that are evaluated, not trained
            total_epochs=90,
            total_steps=0,  # in place of total_epochs
            batch_size=256,  # over all devices and processes
            accumulate_steps=1,  # micro-batches a step; the loss still spans the whole batch
            log_every_steps=50,
            checkpoint=dict(every_steps=1000, keep=2),
            eval=dict(
                every_epochs=1,  # and always at the end
                sets=(),  # as 'name:split', or short names of zero_shot.sets
                random_classes=0,  # of a 'name:split' so many classes alone, those that data.classes.random would draw; 0 = all
                batch_size=256,
                templates="openai80",  # zero-shot classifier of contrastive models; '' = the set's own
                descriptors="",  # in their place, each class's descriptors: a JSON file
                waffle=0,  # in their place, so many random descriptors
                waffle_kind="words",  # or 'characters'
                waffle_seed=0,
                neural_collapse=False,
                similarity=False,  # of a class's images with each other and with the class's embedding
                save_features=False,  # image features with their labels and records, and class embeddings, as .npy
                models=(),  # zero-shot: names of zero_shot.models, or what pretrained.load takes
                class_frequency="",  # zero-shot: a table, a corpus, or 'published', each model's; '' = no correlations
                frequency_dir="",  # the folder with the published tables of the corpora
                rank_by="",  # a frequency table that ranks the classes for head, mid and tail; '' = the training one
                head_classes=0,  # how many classes are head and tail; 0 = a third each
                tail_classes=0,
            ),
            data=dict(
                name="glyphs",
                data_dir="",  # '' = $TFDS_DATA_DIR or ~/tensorflow_datasets
                split="train",  # or several, as 'train+validation'
                class_names="",  # a built-in vocabulary or a file; '' = the builder's, or CLIP's for ImageNet's ids
                seed=0,  # which records, classes and captions a variant draws
                table="",  # a TSV of filepath, label, caption: these records, with these labels and words
                class_match=dict(vocabulary="", unique=False),  # label records by the classes that their words name
                held_out=0.0,  # share of each class that is left out, for validation
                # At most one of: a list of names or labels, a vocabulary's names, the first k, k random ones.
                classes=dict(names=(), vocabulary="", first=0, random=0),
                min_similarity=0.0,  # of the caption to the class's definition, where the source has it
                balance=dict(cap=0, vocabulary=""),  # MetaCLIP's cap on each class, or each entry of a vocabulary
                profile=dict(name="", ratio=100.0, exponent=1.0),  # imposed: 'exponential' (ratio), 'zipf' (exponent)
                match=dict(frequency="", fill=""),  # a variant's frequency table; a source 'name:split' to fill up from
                n=0,  # a sample of n records
                fraction=1.0,  # or of this share of the records
                keep_all_classes=False,  # a sample loses no class
                tail=dict(classes=0, shots=0),  # so many of the rarest classes are cut to so many records each
                captions=dict(
                    template="",  # a template set in front: cname, a+cname, photo, simple, openai80
                    words=(),  # text fields of the source behind it: superclass, title, tags, description, ...
                    synset=False,  # a random lemma of the class's WordNet synset in place of its name
                    resample=False,  # draw template and lemma anew each epoch
                ),
                image_size=224,
                crop_scale=(0.9, 1.0),  # share of the area that a random resized crop keeps, of DINO a global one
                flip=False,
                shift=0,  # random shifts by up to so many pixels
                multi_crop=dict(  # of DINO: two global crops of image_size, and local ones
                    num_local=8,
                    local_size=96,
                    local_scale=(0.05, 0.14),
                    max_blur=2.0,  # largest radius of the Gaussian blur, in pixels; 0 = none
                    on_device=True,  # augment in the step, not in the input pipeline with Pillow
                    canvas=384,  # side that on_device squashes whole images to before they are cropped: finer detail is lost
                ),
                eval_resize=256,  # short side before the centre crop of image_size
                drop_last=False,  # drop an epoch's last partial batch
                cache=False,  # keep decoded images in memory: for sources of small images
                workers=0,  # processes that load data; 0 = threads of this one
                max_unreadable=0.001,  # share of images that may be unreadable
            ),
            mesh=dict(data=-1, fsdp=1),  # devices along each axis; -1 = all that are left
            model=dict(
                image=dict(
                    name="modified_resnet",
                    layers=(3, 4, 6, 3),
                    width=64,
                    heads=32,
                    patch_size=32,
                    output_dim=1024,
                    initialization="clip",  # of a modified_resnet; or 'pytorch', its layers' default
                ),
                text=dict(name="transformer", width=512, layers=12, heads=8, context_length=77, vocab_size=49408),
                activation="gelu",
                dtype="float32",  # of the computation; parameters are always float32
            ),
            image=dict(
                init="random",  # or a published CLIP, whose image tower it is, or the work directory of a run
                freeze=False,  # as in text
                partial=False,
            ),
            text=dict(
                init="random",  # or a published CLIP, whose text tower it is, or a published BERT or RoBERTa
                freeze=False,  # all of the tower that init has filled
                partial=False,  # init may leave parameters unfilled; they are drawn, and trained
                dropout=0.0,  # of a BERT or RoBERTa in training, frozen or not; 0.1 where they were trained
                cache=True,  # embed each caption once where a frozen tower's captions do not change, not at every step
                tokenizer="",  # CLIP's merges file; '' = train one of model.text.vocab_size on the variant's captions
            ),
            head=dict(
                kind="cosine",  # or 'linear': with a bias, on raw features
                init="",  # an .npy of [classes, dim]; '' = random
                freeze=False,
            ),
            freeze=(),  # further paths that are not trained, such as 'visual' or 'visual.attnpool'
            batch_norm=dict(group_size=0),  # examples that share batch statistics; 0 = the whole batch
            vocabulary=dict(size=0, sampling="uniform", group_size=0),  # classes or prototypes per softmax; 0 = all
            dino=dict(
                prototypes=65536,
                hidden=2048,  # width of the head's perceptron
                bottleneck=256,  # width that it ends in
                freeze_last_layer=0,  # epochs in which the prototypes stay as they are drawn
                teacher_momentum=0.996,  # at the start; at the end 1, by a cosine
            ),
            optimizer=dict(
                name="sgd",  # or 'adamw', 'lars'
                learning_rate=0.1,
                final_learning_rate=0.0,  # of 'cosine_steps'
                weight_decay=1e-4,
                final_weight_decay=0.0,  # by a cosine; 0 = it stays as it is
                decay_vectors=True,  # sgd decays biases and gains too; adamw and lars never do
                momentum=0.9,
                nesterov=False,  # momentum of sgd
                b1=0.9,
                b2=0.999,
                eps=1e-8,
                schedule="cosine_epochs",  # or 'cosine_steps'
                warmup_steps=0,
                warmup_epochs=0,  # in place of warmup_steps
                clip_norm=0.0,  # of the global gradient
                clip_each_norm=0.0,  # of each parameter's gradient
                ema_decay=0.0,  # of the weights that evaluation uses
            ),
        )
    ).lock()


CHOICES = {
    "objective": ("supervised", "contrastive", "dino", "zero_shot"),
    "eval.templates": ("", *TEMPLATE_SETS),
    "eval.waffle_kind": ("words", "characters"),
    "data.profile.name": ("", "exponential", "zipf"),
    "data.captions.template": ("", *TEMPLATE_SETS),
    "model.image.initialization": ("clip", "pytorch"),
    "model.activation": ("gelu", "quick_gelu"),
    "model.dtype": ("float32", "bfloat16"),
    "head.kind": ("cosine", "linear"),
    "vocabulary.sampling": ("uniform", "linear", "sqrt"),
    "optimizer.name": ("sgd", "adamw", "lars"),
    "optimizer.schedule": ("cosine_epochs", "cosine_steps"),
}
ELEMENTS = {
    "eval.sets": (str,),
    "eval.models": (str,),
    "data.classes.names": (str, int),
    "data.captions.words": (str,),
    "data.crop_scale": (float, int),
    "data.multi_crop.local_scale": (float, int),
    "model.image.layers": (int,),
    "freeze": (str,),
}
POSITIVE = [
    "total_epochs",
    "batch_size",
    "accumulate_steps",
    "log_every_steps",
    "checkpoint.every_steps",
    "eval.every_epochs",
    "eval.batch_size",
    "data.image_size",
    "data.eval_resize",
    "data.multi_crop.local_size",
    "data.multi_crop.canvas",
    "data.profile.ratio",
    "mesh.fsdp",
    "model.image.width",
    "model.image.heads",
    "model.image.patch_size",
    "model.image.output_dim",
    "model.text.width",
    "model.text.layers",
    "model.text.heads",
    "model.text.context_length",
    "dino.prototypes",
    "dino.hidden",
    "dino.bottleneck",
    "optimizer.learning_rate",
]
NOT_NEGATIVE = [
    "seed",
    "total_steps",
    "eval.random_classes",
    "eval.head_classes",
    "eval.tail_classes",
    "eval.waffle",
    "eval.waffle_seed",
    "data.seed",
    "data.classes.first",
    "data.classes.random",
    "data.balance.cap",
    "data.n",
    "data.tail.classes",
    "data.tail.shots",
    "data.shift",
    "data.multi_crop.num_local",
    "data.multi_crop.max_blur",
    "data.workers",
    "data.profile.exponent",
    "batch_norm.group_size",
    "vocabulary.size",
    "vocabulary.group_size",
    "dino.freeze_last_layer",
    "optimizer.final_learning_rate",
    "optimizer.weight_decay",
    "optimizer.final_weight_decay",
    "optimizer.momentum",
    "optimizer.warmup_steps",
    "optimizer.warmup_epochs",
    "optimizer.clip_norm",
    "optimizer.clip_each_norm",
]
SHARES = [
    "data.held_out",
    "data.fraction",
    "data.max_unreadable",
    "dino.teacher_momentum",
    "optimizer.momentum",
    "optimizer.b1",
    "optimizer.b2",
    "optimizer.ema_decay",
    "text.dropout",
]

# Fields that change neither the trained numbers nor their order: a run may go on with other values.
INCIDENTAL = (
    "log_every_steps",
    "checkpoint.",
    "eval.",
    "data.data_dir",
    "data.cache",
    "data.workers",
    "data.max_unreadable",
    "mesh.",
    "text.cache",
)


def num_steps(config: ConfigDict, steps_per_epoch: int) -> int:
    """How many steps a run of the config has."""
    return config.total_steps or config.total_epochs * steps_per_epoch


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a config as (dotted key, value)."""
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain(config: ConfigDict) -> dict[str, Any]:
    """The config as JSON has it, flat: tuples become lists."""
    return json.loads(json.dumps(dict(flatten(config))))


def as_config(flat: Mapping[str, Any]) -> ConfigDict:
    """The config that `plain` was made of, as a run's config.json holds it."""
    config = base_config()
    config.update_from_flattened_dict({k: tuple(v) if isinstance(v, list) else v for k, v in flat.items()})
    return config


def what_trains(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The fields on which a run's numbers depend: two configs that agree here describe the same run."""
    return {key: value for key, value in flat.items() if not key.startswith(INCIDENTAL)}


def unknown_key(key: str, known: Iterable[str]) -> UserError:
    """The error for a dotted key that is not among the known ones."""
    close = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return UserError(f"unknown config key '{key}'" + (f"; did you mean '{close[0]}'?" if close else ""))


def check_value(key: str, value: Any, default: Any) -> None:
    """Raise a UserError unless `value` may stand at `key`, whose default is given."""
    number = (int, float)
    right_type = (
        isinstance(value, bool)
        if isinstance(default, bool)
        else isinstance(value, number if isinstance(default, float) else type(default)) and not isinstance(value, bool)
    )
    if not right_type:
        raise UserError(f"config key '{key}' is {value!r}; its type is {type(default).__name__}, as of {default!r}")
    if isinstance(value, tuple) and key in ELEMENTS:
        for element in value:
            if type(element) not in ELEMENTS[key]:
                kinds = " or ".join(kind.__name__ for kind in ELEMENTS[key])
                raise UserError(f"config key '{key}' is {value!r}; each of its elements is a {kinds}")
    if key in CHOICES and value not in CHOICES[key]:
        raise UserError(f"config key '{key}' is {value!r}; it is one of {', '.join(map(repr, CHOICES[key]))}")
    if key in POSITIVE and not value > 0:
        raise UserError(f"config key '{key}' is {value!r}; it must be positive")
    if key in NOT_NEGATIVE and not value >= 0:
        raise UserError(f"config key '{key}' is {value!r}; it must not be negative")
    if key in SHARES and not 0 <= value <= 1:
        raise UserError(f"config key '{key}' is {value!r}; it is a share between 0 and 1")


def check_fields(config: ConfigDict, base: ConfigDict, origin: str) -> None:
    """Raise a UserError unless `config` has the fields of `base`, which `origin` makes, each with a value it may have."""
    schema, given = dict(flatten(base)), dict(flatten(config))
    for key, value in given.items():
        if key not in schema:
            raise unknown_key(key, schema)
        check_value(key, value, schema[key])
    for key in schema:
        if key not in given:
            raise UserError(f"config key '{key}' is missing; start from {origin}")


def validate(config: ConfigDict) -> None:
    """Raise a UserError that names the first key that is unknown, missing, or has a value it cannot have."""
    check_fields(config, base_config(), "cliptail_jax.config.training.base_config()")
    if not config.text.dropout < 1:
        raise UserError(f"text.dropout={config.text.dropout} leaves nothing: it is below 1")
    if config.checkpoint.keep < 2:
        raise UserError(
            f"checkpoint.keep={config.checkpoint.keep}; it is 2 or more, so that one is whole at any moment"
        )
    layers = config.model.image.layers
    if not layers or min(layers) < 1:
        raise UserError(f"config key 'model.image.layers' is {layers}; every stage has a block or more")
    if config.optimizer.warmup_steps and config.optimizer.warmup_epochs:
        raise UserError("set optimizer.warmup_steps or optimizer.warmup_epochs, not both")
    if config.optimizer.nesterov and config.optimizer.name != "sgd":
        raise UserError(f"optimizer.nesterov is for optimizer.name='sgd', not '{config.optimizer.name}'")
    if config.head.kind == "linear" and config.head.init:
        raise UserError("head.init has the class embeddings of a cosine head: set head.kind='cosine'")
    if config.objective == "dino":
        check_dino(config)
    check_evaluation(config)
    check_groups(config)
    check_data(config.data)


def check_evaluation(config: ConfigDict) -> None:
    if config.eval.descriptors and config.eval.waffle:
        raise UserError("set eval.descriptors or eval.waffle, not both: each says what is said of a class")
    if config.eval.random_classes and (config.objective == "zero_shot" or not all(":" in s for s in config.eval.sets)):
        raise UserError("eval.random_classes is for runs, on sets of the form NAME:SPLIT")
    if config.objective == "zero_shot":
        if not config.eval.models:
            raise UserError("eval.models is empty: name published models, such as \"('RN50-quickgelu/cc12m',)\"")
        if not config.eval.sets:
            raise UserError("eval.sets is empty: name the sets to evaluate on, such as \"('imagenet',)\"")
        return
    for key in ("models", "class_frequency", "frequency_dir"):
        if config.eval[key]:
            raise UserError(
                f"eval.{key} is for objective='zero_shot', as in configs/zero_shot.py: a run has its own model and "
                "class frequency"
            )


def check_dino(config: ConfigDict) -> None:
    size, prototypes = config.vocabulary.size, config.dino.prototypes
    if size > prototypes:
        raise UserError(f"vocabulary.size={size} is larger than dino.prototypes={prototypes}: lower it, or 0 for all")
    for key, value, of in (
        ("vocabulary.sampling", config.vocabulary.sampling != "uniform", "'uniform'"),
        ("vocabulary.group_size", config.vocabulary.group_size, "0"),
        ("data.shift", config.data.shift, "0"),
    ):
        if value:
            raise UserError(f"{key} is {of} with objective='dino', which knows nothing of the kind")
    if config.data.multi_crop.max_blur > MAX_BLUR:
        raise UserError(f"data.multi_crop.max_blur={config.data.multi_crop.max_blur}; it is {MAX_BLUR} pixels at most")
    if config.accumulate_steps > 1:
        raise UserError("accumulate_steps is 1 with objective='dino': its targets are balanced over the whole batch")
    if config.optimizer.ema_decay:
        raise UserError("optimizer.ema_decay is 0 with objective='dino': the teacher is the moving average")
    if config.eval.sets:
        raise UserError(
            "eval.sets is empty with objective='dino', which learns no classes: measure it with cliptail_jax.transfer"
        )


def check_groups(config: ConfigDict) -> None:
    """How the batch is cut: by accumulation, into batch-norm groups, into groups that share a vocabulary."""
    size, steps = config.batch_size, config.accumulate_steps
    if size % steps:
        raise UserError(f"batch_size={size} is not divisible by accumulate_steps={steps}")
    if config.vocabulary.group_size and size % config.vocabulary.group_size:
        raise UserError(f"vocabulary.group_size={config.vocabulary.group_size} does not divide batch_size={size}")


def check_batch_norm(config: ConfigDict) -> None:
    """Groups that share batch statistics lie within a micro-batch."""
    size, steps, group = config.batch_size, config.accumulate_steps, config.batch_norm.group_size
    if steps > 1 and not group:
        raise UserError(
            f"batch_norm.group_size=0 normalises over the whole batch, which accumulate_steps={steps} splits; "
            f"set batch_norm.group_size to {size // steps} or a divisor of it"
        )
    if group and (size // steps) % group:
        of = f"batch_size={size}" + (f" / accumulate_steps={steps}" if steps > 1 else "")
        raise UserError(f"batch_norm.group_size={group} does not divide {of}")


def check_data(data: ConfigDict) -> None:
    chosen = [key for key, value in data.classes.items() if value]
    if len(chosen) > 1:
        raise UserError(f"data.classes takes one of names, vocabulary, first and random, not {' and '.join(chosen)}")
    if data.profile.name and data.match.frequency:
        raise UserError("set data.profile.name or data.match.frequency, not both")
    if data.table and data.captions.words:
        raise UserError("data.table has the words of its records: leave data.captions.words empty")
    if data.captions.synset and not data.captions.template:
        raise UserError("data.captions.synset changes the class name in a template: set data.captions.template")
    if data.n and data.fraction != 1:
        raise UserError("set data.n or data.fraction, not both")
    if not data.fraction > 0:
        raise UserError("data.fraction=0 leaves no record")
    for key, scale in (("crop_scale", data.crop_scale), ("multi_crop.local_scale", data.multi_crop.local_scale)):
        low, high = (*scale, None, None)[:2]
        if len(scale) != 2 or not 0 < low <= high <= 1:
            raise UserError(f"data.{key} is {scale}; it is a pair of shares, the smaller first, such as (0.9, 1.0)")
    if data.shift >= data.image_size:
        raise UserError(f"data.shift={data.shift} must be smaller than data.image_size={data.image_size}")
    if data.eval_resize < data.image_size:
        raise UserError(f"data.eval_resize={data.eval_resize} is smaller than data.image_size={data.image_size}")
