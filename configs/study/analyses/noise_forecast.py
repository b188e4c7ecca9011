"""What would wrong captions and labels change, if networks learned the mixture of texts of each class and nothing else?

    python configs/study/analyses/noise_forecast.py > configs/study/results/noise_forecast.md

With the share η of wrong texts, an image of class c has the text of another class y with probability T(c, y) = η q_y / (1 − q_c),
and its own with 1 − η, as in cliptail_jax/curation/noise.py; q is uniform, or a class's share of the images. Then CLIP's loss is
smallest for the logits log Σ_c P(c | x) T(c, y) − log P(y), and SL's for those plus log P(y), with P(y) = Σ_c p_c T(c, y). P(c | x)
are those of the stored logits without a prior (adjusted logits of one run, trained on right labels). The trained values are those of
noise.py, of another seed.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from cliptail_jax import measure
from cliptail_jax.config.training import BY_FREQUENCY, UNIFORM
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.files import read_json
from cliptail_jax.report.layout import markdown, text_table

RESULTS = Path(__file__).parents[1] / "results"
SHARES, SAMPLINGS = (0.1, 0.3), {UNIFORM: "uniform", BY_FREQUENCY: "by class frequency"}


def noisy_logits(
    logits: Float[np.ndarray, "image class"],
    shares: Float[np.ndarray, " class"],
    noise: float,
    sampling: str,
    is_clip: bool,
) -> Float[np.ndarray, "image class"]:
    """The logits that are optimal with wrong texts, from those without a prior and without wrong texts."""
    q = np.full(len(shares), 1 / len(shares)) if sampling == UNIFORM else shares
    texts = noise * q / (1 - q)[:, None]  # T(c, y)
    np.fill_diagonal(texts, 1 - noise)
    return np.log(softmax(logits + np.log(shares), axis=1) @ texts) - np.log(shares @ texts) * is_clip


def main() -> None:
    source = RESULTS / "forecasts" / "glyphs_16_adjusted"
    names, counts = read_frequency(Path(f"{source}_counts.tsv"))
    with np.load(f"{source}.npz") as arrays:
        logits, labels = arrays["logits"].astype(np.float64), arrays["labels"].astype(int)
        assert arrays["classes"].tolist() == list(names)
    counts = np.asarray(counts)
    bias = read_json(RESULTS / "noise_glyphs_16.json")["bias"]
    rows = []
    for kind, title in (("clip", "CLIP"), ("sl", "SL")):
        for noise, sampling in ((0.0, ""), *((noise, sampling) for sampling in SAMPLINGS for noise in SHARES)):
            forecast = measure(
                labels, noisy_logits(logits, counts / counts.sum(), noise, sampling, kind == "clip"), counts
            )
            run = f"{kind}_{sampling}_{100 * noise:.0f}" if noise else kind
            text = f"{100 * noise:.0f} %, {SAMPLINGS[sampling]}" if noise else "none"
            rows.append([title, text, f"{forecast.odds_acc:.2f}", f"{bias[run]['odds_acc']['value']:.2f}"])
    print("\n".join(markdown(text_table(["kind", "noise", "odds_acc: forecast", "trained"], rows))))


if __name__ == "__main__":
    main()
