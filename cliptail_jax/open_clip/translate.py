"""Translates a command line of open_clip to a training config."""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.files import load_config
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import CLIP_MEAN, CLIP_STD
from cliptail_jax.models.image_towers import describe_image_tower, image_tower
from cliptail_jax.objectives import TrainingConfig, base_config, typed_config
from cliptail_jax.open_clip import data, models
from cliptail_jax.open_clip.flags import TRAINED, CommandLine
from cliptail_jax.open_clip.models import Fields
from cliptail_jax.open_clip.study import STUDY_DATA
from cliptail_jax.open_clip.tokenizer import tokenizer_file
from cliptail_jax.pretrained.published import listed_preprocess
from cliptail_jax.training.objective import RANDOM

DTYPES = {"fp32": "float32", "amp_bf16": "bfloat16", "amp_bfloat16": "bfloat16", "amp": "bfloat16"}
SCHEDULES = {"cosine": "cosine_steps", "const": "constant", "const-cooldown": "constant"}
TITLE = '"""The config of an open_clip command:'  # the first line of a config file
CONTEXT_LENGTH = 77  # tokens of open_clip's text towers, unless a model's table has another number
SUPPORTED_VALUES = {  # the supported values of some flags: open_clip's default, and others if any
    "image_interpolation": (None, "bicubic"),
    "image_key": ("jpg;png;jpeg;webp",),
    "text_key": ("txt",),
    "force_patch_dropout": (None, 0.0),
    "partial_load": (None, "text"),
    "opt": ("adamw",),
}


@dataclasses.dataclass(frozen=True)
class Translation:
    """The translation of a command line.

    Attributes:
        config: the training config.
        sets: the data sets that the run needs, which are built once.
        samples: the smallest number of training records that is allowed; 0 for any.
        workdir: the run's directory.
        notes: a line for each flag that has no effect, or another effect than in open_clip.
    """

    config: TrainingConfig
    sets: tuple[data.Set, ...]
    samples: int
    workdir: str
    notes: tuple[str, ...]


def translate(line: CommandLine, devices: int, data_dir: str = "", tokenizer: str | None = "") -> Translation:
    """Translate a command line. The batch is open_clip's batch per GPU times `devices`.

    Data sets in `data_dir` are neither read nor built. `tokenizer` is the option of `tokenizer_file`, or None for a config
    that is only planned.

    Raises:
        UserError: A flag is not supported or has an invalid value, or flags cannot be combined.
    """
    values = line.values
    check_alone(values)
    if not values["train_data"]:
        raise UserError(
            "there is no --train-data: published models are evaluated by cliptail evaluate zero_shot:model=NAME, and runs by "
            "cliptail evaluate --workdir=RUN"
        )
    config, notes = base_config(), line.notes()
    path = PurePosixPath(values["train_data"])
    known_data = STUDY_DATA.get(path.stem) if path.suffix in (".csv", ".tsv") else None
    if known_data:
        paper = load_config(known_data)
        config.data, config.eval = paper.data, paper.eval
        notes.append(f"--train-data is a table of the study: the data are those of {known_data}")
    train = None if known_data else data.pairs_of("train_data", values)
    held_out = held_out_sets(values, train)
    fields = {"data.data_dir": data_dir, "data.drop_last": True}
    fields |= data_fields(train) if train else {}
    fields |= evaluation_fields(values, held_out, bool(known_data))
    fields |= tower_fields(values, notes)
    fields |= tokenizer_fields(values, "text.init" in fields, tokenizer, notes)
    fields |= pixel_fields(values, "image.init" in fields, notes)
    fields |= step_fields(line, devices, bool(known_data), notes)
    fields |= optimizer_fields(values, bool(known_data), notes)
    config.update_from_flattened_dict(fields)
    sections = typed_config(config)
    check_image_tower(sections)
    samples = values["train_num_samples"] or 0
    has_shards = (
        not known_data and data.kind_of("train_data", values["train_data"], values["dataset_type"]) == data.SHARDS
    )
    min_samples = samples if has_shards and not values["dataset_resampled"] else 0
    sets = (train, *held_out) if train else held_out
    return Translation(sections, sets, min_samples, f"{values['logs'].rstrip('/')}/{run_name(values)}", tuple(notes))


def check_alone(values: Mapping[str, Any]) -> None:
    """Raise UserError for a value of a flag that is not supported."""
    for key, values_here in SUPPORTED_VALUES.items():
        if values[key] not in values_here:
            raise UserError(f"--{key.replace('_', '-')} {values[key]} is not supported: it is {values_here[-1]} here")
    if values["logs"].lower() in ("", "none"):
        raise UserError("--logs is the folder of the run's directory, which is needed here: name one")
    if values["resume"] not in (None, "latest"):
        raise UserError(
            f"--resume {values['resume']} is a checkpoint of PyTorch: --resume latest continues a run of this program, and "
            "--pretrained starts from converted weights"
        )
    for key, choices in (("precision", DTYPES), ("lr_scheduler", SCHEDULES)):
        if values[key] not in choices:
            raise UserError(
                f"--{key.replace('_', '-')} {values[key]} is not supported: it is one of {', '.join(choices)}"
            )


def held_out_sets(values: Mapping[str, Any], train: data.Set | None) -> tuple[data.Set, ...]:
    """The sets for retrieval and zero-shot classification. `train` is None for data of the study, which include ImageNet."""
    sets = []
    if values["val_data"]:
        pairs = data.pairs_of("val_data", values)
        is_same_name = train is not None and pairs.name == train.name
        sets.append(pairs._replace(name=f"{pairs.name}-val") if is_same_name else pairs)
    if values["imagenet_val"] and train is not None:
        sets.append(data.labelled_of(values["imagenet_val"]))
    return tuple(sets)


def data_fields(train: data.Set) -> Fields:
    return {
        "data.name": train.name,
        "data.split": train.split,
        "data.captions.words": (train.options["caption_columns"],),
    }


def evaluation_fields(values: Mapping[str, Any], sets: Sequence[data.Set], from_study: bool) -> Fields:
    names = [f"{eval_set.name}:{eval_set.split}" for eval_set in sets]
    if values["imagenet_val"] and from_study:
        names.append("imagenet")
    names += ["imagenet_v2"] if values["imagenet_v2"] else []
    names += ["imagenet100"] if values["imagenet_100"] else []
    has_classes = values["imagenet_val"] or values["imagenet_v2"] or values["imagenet_100"]
    frequency = values["zeroshot_frequency"] if has_classes else values["val_frequency"]
    fields = {"eval.sets": tuple(names), "eval.every_epochs": frequency or 10**9}
    return fields | {"eval.neural_collapse": values["nc_metrics"]}


def tower_fields(values: Mapping[str, Any], notes: list[str]) -> Fields:
    """The fields of the towers: their sizes, initial weights and frozen parts."""
    name, source, text_only = values["model"], values["pretrained"] or "", bool(values["partial_load"])
    size = set(values["force_image_size"] or [0])
    if len(size) > 1:
        raise UserError(f"--force-image-size {' '.join(map(str, values['force_image_size']))}: images are square")
    fields = models.towers(name, source, values["force_quick_gelu"], size.pop(), text_only)
    model_cfg = models.architecture(name)
    if rate := model_cfg["vision_cfg"].get("timm_drop_path"):
        notes.append(f"--model: open_clip drops blocks of its image tower at random ({rate}); here all are used")
    fields["model.dtype"] = DTYPES[values["precision"]]
    fields["model.remat"] = "blocks" if values["grad_checkpointing"] else "none"
    fields["objective"] = "sigmoid" if values["siglip"] else "contrastive"
    if length := values["force_context_length"]:
        max_length = model_cfg["text_cfg"].get("context_length", CONTEXT_LENGTH)
        if source and "text.dropout" not in fields and length != max_length:
            raise UserError(
                f"--force-context-length {length} is not supported with --pretrained: the weights are for {max_length} tokens"
            )
        fields["model.text.context_length"] = length
    fields |= data.crop_scale(values["aug_cfg"])
    frozen: tuple[str, ...] = ()
    for locks in (
        values["lock_image"]
        and models.locked_image(name, values["lock_image_unlocked_groups"], values["lock_image_freeze_bn_stats"]),
        values["lock_text"]
        and models.locked_text(name, values["lock_text_unlocked_layers"], values["lock_text_freeze_layer_norm"]),
    ):
        frozen += (locks or {}).get("freeze", ())
        fields |= locks or {}
    if frozen:
        fields["freeze"] = frozen
    if values["precision"] == "amp":
        notes.append("--precision amp: bfloat16 in place of float16, which needs a scaled loss")
    if values["siglip"]:
        notes.append("--siglip: the logit scale has no upper limit, as in the paper; open_clip's is 100")
    if source and not text_only:
        start = "10, with a bias of -10," if values["siglip"] else "1/0.07,"
        notes.append(f"--pretrained: the logit scale starts at {start} and not at that of the weights")
    if source and values["force_quick_gelu"]:
        notes.append("--force-quick-gelu: a tower with weights has the activation that they were trained with")
    if values["lock_text"] and "text.dropout" in fields:
        notes.append("--lock-text: the projection after the encoder is trained, since no weights fill it")
    return fields


def pixel_fields(values: Mapping[str, Any], has_weights: bool, notes: list[str]) -> Fields:
    """The fields of the normalization of pixels and of the resizing in evaluation."""
    fields: Fields = {"data.eval_resize_mode": values["image_resize_mode"] or ""}
    for key in ("mean", "std"):
        numbers = tuple(values[f"image_{key}"] or ())
        fields[f"data.{key}"] = numbers * 3 if len(numbers) == 1 else numbers
    preprocess = {"mean": CLIP_MEAN, "std": CLIP_STD, "resize_mode": "shortest"} | listed_preprocess(values["model"])
    differs = tuple(preprocess["mean"]) != CLIP_MEAN or preprocess["resize_mode"] != "shortest"
    if differs and not has_weights and not any(fields.values()):
        mean, std = (" ".join(map(str, preprocess[key])) for key in ("mean", "std"))
        notes.append(
            "--model: without weights, images have CLIP's pixel statistics and are cropped, as in open_clip; published weights "
            f"have --image-mean {mean} --image-std {std} --image-resize-mode {preprocess['resize_mode']}"
        )
    return fields


def tokenizer_fields(values: Mapping[str, Any], has_weights: bool, tokenizer: str | None, notes: list[str]) -> Fields:
    """The field of the tokenizer. Weights come with a tokenizer, unless a file is given."""
    if tokenizer is None:
        return {}
    if tokenizer == TRAINED:
        if has_weights:
            raise UserError(
                f"--tokenizer={TRAINED}: the text tower has weights, and their tokenizer: leave the option out"
            )
        notes.append(
            f"--tokenizer={TRAINED}: tokens are those of a tokenizer that is trained on the captions, not open_clip's"
        )
    if has_weights:
        return {"text.tokenizer": os.path.abspath(tokenizer)} if tokenizer else {}
    return {
        "text.tokenizer": tokenizer_file(tokenizer, values["model"], models.architecture(values["model"])["text_cfg"])
    }


def step_fields(line: CommandLine, devices: int, from_study: bool, notes: list[str]) -> Fields:
    """The fields of batches, of the length of the training, and of logs."""
    values = line.values
    device_batch, accumulation = values["batch_size"], values["accum_freq"]
    fields: Fields = {
        "seed": values["seed"],
        "batch_size": device_batch * devices * accumulation,
        "accumulate_steps": accumulation,
        "total_epochs": values["epochs"],
        "batch_norm.group_size": statistics_group(values, devices),
    }
    parts = f" x {accumulation}" if accumulation > 1 else ""
    notes.append(f"batch_size={fields['batch_size']}: {device_batch} x {devices} devices{parts}")
    if accumulation > 1:
        notes.append(
            "--accum-freq: the gradient of the logit scale is that of the batch; open_clip adds it once for each part"
        )
    if devices > 1 and values["grad_clip_norm"] and not values["gather_with_grad"]:
        notes.append(
            f"--grad-clip-norm: norms are those of the loss's gradient; without --gather-with-grad, open_clip's are 1/{devices} of them"
        )
    if steps := steps_per_epoch(values, devices, from_study):
        fields["total_steps"] = steps * values["epochs"]
        if values["save_frequency"] > 0:
            fields["checkpoint.every_steps"] = steps * values["save_frequency"]
        notes.append(
            f"--train-num-samples: {values['epochs']} x {steps} steps; evaluations are after epochs of all the records"
        )
    if "--workers" in line.flags:
        fields["data.workers"] = values["workers"]
    for name in ("--log-metric-every-n-steps", "--log-every-n-steps"):
        if name in line.flags:
            fields["log_every_steps"] = line.flags[name]
            break
    return fields


def statistics_group(values: Mapping[str, Any], devices: int) -> int:
    """The number of examples that share batch-norm statistics; 0 for all examples, or for a model without batch norm."""
    has_batch_norm = image_tower(models.architecture(values["model"])["vision_cfg"]).has_batch_norm
    group = values["batch_size"] * (devices if values["use_bn_sync"] else 1)
    return 0 if not has_batch_norm or group == values["batch_size"] * devices * values["accum_freq"] else group


def steps_per_epoch(values: Mapping[str, Any], devices: int, from_study: bool) -> int:
    """open_clip's number of updates in an epoch of --train-num-samples of shards; 0 if the data set that number.

    The number of batches is rounded up to a multiple of the workers. Raises UserError if there are too few samples.
    """
    samples = values["train_num_samples"]
    if not samples or from_study:
        return 0
    if data.kind_of("train_data", values["train_data"], values["dataset_type"]) == data.CSV:
        return 0
    workers, batches = max(values["workers"], 1), math.ceil(samples / (values["batch_size"] * devices))
    steps = math.ceil(batches / workers) * workers // values["accum_freq"]
    if steps < 1:
        raise UserError(
            f"--train-num-samples {samples} is too small: a step has {values['batch_size']} x {devices} x {values['accum_freq']}"
        )
    return steps


def optimizer_fields(values: Mapping[str, Any], from_study: bool, notes: list[str]) -> Fields:
    """The fields of AdamW with open_clip's defaults, and of the schedule. The version of the study's fork decays positions."""
    is_vit = "vit" in values["model"].lower()
    options = {key: values[key] for key in ("lr", "beta1", "beta2", "eps") if values[key] is not None}
    defaults = {"lr": 5e-4, "beta1": 0.9, "beta2": 0.98 if is_vit else 0.999, "eps": 1e-6 if is_vit else 1e-8}
    settings = defaults | options
    fields: Fields = {
        "name": "adamw",
        "learning_rate": settings["lr"],
        "adamw.b1": settings["beta1"],
        "adamw.b2": settings["beta2"],
        "adamw.eps": settings["eps"],
        "weight_decay": values["wd"],
        "decay_positions": from_study,
        "schedule": SCHEDULES[values["lr_scheduler"]],
        "warmup_steps": values["warmup"],
        "clip_norm": values["grad_clip_norm"] or 0.0,
    }
    if values["lr_scheduler"] == "const-cooldown":
        epochs = values["epochs_cooldown"]
        if epochs is None:
            raise UserError("--lr-scheduler const-cooldown needs --epochs-cooldown: add it")
        if not 0 < epochs <= values["epochs"]:
            raise UserError(f"--epochs-cooldown is {epochs}; it must be from 1 to --epochs, {values['epochs']}")
        fields |= {"cooldown": epochs / values["epochs"], "cooldown_power": values["lr_cooldown_power"]}
        fields["final_learning_rate"] = values["lr_cooldown_end"]
    if values["skip_scheduler"]:
        fields |= {"schedule": "constant", "warmup_steps": 0, "cooldown": 0.0}
    if values["wd"] and not from_study:
        notes.append(
            "--wd: positions do not decay, as in open_clip since June 2026; --config.optimizer.decay_positions=True before -- "
            "is as in 3.3 and before"
        )
    return {f"optimizer.{key}": value for key, value in fields.items()}


def check_image_tower(config: TrainingConfig) -> None:
    """Raise UserError if an image tower without weights cannot be built for the images."""
    if config.image.init == RANDOM:
        quick_gelu = config.model.activation == "quick_gelu"
        describe_image_tower(config.model.image, config.data.image_size, quick_gelu=quick_gelu)


def run_name(values: Mapping[str, Any]) -> str:
    """The name of the run: --name, or open_clip's default without the time, so that the same command continues the run."""
    if values["name"]:
        return values["name"]
    rate = values["lr"] if values["lr"] is not None else 5e-4
    parts = {"lr": rate, "b": values["batch_size"], "j": values["workers"], "p": values["precision"]}
    return "-".join([f"model_{values['model'].replace('/', '-')}", *(f"{key}_{value}" for key, value in parts.items())])


def config_file(translation: Translation, arguments: str) -> str:
    """A Python config file for `cliptail train`, with the fields that differ from their defaults."""
    lines = [f"    config.{key} = {value!r}" for key, value in changes(translation.config).items()]
    notes = ["", *(f"- {note}" for note in translation.notes)] if translation.notes else []
    docstring = "\n".join(["", "", f"    {arguments}", *notes]).replace("\\", "\\\\").replace('"""', '\\"""')
    head = f'{TITLE}{docstring}\n"""\n\nfrom cliptail_jax.objectives import base_config\n\n\ndef get_config():\n'
    return head + "\n".join(["    config = base_config()", *lines, "    return config"]) + "\n"


def parameters(line: CommandLine, config: TrainingConfig) -> str:
    """The lines of params.txt: open_clip's flags with their values, and the config's fields that differ from their defaults."""
    flags = {key: line.values[key] for key in sorted(line.values)}
    ours = {f"config.{key}": value for key, value in changes(config).items()}
    return "".join(f"{key}: {value}\n" for key, value in (flags | ours).items())


def changes(config: TrainingConfig) -> Fields:
    """The fields of a config that differ from their defaults, in alphabetical order."""
    values, defaults = (dict(flatten(section)) for section in (config, TrainingConfig()))
    return {key: values[key] for key in sorted(values) if values[key] != defaults[key]}
