"""The effect of more similar images in a class, and of more balanced classes, on bias and accuracy (figure 5).

    cliptail figures diversity --runs diversity.tsv --output diversity

The sheet:

    run                   group          x          axis
    laionet_070           random tower   0.7        similarity threshold
    laionet_082           random tower   0.82       similarity threshold
    laionet_070           random tower   LAIONet    class frequencies
    laionet_matched       random tower   matched    class frequencies
    imagenet_captions     random tower   -          class frequencies

Each `axis` is a row of panels. `x` is a number; or a word, if not all x of the axis are numbers; or -, for a dashed line
across the panels. Thin bars are 95 % intervals over classes. `--measures` takes names of numbers in summary.jsonl.
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
draw = functools.partial(lines.draw_along, axis="similarity threshold", logarithmic=False)
