"""Do images that show more than their class hide the bias of CLIP on class names, and do captions that name the rest bring it back?

    cliptail study captions_glyphs --workdir=runs/captions_glyphs --config.data_dir=DIR
    cliptail study captions_glyphs:part=order --workdir=runs/captions_glyphs_order --config.data_dir=DIR
    python configs/study/analyses/captions_glyphs_slopes.py --workdir=runs/captions_glyphs --data_dir=DIR

DIR contains the sets of analyses/composed_glyphs.py, which has the commands that make them. On two CPU cores, each part takes about 40
minutes. The recipe is that of configs/study/mechanism.py on glyphs. In icons, many things go with class frequency
(configs/study/captions.py); here all are known. Test images show their class and nothing else.

If the logits are log P(image | class, as its training images are) + ψ, then on plain images they are, up to a constant,

    log (n_plain / n) + ψ        where texts are class names, as n_plain / n is the share of the class's images that look so
    ψ                            where each text names what else the image shows

with ψ = log n for SL and 0 for `counts` and CLIP. So the prediction, fixed before the runs, for the regression of the log-odds
of being right on log10 n_plain and log10 (n / n_plain), with b the slope that SL's prior brings and a what remains without one:

    SL                    a + b, 0
    counts, clip          a, −b
    clip_sign             a, 0       the caption has the name of the sign that the image shows
    clip_other            a, 0       the caption has the name of another sign, which still marks the image as composed
    clip_random           a, −b      half of the captions have the name of a random sign, whatever the image shows

(`clip_other` was expected to be as `clip`, until the study of icons showed that other images' words work as well.) The second slope is
predicted to be below −0.5 for `counts`, `clip` and `clip_random`, within 0.5 of 0 for `sl`, `clip_sign` and `clip_other`, and higher for
`clip_sign` than for `clip` by more than 0.5. The first slope is predicted to differ by less than 0.5 between all but `sl`, and to be
higher for `sl`, by more than 0.5. The logits of one SL with seed 3 (slopes 3.02 [2.54, 3.60] and 0.71 [−0.60, 2.05]) forecast 0.77 and
−1.77 for `counts` and `clip`, and 0.88 and 0.11 for `clip_sign`.

In the first part, the share of composed images does not go with class frequency, so that odds_acc is predicted to be the same with all
texts. In the part `order`, it rises with class frequency from 0 to 75 %, or falls. Where it rises, class names hide bias that
captions with signs show, and where it falls, they add some.
"""

from ml_collections import ConfigDict

from cliptail_jax.experiments import arguments, studies

SOURCE = studies.LONG_TAILED["glyphs"]
TEXTS = {"clip": (), "clip_sign": ("sign",), "clip_other": ("other_sign",), "clip_random": ("random_sign",)}
NAMES = {
    "clip": "CLIP on class names",
    "clip_sign": "CLIP on class names and signs",
    "clip_other": "CLIP on class names and absent signs",
    "clip_random": "CLIP on class names and random signs",
}
# The claim, the run with the higher and the run with the lower bias.
CLAIMS = {
    "counts": ("SL is more biased than with counted classes", "sl", "counts"),
    "clip": ("SL is more biased than CLIP on class names", "sl", "clip"),
}
EQUAL = {
    "counts_equal": ("With counted classes, SL is as biased as CLIP on class names", "counts", "clip"),
    "sign": ("Signs that images show leave CLIP as biased", "clip_sign", "clip"),
    "other": ("Signs that images do not show leave CLIP as biased", "clip_other", "clip"),
    "random": ("Random signs leave CLIP as biased", "clip_random", "clip"),
}
MIRRORED = {"": "", "_mirrored": ", mirrored"}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "part")
    if arguments.choice(args, "part", ("independent", "order")) == "order":
        return order_study()
    runs = {"sl": run_on("independent", "sl"), "counts": run_on("independent", "counts")}
    runs |= {kind: run_on("independent", "clip", words) for kind, words in TEXTS.items()}
    claims = studies.claims_on(("odds_acc",), CLAIMS) | studies.claims_on(("odds_acc",), EQUAL, equal=True)
    title = "Characters with signs, whatever the class frequency"
    return with_recipe(title, runs, claims, counterbalanced=True, seeds=4, names=NAMES)


def order_study() -> ConfigDict:
    """Runs on sets whose share of composed images rises or falls with class frequency, in two orders of the classes."""
    runs, claims, names = {}, {}, {}
    for ending, note in MIRRORED.items():
        for share in ("rising", "falling"):
            for kind, words in (("clip", ()), ("clip_sign", ("sign",))):
                run = f"{kind}_{share}{ending}"
                runs[run] = run_on(share + ending, "clip", words)
                runs[run].data.profile.name = ""
                names[run] = f"{NAMES[kind]}, share {share}{note}"
        steps = {
            f"rising{ending}": (
                f"Where the share rises, class names hide bias{note}",
                f"clip_sign_rising{ending}",
                f"clip_rising{ending}",
            ),
            f"falling{ending}": (
                f"Where the share falls, class names add bias{note}",
                f"clip_falling{ending}",
                f"clip_sign_falling{ending}",
            ),
        }
        claims |= studies.claims_on(("odds_acc",), steps)
    return with_recipe("Characters with signs, by class frequency", runs, claims, seeds=2, names=names)


def run_on(name: str, kind: str, words: tuple[str, ...] = ()) -> ConfigDict:
    """A run of the recipe on a set of composed_glyphs.py, with texts as further words of captions."""
    config = studies.from_sl_to_clip(SOURCE["preset"], SOURCE["learning_rate"])[kind]
    config.data.name = f"image_text/composed_glyphs_{name}"
    config.eval.sets = (f"{config.data.name}:test", f"{config.data.name}:val")
    if kind == "clip":
        config.data.captions.words = words
        config.model.text.context_length = 12  # "less-than or equal to" and a sign have 9 tokens
    return config


def with_recipe(title: str, runs: dict[str, ConfigDict], claims: dict, **fields) -> ConfigDict:
    """The study, with the epochs of the recipe and an evaluation at the end."""
    for config in runs.values():
        config.total_epochs = config.eval.every_epochs = SOURCE["epochs"]
        config.data.drop_last = True
    return studies.study(title, runs, claims, SOURCE["first_seed"], **fields)
