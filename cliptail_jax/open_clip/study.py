"""The tables of captions that the study's scripts train on, by the names of our configs with their data.

The names are those of `--train-data` in exps_clip/scripts of github.com/CVMI-Lab/clip-beyond-tail, without folder and `.tsv`;
they state which texts follow the class name, how similar texts are to the class, and how many records there are. The data are
those of factors in the list of the paper's runs.
"""

from collections.abc import Iterator

from cliptail_jax.experiments import catalogue

ALL_TEXTS = "incaps_title_tags_description_cname"
PARTS = {  # of LAIONet
    "1": "3256561",
    "1_2": "frac0.5_1628287",
    "1_4": "frac0.25_814158",
    "1_8": "frac0.125_407100",
    "1_16": "frac0.0625_203580",
    "1_32": "frac0.03125_101848",
}


def tables() -> Iterator[tuple[str, catalogue.Factor]]:
    """Each table's name, with the factor whose runs train on it."""
    yield f"{ALL_TEXTS}_448896", catalogue.WHOLE["imagenet_captions"]
    for texts, factor in catalogue.SUBSETS.items():
        yield f"incaps_{texts}_cname_448896", factor
    for templates, factor in catalogue.TEMPLATES.items():
        yield f"incaps_{templates}_448896", factor
    yield "in100caps_title_tags_description_cname_44548", catalogue.HUNDRED["imagenet_captions_100"]
    yield f"{ALL_TEXTS}_44548", catalogue.TENTH["10_percent"]
    yield "incaps_a+cname_44548", catalogue.TENTH_NAMES["10_percent_a_cname"]
    for factor in catalogue.CUTS.values():
        yield "{}_fstail{tail_classes}ceil{tail_shots}".format(ALL_TEXTS, **factor[0]), factor
    yield "laionet_match_incaps_416489", catalogue.MATCHED["laionet_matched"]
    for factor in catalogue.DIVERSITY.values():
        yield "laionet_thresh{threshold}_{n}".format(**factor[0]), factor
    for part, table in PARTS.items():
        yield f"laionet_thresh0.7_{table}", catalogue.SCALE[part]
    yield from catalogue.NAMED.items()


STUDY_DATA = {table: catalogue.config_string("clip", arguments) for table, (arguments, _) in tables()}
