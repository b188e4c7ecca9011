"""The paper's runs by family, on the paper's data and at its size (configs/README.md lists the families):

    cliptail study paper:family=vocabulary --workdir=runs/paper \\
        --config.data_dir=DIR --config.workers=16 --config.dtype=bfloat16

    family=NAME       a family; several, such as distribution+imbalance; or all. A run that families share is trained once
    small=PRESET      small counterparts on glyphs_lt or cifar100_lt, without runs that need published towers and heads. The
                      families are vocabulary, scale, trimmed_tail and dino, and on glyphs_lt also captions and diversity; all
                      means these. Runs have --config.epochs=30; runs on a part of the data have as many steps as on all data

`--launch=print` prints a command for each run instead of training. The same command without it then writes the report,
with the figures of the paper that show these runs (cliptail_jax/experiments/sheets.py). The family `figures` has the 7
runs that figures show beyond the 170: all+figures draws complete figures. Some runs need more than the data:

    --config.head=heads/rn50.npy                          frozen heads: configs/sup.py describes how to make them
    --config.frequency=in_captions/class_frequency.tsv    data matched to ImageNet-Captions' class frequency:
                                                          cliptail_jax/curation/README.md describes how to make it
"""

from collections.abc import Mapping

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.known_sources import TRANSFER_SETS
from cliptail_jax.experiments import arguments, catalogue, sheets, small, studies
from cliptail_jax.experiments.training import CLIP_HEAD
from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.configuration import base_config as transfer_config

ALL_FAMILIES = [family for family in catalogue.FAMILIES if family != "figures"]
CORRELATIONS = ("corr_acc", "corr_pred")
CUT = "trimmed_tail_100_classes_0_shot"
# By family: the claim, the statistics, the run with the higher and the run with the lower value, and optionally the set.
CLAIMS = {
    "captions": [
        ("Templates leave CLIP more biased than full texts", CORRELATIONS,
         f"clip_captions_openai80_{text}", f"clip_captions_imagenet_captions_{text}")
        for text in ("random", "frozen")
    ],
    "vocabulary": [
        *(("The full vocabulary leaves SL more biased than the smallest", CORRELATIONS,
           f"sl_vocabulary_full_{head}", f"sl_vocabulary_50_linear_{head}") for head in catalogue.TOWERS["sl"][1]),
        *(("The smallest vocabulary lifts the tail", ("tail",),
           f"sl_vocabulary_50_linear_{head}", f"sl_vocabulary_full_{head}") for head in catalogue.TOWERS["sl"][1]),
    ],
    "distribution": [
        ("SL is more biased than CLIP on the same images", CORRELATIONS,
         "sl_distribution_laionet_matched_random", "clip_distribution_laionet_matched_random"),
    ],
    "diversity": [
        ("Less diverse classes leave CLIP more biased", CORRELATIONS,
         f"clip_diversity_threshold_082_{text}", f"clip_diversity_threshold_07_{text}")
        for text in ("random", "frozen")
    ],
    "imbalance": [
        ("LAIONet's own frequency leaves CLIP more biased than ImageNet-Captions'", CORRELATIONS,
         f"clip_imbalance_laionet_n_{text}", f"clip_imbalance_laionet_matched_{text}")
        for text in ("random", "frozen")
    ],
    "scale": [
        ("Less data leave CLIP more biased", CORRELATIONS, f"clip_scale_1_32_{text}", f"clip_scale_1_{text}")
        for text in ("random", "frozen")
    ],
    "concept_set": [
        ("100 classes alone leave CLIP more biased on them than 1,000 in as many images", CORRELATIONS,
         "clip_concept_set_imagenet_captions_100_frozen", "clip_concept_set_10_percent_frozen", "imagenet100"),
        *(("SL is more biased than CLIP on the same images", CORRELATIONS,
           f"sl_concept_set_{data}_random", f"clip_concept_set_{data}_random") for data in ("cc12m_cls", "yfcc15m_cls")),
    ],
    "trimmed_tail": [
        ("A frozen pre-trained head helps SL's zero-shot tail", ("tail",), f"sl_{CUT}_clip", f"sl_{CUT}_random"),
        ("... and with a sampled vocabulary most", ("tail",), f"sl_{CUT}_sampled_clip", f"sl_{CUT}_clip"),
        ("A frozen pre-trained text tower helps CLIP's", ("tail",), f"clip_{CUT}_frozen", f"clip_{CUT}_random"),
    ],
    "dino": [
        ("A sample of the prototypes helps DINO's linear probe", ("probe",),
         f"dino_laionet_sampled_{size}", "dino_laionet")
        for size in (1024, 4096, 16384)
    ],
    "figures": [],
}  # fmt: skip


def get_config(arg: str = ""):
    families, preset = families_of(arg)
    titles = [catalogue.FAMILIES[family].title for family in families]
    title = "The whole study" if set(ALL_FAMILIES) <= set(families) else " and ".join(titles)
    runs = runs_of(families, preset)
    claims = {
        f"{family}_{number}_{statistic}": studies.claim(text, statistic, runs[higher][0], runs[lower][0], *eval_set)
        for family in families
        for number, (text, statistics, higher, lower, *eval_set) in enumerate(CLAIMS[family])
        for statistic in statistics
        if {higher, lower} <= runs.keys()
    }
    title += f" on {preset}" if preset else ""
    return study_of(title, config_strings(runs), claims, sheets.figures(runs.values()), preset)


def config_strings(runs: Mapping[str, tuple[str, catalogue.PaperRun]]) -> dict[str, str]:
    """The config string of each run of a study, by name. `runs` is the result of `runs_of`."""
    return {name: run.config for name, run in runs.values()}


def families_of(arg: str) -> tuple[list[str], str]:
    """The families that the arguments choose, and the preset of their small counterparts, or ''."""
    args = arguments.read_only(arg, "family", "small")
    preset = args.get("small", "")
    return expand_families(args.get("family", "vocabulary"), preset), preset


def runs_of(families: list[str], preset: str) -> dict[str, tuple[str, catalogue.PaperRun]]:
    """The runs of families by name, or their counterparts, each with the name of the first run with the same training."""
    first = catalogue.first_names()
    runs = {run.name: (first[run.name], run) for run in catalogue.PAPER_RUNS if run.family in families}
    if preset:
        counterparts = {
            name: small.counterpart(run, preset) for name, (_, run) in runs.items() if small.has_counterpart(run)
        }
        runs = {name: (run.name, run) for name, run in counterparts.items()}
    return runs


def expand_families(value: str, preset: str) -> list[str]:
    """The families that an argument such as 'distribution+imbalance' or 'all' names."""
    names = value.split("+")
    for name in names:
        if name not in (*CLAIMS, "all"):
            raise UserError(f"unknown family '{name}'; there are {', '.join(CLAIMS)} and all")
    families = list(dict.fromkeys(family for name in names for family in (ALL_FAMILIES if name == "all" else [name])))
    return small.available_families(families, preset, skip_others="all" in names) if preset else families


def study_of(
    title: str, strings: dict[str, str], claims: dict[str, dict], figures: dict[str, dict], preset: str
) -> ConfigDict:
    """The study of the runs with these config strings. Fields that several runs share are fields of the study."""
    references = dict(data_dir="", seed=0, workers=0, dtype="float32") | (dict(epochs=30) if preset else {})
    references |= dict(head=CLIP_HEAD, frequency=catalogue.FREQUENCY)
    references = {name: FieldReference(value) for name, value in references.items()}
    runs = {name: load_config(string) for name, string in strings.items()}
    for config in runs.values():
        config.seed, config.data.data_dir = references["seed"], references["data_dir"]
        config.data.workers, config.model.dtype = references["workers"], references["dtype"]
        config.eval.neural_collapse = bool(config.eval.sets)
        if preset:  # as many steps on a part of the data as on all of it, since as many epochs would be too few steps
            factor = round(1 / config.data.fraction)
            config.total_epochs = references["epochs"] * factor
            config.eval.every_epochs *= factor
        if config.head.init:
            config.head.init = references["head"]
        if config.data.match.frequency:
            config.data.match.frequency = references["frequency"]
    study = dict(title=title, **references, runs=studies.in_order(runs))
    if self_supervised := tuple(name for name, config in runs.items() if not config.eval.sets):
        transfer = transfer_config()
        transfer.seed, transfer.data.data_dir = references["seed"], references["data_dir"]
        transfer.data.workers = references["workers"]
        transfer.models, transfer.sets = self_supervised, transfer_sets(runs[self_supervised[0]].data.name)
        study["transfer"] = transfer
    study.update(claims=studies.in_order(claims), figures=studies.in_order(figures))
    return ConfigDict(study)


def transfer_sets(name: str) -> tuple[str, ...]:
    """The transfer sets of self-supervised runs on a data source."""
    return {"glyphs": ("glyphs:train:test",), "cifar100": ("cifar100",)}.get(name, tuple(TRANSFER_SETS))
