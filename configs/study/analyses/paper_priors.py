"""How much does each run of the paper favour frequent classes, by its effective log-prior (configs/effective_prior.md)?

    python configs/study/analyses/paper_priors.py DIR > configs/study/results/paper_priors.md

DIR has the class frequencies that the paper's authors publish in their repository, as class_frequency_NAME_ori.txt. The command
writes the slope of ψ per decade of class frequency of each run to results/tables/paper_priors.tsv, and prints a table of the
runs with sampled vocabularies, beside the paper's correlations. These are forecasts for whoever trains the runs at full size.

The correlations are read by eye, ± 0.005, from the figure of the notebook text_desc_and_voc in the authors' repository: ResNet-50
on ImageNet-Captions. Their vocabularies have groups of 64 images, which have 62 classes, so that 50 is the batch's softmax.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int
from scipy.stats import spearmanr

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.experiments.catalogue import PAPER_RUNS, PaperRun
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, UnknownPriorError, per_decade
from cliptail_jax.objectives import effective_log_prior
from cliptail_jax.report.layout import Table, markdown, text_table

OUTPUT = Path(__file__).parents[1] / "results" / "tables" / "paper_priors.tsv"
HEADER = (
    "run",
    "class frequency",
    "classes",
    "prior per decade",
    "of SL's %",
    "corr_pred (figure)",
    "corr_acc (figure)",
)
UNKNOWN = "–"
# corr_pred and corr_acc with a frozen CLIP head and with a random head, by vocabulary; None where the figure has no run.
PUBLISHED = {
    "100_linear": ((0.149, 0.412), (0.104, 0.391)),
    "50_linear": ((0.345, 0.460), (0.100, 0.398)),
    "200_linear": ((0.368, 0.466), (0.221, 0.411)),
    "500_linear": ((0.505, 0.488), (0.403, 0.466)),
    "100_uniform": ((0.412, 0.489), None),
    "200_uniform": ((0.547, 0.515), None),
    "500_uniform": ((0.573, 0.516), None),
    "full": ((0.547, 0.508), (0.568, 0.520)),
}


@command_line
def main(arguments: list[str]) -> None:
    (folder,) = map(Path, arguments)
    shares, rows = {}, []
    for run in PAPER_RUNS:
        name, correlations = frequency_name(run), published_correlations(run.name)
        if name is None:
            rows.append((run.name, *[UNKNOWN] * 4, *correlations))
            continue
        frequency = cut(read_frequency(folder / f"class_frequency_{name}_ori.txt")[1], run)
        try:
            slope = per_decade(effective_log_prior(plain(load_config(run.config)), frequency), frequency)
        except UnknownPriorError:
            rows.append((run.name, name, str(len(frequency)), UNKNOWN, UNKNOWN, *correlations))
            continue
        shares[run.name] = slope / SL_PER_DECADE
        texts = f"{slope:.3f}", f"{100 * slope / SL_PER_DECADE:.1f}"
        rows.append((run.name, name, str(len(frequency)), *texts, *correlations))
    write_text(OUTPUT, tsv(HEADER, rows))
    print("\n".join(markdown(vocabulary_table(shares))))


def frequency_name(run: PaperRun) -> str | None:
    """The name of the published table of the run's class frequency; None for images without captions."""
    arguments = run.arguments
    if arguments["data"] == "imagenet_captions":
        if "classes" in arguments:
            return "incaps_imagenet100"
        return "incaps_n44548" if "n" in arguments else "incaps_imagenet"
    if arguments["data"] == "laionet":
        if "match" in arguments:
            return "laionet_match_incap"
        if "threshold" in arguments:
            return f"laionet_thresh{arguments['threshold']}_n448896"
        fraction = str(arguments.get("fraction", 1))
        return "laionet_thresh0.7" + (f"_frac{1 / int(fraction[2:])}" if fraction != "1" else "")
    return f"{arguments['data']}_imagenet" if arguments["data"] in ("cc12m_cls", "yfcc15m_cls") else None


def published_correlations(run: str) -> Sequence[str]:
    """corr_pred and corr_acc as read from the figure, if it has the run."""
    vocabulary, _, head = run.removeprefix("sl_vocabulary_").rpartition("_")
    values = PUBLISHED[vocabulary][("clip", "random").index(head)] if vocabulary in PUBLISHED else None
    return [f"{value:.3f}" for value in values] if values else ["", ""]


def cut(frequency: Int[np.ndarray, " class"], run: PaperRun) -> Int[np.ndarray, " kept"]:
    """The frequencies of the classes that have images, after the run's cut of the tail."""
    frequency = frequency.copy()
    if classes := run.arguments.get("tail_classes"):
        frequency[np.argsort(frequency, kind="stable")[:classes]] = run.arguments["tail_shots"]
    return frequency[frequency > 0]


def vocabulary_table(shares: dict[str, float]) -> Table:
    """A row for each published vocabulary, in the order of the prior, and two with rank correlations."""
    priors = {name: shares[f"sl_vocabulary_{name}_clip"] for name in PUBLISHED}
    rows = []
    for name in sorted(PUBLISHED, key=priors.get):
        values = [f"{value:.3f}" for pair in PUBLISHED[name] for value in pair or ()]
        rows.append([name.replace("_", ", "), f"{100 * priors[name]:.0f}", *values, *[UNKNOWN] * (4 - len(values))])
    sizes = {name: 1000 if name == "full" else int(name.split("_")[0]) for name in PUBLISHED}
    for title, values in (("the prior", priors), ("the number of classes", sizes)):
        correlations = []
        for head in range(2):
            names = [name for name, pairs in PUBLISHED.items() if pairs[head]]
            for number in range(2):
                biases = [PUBLISHED[name][head][number] for name in names]
                correlations.append(spearmanr([values[name] for name in names], biases).statistic)
        rows.append([f"Spearman correlation with {title}", "", *(f"{value:.2f}" for value in correlations)])
    header = ["vocabulary", "of SL's prior %", "CLIP head: corr_pred", "corr_acc", "random head: corr_pred", "corr_acc"]
    return text_table(header, rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
