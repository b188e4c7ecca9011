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
        (clip, "loss=siglip", "config argument loss is 'siglip'; it is one of softmax, sigmoid, words"),
        (sup, "sampling=linear", "argument sampling is for a sampled vocabulary: give its size, as vocabulary=50"),
        (sup, "tail_classes=0,tail_shots=1", "config argument tail_shots is for the tail_classes"),
        (sup, "n=1,n=2", "config argument n is given twice"),
        (sup, "n=²", "config argument n is '²'; it is a whole number"),
        (sup, "fraction=1/0", "config argument fraction is '1/0'; it is a number such as 0.25 or 1/4"),
        (sup, "threshold=high", "config argument threshold is 'high'"),
        (
            clip,
            "batch_composition=even",
            "config argument batch_composition is 'even'; it is one of shuffled, distinct",
        ),
        (sup, "margin=wide", "config argument margin is 'wide'; it is a number"),
        (clip, "logit_adjustment=1", "unknown config argument 'logit_adjustment'"),
    ],
)
def test_a_wrong_argument_is_named(family, arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        family.get_config(f"data=laionet,{arguments}")


@pytest.mark.parametrize(
    "value, front, synset, behind",
    [
        ("cname", "cname", False, ()),
        ("a+cname+title", "a+cname", False, ("title",)),
        ("title+tags", "cname", False, ("title", "tags")),
        ("openai80+synset+tags", "openai80", True, ("tags",)),
    ],
)
def test_captions_are_a_template_and_text_fields(value, front, synset, behind):
    captions = clip.get_config(f"data=imagenet_captions,captions={value}").data.captions
    assert (captions.template, captions.synset, captions.words) == (front, synset, behind)


@pytest.mark.parametrize(
    "family, arguments, expected",
    [
        (clip, "data=laionet,captions=text", {"data.captions.template": ""}),
        (
            clip,
            "data=laionet,captions=cname+text",
            {"data.captions.template": "cname", "data.captions.words": ("text",)},
        ),
        (sup, "data=cifar100_lt,vocabulary=20", {"vocabulary.group_size": 0}),
        (sup, "data=cifar100_lt,vocabulary=20,group=32", {"vocabulary.group_size": 32}),
        (sup, "data=laionet,vocabulary=50,group=32", {"vocabulary.group_size": 32}),
        (sup, "data=cifar100_lt,logit_adjustment=1,margin=0.3", {"loss.logit_adjustment": 1.0, "loss.margin": 0.3}),
        (
            sup,
            "data=cifar100_lt,class_weights=0.9999,reweight_from=20",
            {"loss.class_weights": 0.9999, "loss.reweight_from": 20},
        ),
        (sup, "data=glyphs_lt,batch_classes=20", {"data.batch_classes": 20}),
        (clip, "data=glyphs_lt,batch_composition=distinct", {"data.batch_composition": "distinct"}),
        (
            sup,
            "data=imagenet2012,batch_size=1024",
            {
                "batch_size": 1024,
                "optimizer.learning_rate": 0.4,
                "batch_norm.group_size": 256,
                "vocabulary.group_size": 256,
            },
        ),
    ],
)
def test_an_argument_sets_its_fields(family, arguments, expected):
    values = dict(flatten(family.get_config(arguments)))
    assert values | expected == values
