"""Controlled factors: two runs that differ in several are confounded, and what belongs together is one."""

import pytest

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.objectives.factors import factors_between

SL, CLIP = "sup:data=glyphs_lt", "clip:data=glyphs_lt"
ADAMW = {"name": "adamw", "learning_rate": 2e-3, "weight_decay": 0.2, "schedule": "cosine_steps"}
AS_CLIP = {f"optimizer.{name}": value for name, value in ADAMW.items()}


@pytest.mark.parametrize(
    ("name_a", "name_b", "changes", "expected"),
    [
        # One factor, with what belongs to it
        (SL, SL, {"seed": 3, "data.seed": 3, "log_every_steps": 1, "data.drop_last": True}, []),
        (SL, SL, {"loss.margin": 0.3, "loss.class_weights": 0.9999, "loss.reweight_from": 2}, ["objective"]),
        (SL, SL, {"vocabulary.size": 1, "loss.count_in_batch": True, "data.balanced_sampling": True}, ["objective"]),
        (SL, CLIP, AS_CLIP, ["objective"]),  # and captions, a text tower
        (SL, SL, AS_CLIP, ["optimizer"]),
        (SL, SL, {"optimizer.adamw.b2": 0.9}, []),  # of another optimizer
        (CLIP, CLIP, {"data.captions.words": ("tags",), "model.text.context_length": 30}, ["captions"]),
        (SL, SL, {"data.profile.ratio": 10.0, "data.n": 500}, ["data.profile"]),  # of as many images
        (SL, SL, {"data.fraction": 0.5, "total_epochs": 60}, ["scale"]),  # of as many steps
        (SL, SL, {"data.class_match.unmatched": "keep"}, []),  # without classes to match
        # Several
        (SL, CLIP, {}, ["objective", "optimizer"]),
        (SL, CLIP, AS_CLIP | {"data.balanced_sampling": True}, ["objective", "batch"]),
        (SL, CLIP, AS_CLIP | {"data.labels.noise": 0.3}, ["objective", "noise"]),
        (SL, SL, {"loss.logit_adjustment": 1.0, "optimizer.learning_rate": 0.2}, ["objective", "optimizer"]),
        (SL, SL, {"batch_size": 64, "data.image_size": 16, "model.image.width": 8},
         ["batch size", "images", "image tower"]),
        (CLIP, CLIP, {"data.captions.template": "openai80", "model.text.width": 128}, ["captions", "text tower"]),
        (SL, SL, {"total_epochs": 60, "eval.logit_adjustment": 1.0}, ["length", "adjustment after training"]),
    ],
)  # fmt: skip
def test_factors_are_counted_with_what_belongs_to_them(name_a, name_b, changes, expected):
    a, b = plain(load_config(name_a)), plain(load_config(name_b))
    (a if name_a.startswith("sup") else b).update(changes)
    assert set(factors_between(a, b)) == set(factors_between(b, a)) == set(expected)


def test_wrong_labels_of_sl_and_wrong_captions_of_clip_are_the_same_noise():
    sl, clip = plain(load_config(SL)) | AS_CLIP | {"data.labels.noise": 0.3}, plain(load_config(CLIP))
    assert list(factors_between(sl, clip | {"data.captions.distractors": 0.3})) == ["objective"]
    assert list(factors_between(sl, clip | {"data.captions.distractors": 0.1})) == ["objective", "noise"]


def test_as_many_records_by_another_selection_are_the_same_scale():
    a, b = (plain(load_config("sup:data=icons")) for _ in range(2))
    b |= {"data.class_match.classes": "", "loss.logit_adjustment": 1.0, "data.n": 7}
    assert list(factors_between(a, b)) == ["objective", "data.class_match"]
    assert list(factors_between(a, b, equal_records=True)) == ["objective"]


def test_runs_of_earlier_versions_have_todays_names_and_defaults():
    config = plain(load_config(SL))
    old_config = {key: value for key, value in config.items() if not key.startswith(("loss.", "optimizer.sgd."))}
    assert factors_between(old_config | {"optimizer.momentum": 0.9, "gone": 1}, config) == {}
    labelled = config | {"data.class_match.classes": "cub"}
    assert factors_between(old_config | {"data.class_match.vocabulary": "cub"}, labelled) == {}
    assert factors_between(old_config | {"optimizer.momentum": 0.5}, config) == {
        "optimizer": ["optimizer.sgd.momentum"]
    }
