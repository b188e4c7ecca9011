"""Noise: captions and labels of another class, drawn uniformly or by class frequency.

    cliptail study noise:data=glyphs_16 --workdir=runs/noise
    cliptail study noise:data=cifar100 --workdir=runs/noise_cifar100 --config.data_dir=DIR
    python configs/study/analyses/noise_purity.py --workdir=runs/noise --workdir=runs/noise_cifar100 \\
        --output=runs/noise_purity.png

On two CPU cores, two mirrored pairs take 40 minutes on long-tailed glyphs of 16 pixels, and 3 hours on CIFAR-100-LT (DIR as
in configs/study/cifar100_lt.py). The recipes are those of `clip` and `sl_adamw` in configs/study/mechanism.py. CLIP's
captions and SL's labels have the same mistakes.

**Doses.** 10 and 30 % lie within the published shares of wrong captions in web data (Udandarao et al., No "Zero-Shot"
Without Exponential Data, 2024): LAION-400M 7 %, CC3M 18 %, CC12M 21 %, YFCC15M 39 %.

**Predictions.** In configs/study/doses.py, a tenth of captions that name another class raised CLIP's slope from 15 to
53 points per decade. The hypothesis is that the *purity* of a class matters: the share of right captions among those
that name it, (1 − ε) n_c / ((1 − ε) n_c + m_c), with m_c captions of other classes. With uniform noise all m_c are
equal, and rare classes are impure. With noise in proportion to class frequency, m_c is proportional to n_c, and all
classes are about equally pure. This predicts, in odds_acc:

- Noise by frequency leaves odds_acc of CLIP and SL as it is without noise, within the margin.
- Uniform noise raises odds_acc. More noise raises it more, and it is higher than with as much noise by frequency.
- CLIP is more fragile than SL: a tenth of uniform noise raises its odds_acc by more.
- By class, log-odds of being right grow with purity at equal numbers of images.
"""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config.files import load_config
from cliptail_jax.config.training import BY_FREQUENCY, UNIFORM
from cliptail_jax.experiments import arguments, studies

PERCENT = (10, 30)
KINDS = {"clip": ("CLIP", "captions"), "sl": ("SL", "labels")}
SAMPLINGS = {UNIFORM: "uniform", BY_FREQUENCY: "by class frequency"}
# For each kind of run: the claim, and the ends of the names of the run with the higher and the run with the lower odds_acc.
CLAIMS = {
    "uniform_10": ("A tenth of wrong {what}, drawn uniformly, leaves {name} more biased than none", "_uniform_10", ""),
    "uniform_30": ("Three tenths, drawn uniformly, leave {name} more biased than one", "_uniform_30", "_uniform_10"),
    "sampling_10": ("A tenth of wrong {what} leaves {name} more biased if uniform", "_uniform_10", "_frequency_10"),
    "sampling_30": ("Three tenths leave {name} more biased if uniform", "_uniform_30", "_frequency_30"),
}
# Claims that two runs are equal, in the same form.
EQUAL = {
    "frequency_10": ("A tenth of wrong {what}, by class frequency, leaves {name} as it is", "_frequency_10", ""),
    "frequency_30": ("Three tenths, by class frequency, leave {name} as it is", "_frequency_30", ""),
}


def get_config(arg: str = ""):
    args = arguments.read_only(arg, "data")
    data = arguments.choice(args, "data", tuple(studies.LONG_TAILED))
    source = studies.LONG_TAILED[data]
    runs, claims, names = {}, {}, {}
    for kind, (name, noun) in KINDS.items():
        runs[kind] = run_on(source, kind)
        for sampling in (UNIFORM, BY_FREQUENCY):
            for percent in PERCENT:
                runs[run := f"{kind}_{sampling}_{percent}"] = run_on(source, kind, percent / 100, sampling)
                names[run] = f"{name}, {percent} % wrong {noun}, {SAMPLINGS[sampling]}"
        for key, (text, higher, lower) in (CLAIMS | EQUAL).items():
            fields = (text.format(name=name, what=noun), "odds_acc", kind + higher, kind + lower)
            claims[f"{kind}_{key}"] = studies.claim(*fields, equal=key in EQUAL)
    text = "A tenth of uniform noise adds more to CLIP's bias than to SL's"
    claims["fragile"] = studies.claim(text, "odds_acc", "clip_uniform_10", "clip", reference=("sl_uniform_10", "sl"))
    return studies.equal_training(f"Noise on long-tailed {source['name']}", source, runs, claims, seeds=4, names=names)


def run_on(source: Mapping[str, Any], kind: str, share: float = 0.0, sampling: str = UNIFORM) -> ConfigDict:
    """CLIP with a share of captions of another class, or SL with as many labels."""
    config = load_config(f"{'clip' if kind == 'clip' else 'sup'}:data={source['preset']}")
    config.optimizer = studies.adamw(source["preset"], source["learning_rate"])
    if kind == "clip":
        config.model.text.context_length = 8
        config.data.captions.update({"distractors": share, "distractor_sampling": sampling})
    else:
        config.data.labels.update({"noise": share, "noise_sampling": sampling})
    return config
