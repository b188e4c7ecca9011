"""The tables of captions that the study's scripts train on, as our arguments of data.

The names are those of `--train-data` in exps_clip/scripts of github.com/CVMI-Lab/clip-beyond-tail, without folder and `.tsv`;
they state which texts follow the class name, how similar texts are to the class, and how many records there are.
"""

from collections.abc import Iterator

WHOLE = "data=imagenet_captions"
LAIONET = "data=laionet"
FREQUENCY = "in_captions/class_frequency.tsv"  # ImageNet-Captions', as in the list of the paper's runs


def tables() -> Iterator[tuple[str, str]]:
    yield "incaps_title_tags_description_cname_448896", WHOLE
    for texts in ("title", "tags", "description", "title_tags", "title_description", "tags_description"):
        yield f"incaps_{texts}_cname_448896", f"{WHOLE},captions={texts.replace('_', '+')}"
    yield "incaps_openai80_448896", f"{WHOLE},captions=openai80"
    yield "incaps_openai80_synset_448896", f"{WHOLE},captions=openai80+synset"
    yield "in100caps_title_tags_description_cname_44548", f"{WHOLE},classes=imagenet100"
    yield "incaps_title_tags_description_cname_44548", f"{WHOLE},n=44548"
    yield "incaps_a+cname_44548", f"{WHOLE},n=44548,captions=a+cname"
    for classes in (5, 20, 50, 100, 200, 500):
        for shots in (0, 1):
            cut = f"tail_classes={classes},tail_shots={shots}"
            yield f"incaps_title_tags_description_cname_fstail{classes}ceil{shots}", f"{WHOLE},{cut}"
    yield "laionet_match_incaps_416489", f"{LAIONET},match={FREQUENCY}"
    for threshold in ("0.7", "0.75", "0.8", "0.82"):
        yield f"laionet_thresh{threshold}_448896", f"{LAIONET},threshold={threshold},n=448896"
    yield "laionet_thresh0.7_3256561", f"{LAIONET},fraction=1"
    for name, part in (
        ("frac0.5_1628287", 2),
        ("frac0.25_814158", 4),
        ("frac0.125_407100", 8),
        ("frac0.0625_203580", 16),
        ("frac0.03125_101848", 32),
    ):
        yield f"laionet_thresh0.7_{name}", f"{LAIONET},fraction=1/{part}"
    yield "cc12m_cls", "data=cc12m_cls"
    yield "yfcc15m_cls", "data=yfcc15m_cls"


STUDY_DATA = dict(tables())
