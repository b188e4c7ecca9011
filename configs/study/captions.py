"""Is the bias of CLIP on captions an effect of captions, or of the tokenizer and of what images show?

    python configs/study/analyses/caption_tables.py --data_dir=DIR --output=runs/caption_tables
    cliptail study captions --workdir=runs/captions --config.data_dir=DIR
    python configs/study/analyses/caption_slopes.py --workdir=runs/captions --data_dir=DIR --output=runs/caption_slopes.tsv

DIR contains the icons (cliptail_jax/datasets/README.md); `captions:tables=FOLDER` names another folder of tables. Runs have the
recipe of configs/study/natural.py, and seeds that no earlier run has. On two CPU cores, two runs take nine minutes.

In configs/study/natural.py, CLIP has no measurable bias on class names, but 0.61 on captions and 1.63 on all pairs, where its loss
adds no prior. Two reasons other than the loss are tested here.

**The tokenizer.** It had 1,024 tokens, trained on the run's captions: the words of rare names were split (into 2.5 tokens), and
those of frequent ones less so (1.6). Here each word is one token, but for `clip_all_split`, which has 1,024 tokens again.

**What images show.** A caption such as "user minus" consists of a phrase that names its class ("person") and of further words. Of
the labelled records, 68, 44 and 28 % have further words, by thirds of the classes from frequent to rare; of the labelled test
images, none. Runs named `plain` train on the 18,878 records without further words, and those named `all` on all 103,934 pairs. The
others train on the 45,842 labelled records, with the texts of caption_tables.py.

Expected, as in single runs with another seed:

- On plain images, CLIP on class names or captions is as biased as `counts`, and less than SL, as SL's logits forecast.
- With class names as texts, an image with further words counts as an image of its class that the test does not have. Frequent
  classes have more of them, which hides bias. Further words of the image make it count for nothing, those of other images do not.
- With whole words, all pairs leave CLIP as biased as captions, and the loss (softmax or sigmoid) makes no difference.
- In a regression of the log-odds of being right on log10 of a class's plain images and of all its images per plain one
  (caption_slopes.py), the first slope is that of `counts_plain` within 0.25, and the second is within 0.5 of 0, for texts with the
  image's own words: clip_words, clip_captions, clip_all and sigmoid_all. The second is below −1 for clip, clip_synonyms and
  clip_foreign.

Forecasts are those of SL on plain images with another seed, `part=source`, written before the study:

    cliptail forecast batch:256 counts adjusted:1 clip --workdir=runs/captions_source --runs=sl_plain --output=forecasts.tsv

Claims, recipe and margins were fixed before the runs.
"""

from pathlib import Path

from ml_collections import ConfigDict

from cliptail_jax.config.files import find_table
from cliptail_jax.experiments import arguments, studies
from cliptail_jax.experiments.remedies import with_remedy
from cliptail_jax.report.forecasts import read_forecasts
from configs.study import natural

SOURCE_SEED, FIRST_SEED = 3, 4
WHOLE_WORDS, SPLIT_WORDS = 32768, 1024  # tokens, at most
MARGINS = {"odds_acc": 0.25, "top1": 3.0, "head": 3.0, "tail": 3.0}
TEXTS = {  # of the labelled records, by the name of CLIP's run
    "clip_synonyms": "synonyms",
    "clip_words": "words",
    "clip_foreign": "foreign",
    "clip_frequent": "frequent_third",
    "clip_rare": "rare_thirds",
    "clip_share": "equal_share",
}
NAMES = {
    "sl_plain": "SL, plain images",
    "batch_plain": "softmax over the batch's classes, plain images",
    "counts_plain": "classes weighted by their count in the batch, plain images",
    "adjusted_plain": "adjusted logits, plain images",
    "clip_plain": "CLIP on class names, plain images",
    "clip_plain_captions": "CLIP on captions, plain images",
    "clip": "CLIP on class names",
    "clip_synonyms": "CLIP on class names or synonyms",
    "clip_words": "CLIP on names and further words",
    "clip_foreign": "CLIP on names and other images' words",
    "clip_frequent": "CLIP, further words in the frequent third",
    "clip_rare": "CLIP, further words in the rarer thirds",
    "clip_share": "CLIP, further words of a fifth",
    "clip_all": "CLIP on all pairs",
    "sigmoid_all": "CLIP on all pairs, sigmoid loss",
    "clip_all_split": "CLIP on all pairs, 1,024 tokens",
}
# By recipe, in the table of forecasts: the run, and the measures that are claimed to change as forecast.
FORECAST_RUNS = {
    "batch:256": ("batch_plain", tuple(MARGINS)),
    "counts": ("counts_plain", tuple(MARGINS)),
    "adjusted:1": ("adjusted_plain", tuple(MARGINS)),
    "clip": ("clip_plain", ("odds_acc",)),
}
# The claim, the run with the higher and the run with the lower bias.
CLAIMS = {
    "plain_batch": ("On plain images, SL is more biased than `batch`", "sl_plain", "batch_plain"),
    "plain_counts": ("On plain images, `batch` is more biased than `counts`", "batch_plain", "counts_plain"),
    "plain_adjusted": ("On plain images, SL is more biased than with adjusted logits", "sl_plain", "adjusted_plain"),
    "plain_clip": ("On plain images, SL is more biased than CLIP on class names", "sl_plain", "clip_plain"),
    "words": ("Class names hide bias that names with the image's further words show", "clip_words", "clip"),
    "frequent": ("Further words in the frequent third only leave more bias than all", "clip_frequent", "clip_words"),
    "rare": ("Further words in the rarer thirds only leave less bias than none", "clip", "clip_rare"),
    "split": ("A tokenizer that splits rare names raises the bias of CLIP on all pairs", "clip_all_split", "clip_all"),
}
EQUAL = {
    "plain_clip_counts": (
        "On plain images, `counts` is as biased as CLIP on class names",
        "counts_plain",
        "clip_plain",
    ),
    "plain_texts": (
        "On plain images, captions leave CLIP as biased as class names",
        "clip_plain_captions",
        "clip_plain",
    ),
    "synonyms": ("Synonyms leave CLIP as biased as class names", "clip_synonyms", "clip"),
    "foreign": ("Further words of other images leave CLIP as biased as class names", "clip_foreign", "clip"),
    "share": ("Further words of an equal share leave CLIP as biased as class names", "clip_share", "clip"),
    "all": ("All pairs leave CLIP as biased as captions of labelled records", "clip_all", "clip_captions"),
    "sigmoid": ("The sigmoid loss leaves CLIP as biased on all pairs", "sigmoid_all", "clip_all"),
}
ACCURACY = {
    "split": ("Whole words raise the accuracy of CLIP on all pairs", "clip_all", "clip_all_split"),
    "canonical": ("Class names in place of synonyms raise the accuracy", "clip_words", "clip_captions"),
}  # fmt: skip


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "part", "tables")
    part = arguments.choice(args, "part", ("study", "source"))
    tables = Path(args.get("tables", "runs/caption_tables"))
    if part == "source":
        return studies.study("Source of forecasts", {"sl_plain": sl_plain(tables)}, {}, SOURCE_SEED, seeds=1)
    sl = sl_plain(tables)
    runs = {
        "sl_plain": sl,
        **{f"{remedy}_plain": with_remedy(sl, remedy) for remedy in ("batch", "counts", "adjusted")},
        "clip_plain": clip_on(tables / "plain.tsv"),
        "clip_plain_captions": clip_on(tables / "plain_captions.tsv"),
        "clip": natural.clip(only_classes=True),
        **{run: clip_on(tables / f"{table}.tsv") for run, table in TEXTS.items()},
        "clip_captions": natural.clip(only_classes=True),
        "clip_all": natural.clip(),
        "sigmoid_all": natural.clip("loss=sigmoid"),
        "clip_all_split": natural.clip(),
    }
    runs["clip"].data.captions.update(dict(template="cname", words=()))
    for name, config in runs.items():
        config.eval.every_epochs = 4
        config.model.text.vocab_size = SPLIT_WORDS if name == "clip_all_split" else WHOLE_WORDS
    claims = studies.claims_on(("odds_acc",), CLAIMS)
    claims |= studies.claims_on(("odds_acc",), EQUAL, equal=True)
    claims |= studies.claims_on(("top1",), ACCURACY)
    return studies.study("Captions of icons", runs, claims | forecast_claims(), FIRST_SEED, seeds=2, names=NAMES)


def forecast_claims() -> dict[str, studies.ClaimFields]:
    """The claims that measures change from SL's as its logits forecast."""
    forecasts = read_forecasts(find_table("results/forecasts/captions_sl_plain"))
    claims = {}
    for recipe, (run, statistics) in FORECAST_RUNS.items():
        for statistic in statistics:
            reference = tuple(round(forecasts[row][statistic], 4) for row in (recipe, "sl_plain"))
            claims[f"forecast_{run}_{statistic}"] = studies.claim(
                f"The change from SL to {run} is as forecast",
                statistic,
                run,
                "sl_plain",
                reference=reference,
                equal=True,
                margin=MARGINS[statistic],
            )
    return claims


def sl_plain(tables: Path) -> ConfigDict:
    """SL on the plain records."""
    config = on_table(natural.sl(), tables / "plain.tsv")
    config.eval.every_epochs = 4
    return config


def clip_on(table: Path) -> ConfigDict:
    """CLIP on the records and texts of a table."""
    return on_table(natural.clip(only_classes=True), table)


def on_table(config: ConfigDict, table: Path) -> ConfigDict:
    config.data.table = str(table)
    config.data.captions.words = ()
    return config
