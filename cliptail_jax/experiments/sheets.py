"""The figures of the studies of configs/study/paper.py: the runs in each, and their cells on its sheet."""

from collections.abc import Iterable

from cliptail_jax.experiments.catalogue import PaperRun
from cliptail_jax.experiments.training import ALL_TEXT

Cells = tuple[str, ...] | None  # None for a run that the figure does not show

GROUP = {
    ("clip", "random"): "CLIP",
    ("clip", "init"): "CLIP, text tower pre-trained",
    ("clip", "frozen"): "CLIP, text tower frozen",
    ("clip", "roberta"): "CLIP, RoBERTa frozen",
    ("sl", "random"): "SL",
    ("sl", "clip"): "SL, head frozen",
}
HEADS = {"random": "random", "frozen": "frozen", "clip": "frozen"}
SAMPLING = {"uniform": "", "linear": ", linear", "sqrt": ", root"}
CORPORA = {
    "cc12m_cls": "CC12M-Cls",
    "yfcc15m_cls": "YFCC15M-Cls",
    "laionet_n": "LAIONet",
    "laionet_matched": "LAIONet, matched",
    "imagenet_captions": "ImageNet-Captions",
}
CONCEPTS = {
    "imagenet_captions_100": "100 classes",
    "10_percent": "1,000 classes",
    "imagenet_captions": "1,000 classes, all images",
}
# By its last cell, the place of a row in figures whose order is not that of the catalogue. The first row of `transfer` is the
# baseline, all prototypes.
PLACES = {concepts: place for place, concepts in enumerate(CONCEPTS.values())}
PLACES |= {"on ImageNet": 1, "on ImageNet, batch 512": 1}


def figures(runs: Iterable[tuple[str, PaperRun]]) -> dict[str, dict]:
    """The figures that show at least two of the runs, in the form of `cliptail_jax.study.sheets.StudyFigure`.

    `runs` are pairs of a run's name in the paper and the run; a name may occur several times.
    """
    runs, sheets = list(runs), {}
    for figure, (columns, cells_of) in FIGURES.items():
        rows = [(name, *cells) for name, run in runs if (cells := cells_of(run))]
        rows.sort(key=lambda row: PLACES.get(row[-1], 0))
        if len({name for name, *_ in rows}) > 1:
            sheets[figure] = dict(columns=columns, rows=tuple(dict.fromkeys(rows)))
    return sheets


def corpora(run: PaperRun) -> Cells:
    if run.family in ("distribution", "concept_set") and run.tower == "random" and run.factor in CORPORA:
        return "imagenet+imagenet_v2", run.method.upper(), CORPORA[run.factor], "RN50"


def captions_vocabulary(run: PaperRun) -> Cells:
    if run.method == "clip" and run.family in ("captions", "figures") and run.tower in HEADS:
        texts = run.arguments.get("captions", ALL_TEXT)
        texts = "all text" if texts == ALL_TEXT else texts.replace("title+tags+description", "all text")
        return "CLIP by captions", HEADS[run.tower], texts
    if run.family == "vocabulary":
        size, sampling = run.arguments.get("vocabulary", "all"), run.arguments.get("sampling", "uniform")
        return "SL by vocabulary", HEADS[run.tower], f"{size}{SAMPLING[sampling]}"


def scale(run: PaperRun) -> Cells:
    is_supervised = run.method == "sl" and run.factor == "laionet"  # all of LAIONet, as in the family scale
    if run.family == "scale" or is_supervised:
        return (GROUP[run.method, run.tower],)


def diversity(run: PaperRun) -> Cells:
    if run.family == "diversity":
        return GROUP[run.method, run.tower], str(run.arguments["threshold"]), "similarity threshold"
    if run.method == "clip" and run.family in ("imbalance", "distribution"):
        return GROUP[run.method, run.tower], CORPORA[run.factor], "class frequencies"


def open_world(run: PaperRun) -> Cells:
    if run.family in ("concept_set", "figures", "distribution") and run.factor in CONCEPTS:
        return "imagenet100", GROUP[run.method, run.tower], CONCEPTS[run.factor]


def trimmed_tail(run: PaperRun) -> Cells:
    if run.family == "trimmed_tail":
        suffix = ", vocabulary sampled" if "vocabulary" in run.arguments else ""
        return (GROUP[run.method, run.tower] + suffix,)


def transfer(run: PaperRun) -> Cells:
    if run.method != "dino":
        return None
    if run.arguments["data"] == "imagenet2012":
        batch = f", batch {run.arguments['batch_size']}" if "batch_size" in run.arguments else ""
        return (f"on ImageNet{batch}",)
    if "prototypes" in run.arguments:
        return (f"{run.arguments['prototypes']:,} prototypes",)
    return (f"{run.arguments['vocabulary']:,} sampled" if "vocabulary" in run.arguments else "all prototypes",)


# By the name of a figure: the columns of its sheet, and the function that returns a run's cells in them.
FIGURES = {
    "corpora": (("set", "kind", "corpus", "backbone"), corpora),
    "captions_vocabulary": (("group", "head", "label"), captions_vocabulary),
    "scale": (("group",), scale),
    "diversity": (("group", "x", "axis"), diversity),
    "open_world": (("set", "group", "x"), open_world),
    "trimmed_tail": (("group",), trimmed_tail),
    "transfer": (("label",), transfer),
}
