"""Zero-shot evaluation of a list of published CLIPs, each compared with the class frequency of its training data:

    cliptail evaluate zero_shot_all --workdir=runs/zero_shot --config.data.data_dir=DIR \\
        --config.eval.frequency_dir=clip-beyond-tail/metadata/freqs

    list=study          the paper's 49 models (the default)
    list=today          the best published model of each family and size that comes as safetensors. Most have no correlations,
                        because the paper did not publish the class frequency of their training data
    sets=, template=    as in configs/zero_shot.py

The program writes a directory for each model, table.md, and models.tsv, the sheet of `cliptail figures corpora` and
`fine_grained`. The three EVA-CLIPs are comments in that sheet, because the paper's figures leave them out. A model that
cannot be fetched is reported and skipped; the exit status is then 2. `cliptail evaluate --list` prints both lists, and
`cliptail evaluate zero_shot_all:list=today --list` prints only the second.
"""

from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import arguments
from cliptail_jax.pretrained.published import LISTS, listed_models


def get_config(arg: str = ""):
    args = dict(arguments.read_only(arg, "list", "sets", "template"))
    models = listed_models(arguments.choice(args, "list", LISTS))
    args.pop("list", None)
    config = load_config("zero_shot:" + ",".join(f"{key}={value}" for key, value in args.items()))
    config.eval.models = tuple(model.name for model in models)
    config.eval.class_frequency = "published"
    return config
