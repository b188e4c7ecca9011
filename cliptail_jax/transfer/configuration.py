"""Every field of a transfer config, with its default and meaning, and the check of a whole config."""

from ml_collections import ConfigDict

from cliptail_jax.config.training import check_fields, flatten
from cliptail_jax.errors import UserError, did_you_mean

METHODS = ("probe", "few_shot", "finetune")


def base_config() -> ConfigDict:
    """The config that `configs/transfer.py` starts from."""
    return ConfigDict(
        dict(
            models=(),  # work directories of runs, names of zero_shot.models, hf-hub:OWNER/NAME, or folders
            sets=(),  # short names of transfer.sets, or NAME:TRAIN:TEST or NAME:TRAIN:VALIDATION:TEST
            methods=("probe", "few_shot"),  # and 'finetune', which trains the model 21 times for each set
            seed=0,  # the images held out for validation, the folds of temperature scaling, the episodes, fine-tuning
            image_size=0,  # of the images that a model gets; 0 = the model's own, of published ones 224 at most
            batch_size=256,  # of images, over all devices and processes
            few_shot=dict(ways=5, shots=5, queries=15, episodes=600),
            finetune=dict(
                steps=5000,
                batch_size=256,
                learning_rates=(1e-1, 1e-2, 1e-3, 1e-4),
                weight_decays=(0.0, 1e-6, 1e-5, 1e-4, 1e-3),  # divided by the learning rate where they are used
            ),
            data=dict(
                data_dir="",  # '' = $TFDS_DATA_DIR or ~/tensorflow_datasets
                workers=0,  # processes that load images; 0 = threads of this one
                max_unreadable=0.001,  # share of a split's images that may be unreadable
            ),
            mesh=dict(data=-1, fsdp=1),  # devices along each axis; -1 = all that are left
        )
    ).lock()


POSITIVE = [f"few_shot.{key}" for key in ("ways", "shots", "queries", "episodes")]
POSITIVE += ["finetune.steps", "finetune.batch_size"]


def validate(config: ConfigDict) -> None:
    """Raise a UserError that names the first key that is unknown, missing, or has a value it cannot have."""
    check_fields(config, base_config(), "cliptail_jax.transfer.configuration.base_config()")
    for key, value in flatten(config):
        if key in POSITIVE and value < 1:
            raise UserError(f"config key '{key}' is {value!r}; it must be positive")
    for key in ("models", "sets", "methods"):
        if not all(isinstance(name, str) for name in config[key]):
            raise UserError(f"config key '{key}' is {config[key]!r}; each of its elements is a str")
    for key, lowest in (("learning_rates", "positive"), ("weight_decays", "0 or more")):
        values = config.finetune[key]
        numbers = values and all(type(value) in (int, float) for value in values)
        if not numbers or min(values) < 0 or (lowest == "positive" and 0 in values):
            raise UserError(f"config key 'finetune.{key}' is {values!r}; it is one number or several, each {lowest}")
    if config.image_size < 0:
        raise UserError(f"config key 'image_size' is {config.image_size}; it is 0, the model's own, or positive")
    if not config.models:
        raise UserError("models is empty: name work directories of runs or published models, such as \"('runs/sup',)\"")
    if not config.sets:
        raise UserError("sets is empty: name the sets to transfer to, such as \"('cifar100',)\"")
    for method in config.methods or ("",):
        if method not in METHODS:
            hint = did_you_mean(method, METHODS)
            raise UserError(f"methods has '{method}'{hint}: there are {', '.join(METHODS)}")
