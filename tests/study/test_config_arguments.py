"""The arguments of configs/clip.py and configs/sup.py."""

import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.errors import UserError
from configs import clip, sup


@pytest.mark.parametrize(
    "family, arguments, complaint",
    [
        (
            clip,
            "head=clip",
            "unknown config argument 'head'; there are data, .*batch_composition, captions, text, loss",
        ),
        (clip, "text=bert", "config argument text is 'bert'; it is one of random, init, frozen, roberta"),
        (sup, "sampling=linear", "argument sampling is for a sampled vocabulary: give its size, as vocabulary=50"),
        (sup, "tail_classes=0,tail_shots=1", "config argument tail_shots is for the tail_classes"),
        (sup, "n=1,n=2", "config argument n is given twice"),
        (sup, "n=²", "config argument n is '²'; it is a whole number"),
        (sup, "fraction=1/0", "config argument fraction is '1/0'; it is a number such as 0.25 or 1/4"),
    ],
)
def test_a_wrong_argument_is_named(family, arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        family.get_config(f"data=laionet,{arguments}")


SIZES = {"batch_size": 1024, "optimizer.learning_rate": 0.4, "batch_norm.group_size": 256, "vocabulary.group_size": 256}


@pytest.mark.parametrize(
    "family, arguments, expected",
    [
        (
            clip,
            "data=laionet,captions=cname+text",
            {"data.captions.template": "cname", "data.captions.words": ("text",)},
        ),
        (clip, "data=imagenet_captions,captions=openai80+synset+tags", {"data.captions.synset": True}),
        (sup, "data=cifar100_lt,vocabulary=20", {"vocabulary.size": 20, "vocabulary.group_size": 0}),
        (sup, "data=laionet,vocabulary=50,group=32", {"vocabulary.group_size": 32}),
        (sup, "data=cifar100_lt,logit_adjustment=1,margin=0.3", {"loss.logit_adjustment": 1.0, "loss.margin": 0.3}),
        (sup, "data=cifar100_lt,class_weights=0.9999,reweight_from=20", {"loss.reweight_from": 20}),
        (clip, "data=glyphs_lt,batch_composition=distinct", {"data.batch_composition": "distinct"}),
        (sup, "data=imagenet2012,batch_size=1024", SIZES),
    ],
)
def test_an_argument_sets_its_fields(family, arguments, expected):
    values = dict(flatten(family.get_config(arguments)))
    assert values | expected == values
