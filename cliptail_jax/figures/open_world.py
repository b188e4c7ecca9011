"""The effect of training on concepts beyond the evaluated ones on accuracy and correlations (figure 6).

    cliptail figures open_world --runs concepts.tsv --output open_world

The sheet:

    run             set           group           x
    incaps_100      imagenet100   CLIP, random    100 classes
    incaps_10th     imagenet100   CLIP, random    1,000 classes
    incaps_full     imagenet100   CLIP, random    1,000 classes, 10 times the images
    incaps_100_sl   imagenet100   SL              100 classes

All runs are evaluated on the same classes. `x` names the concepts in training, in the order of the sheet. Thin bars are
95 % intervals over classes. `--measures` takes names of numbers in summary.jsonl.
"""

import functools

from cliptail_jax.figures.parts import lines

COLUMNS = ("run", "group")
OPTIONS = {
    "--measures": {
        "nargs": "+",
        "default": ("top1", "corr_acc", "corr_pred", "slope_acc", "slope_pred"),
        "help": "numbers of the evaluations, a panel each (default: top1 corr_acc corr_pred slope_acc slope_pred)",
    }
}
draw = functools.partial(lines.draw_along, axis="concepts in training", logarithmic=False)
