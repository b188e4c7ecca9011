"""`data=NAME` for prepared sets without a preset."""

import pytest
from PIL import Image

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.datasets.build import build
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import typed_config
from cliptail_jax.objectives.factors import factors_between
from cliptail_jax.study.configuration import typed_study


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """image_folder/small, /large and /numbered, and image_text/pairs, with two texts, of which both splits are the same."""
    folder = tmp_path_factory.mktemp("own")
    for name, size, label in (("small", 24, "cat"), ("large", 80, "cat"), ("numbered", 24, "7")):
        for split in ("train", "val"):
            (folder / name / split / label).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (size + 10, size)).save(folder / name / split / label / f"{number}.png")
        build(f"image_folder/{name}", str(folder / "tfds"), **{s: str(folder / name / s) for s in ("train", "val")})
    (folder / "pairs.tsv").write_text("filepath\ttitle\ttags\nsmall/train/cat/0.png\ta cat\tgrey\n")
    texts = "title,tags"
    pairs = dict.fromkeys(("train", "val"), str(folder / "pairs.tsv"))
    build("image_text/pairs", str(folder / "tfds"), caption_columns=texts, **pairs)
    return folder / "tfds"


SMALL = "recipe=small,batch_size=2,epochs=6"


@pytest.mark.parametrize(
    "arguments, size, is_small",
    [
        ("data=image_folder/small", 24, True),
        ("data=image_folder/large", 224, False),
        ("data=image_folder/large,size=64", 64, True),
        ("data=image_folder/large,size=160", 160, False),
        ("data=image_folder/large,recipe=small", 32, True),
        ("data=image_folder/large,recipe=small,size=72", 72, True),
        ("data=image_folder/small,recipe=paper", 224, False),
        ("data=image_folder/small,recipe=paper,size=96", 96, False),
        ("data=cifar100_lt", 32, True),
        ("data=cifar100_lt,size=40", 40, True),
    ],
)
def test_the_recipe_follows_from_the_size_of_images_unless_it_is_given(arguments, size, is_small, data_dir):
    for family in ("sup", "clip", "dino"):
        config = load_config(f"{family}:{arguments},data_dir={data_dir}")
        typed_config(config)
        assert config.data.image_size == size and config.data.data_dir == str(data_dir)
        assert (config.model.image.name == "basic_resnet") == is_small


def test_dino_crops_large_images_at_a_size_that_keeps_the_pixels_of_a_crop(data_dir):
    for data, canvas in (
        ("image_folder/small", 24),
        ("image_folder/large,recipe=small", 68),
        ("cifar100_lt,size=16", 32),
    ):
        assert load_config(f"dino:data={data},data_dir={data_dir}").data.canvas == canvas


def test_labelled_images_have_their_class_names_as_captions_and_pairs_their_texts(data_dir):
    labelled = load_config(f"clip:data=image_folder/small,data_dir={data_dir}")
    assert labelled.eval.sets == ("image_folder/small:val",)
    assert labelled.data.captions.template == "cname" and labelled.data.captions.words == ()
    pairs = load_config(f"clip:data=image_text/pairs,data_dir={data_dir}")
    assert pairs.data.captions.template == "" and pairs.data.captions.words == ("title", "tags")
    config = load_config(f"clip:data=image_text/pairs,data_dir={data_dir},captions=tags,sets=cifar100+a:test")
    assert config.data.captions.words == ("tags",) and config.eval.sets == ("cifar100", "a:test")


def test_pairs_without_labels_are_evaluated_by_a_run_with_a_text_tower_alone(data_dir):
    for string, sets in (("clip:", ("image_text/pairs:val",)), ("clip:loss=words,", ()), ("sup:", ())):
        assert load_config(f"{string}data=image_text/pairs,data_dir={data_dir}").eval.sets == sets


def test_few_images_are_seen_more_often(data_dir):
    assert load_config(f"sup:data=image_folder/small,data_dir={data_dir}").total_epochs == 50
    assert load_config("sup:data=cifar100").total_epochs == 10


def test_remedies_change_one_thing_each_and_need_names_for_clip_alone(data_dir):
    named_study, numbered_study = (
        load_config(f"remedies:data=image_folder/{name},data_dir={data_dir},{SMALL},rate=0.02,seeds=3")
        for name in ("small", "numbered")
    )
    typed_study(named_study)
    assert named_study.seeds == 3 and not named_study.counterbalanced and named_study.data_dir == str(data_dir)
    runs = {name: plain(config) for name, config in named_study.runs.items()}
    assert {(run["optimizer.name"], run["optimizer.learning_rate"]) for run in runs.values()} == {("adamw", 0.02)}
    assert {name: list(factors_between(runs["sl"], run)) for name, run in runs.items()} == {
        name: ["objective"] * (name != "sl") for name in runs
    }
    assert runs["ldam"]["loss.reweight_from"] == 4
    assert runs["clip"]["data.captions.template"] == "cname"
    assert [*runs] == [*numbered_study.runs, "clip"] and "over_clip" not in numbered_study.claims
    assert numbered_study.title.endswith(", without CLIP on class names: its records have none")


def test_remedies_on_classes_that_captions_name_have_clip_if_there_are_labels_too():
    icons = load_config("remedies:data=icons").runs
    assert icons["clip"].data.class_match.classes == "" != icons["sl"].data.class_match.classes
    assert "clip" not in load_config("remedies:data=cc12m_cls").runs


def test_the_learning_rate_of_remedies_is_chosen_on_sl_with_the_same_recipe(data_dir):
    tuned = load_config(f"remedies:data=image_folder/large,data_dir={data_dir},{SMALL},tune=yes")
    config = load_config(f"remedies:data=image_folder/large,data_dir={data_dir},{SMALL},rate=3e-3")
    runs = {float(name): plain(config) for name, config in tuned.runs.items()}
    assert {rate: run["optimizer.learning_rate"] for rate, run in runs.items()} == {rate: rate for rate in runs}
    assert factors_between(runs[3e-3], plain(config.runs.sl)) == {} and config.seed != tuned.seed
    recipe = f"data=image_folder/large,data_dir={data_dir},{SMALL}"
    assert tuned.next_command == f"cliptail study remedies:{recipe},rate=BEST --workdir=runs/remedies"
    with pytest.raises(UserError, match="the config argument rate is not for tune=yes: leave it out"):
        load_config(f"remedies:{recipe},tune=yes,rate=0.1")


def test_recipes_for_own_data_have_no_more_warm_up_than_a_fifth_of_their_steps(data_dir):
    arguments = f"data=image_folder/small,data_dir={data_dir},recipe=paper,batch_size=2"
    runs = load_config(f"remedies:{arguments}").runs.values()
    configs = [*runs, *(load_config(f"{family}:{arguments}") for family in ("sup", "clip", "dino"))]
    assert {config.optimizer.max_warmup_share for config in configs} == {0.2}
    assert load_config("sup:data=cifar100_lt").optimizer.max_warmup_share == 0.0


def test_a_recipe_takes_any_batch_size():
    typed_config(load_config("sup:data=imagenet2012,batch_size=25"))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ("image_text/pairs", "data=image_text/pairs has no split val, .* with classes.*: build it with --val"),
        ("image_folder/small", "has 2 images, fewer than a batch of 128: give a smaller one, such as batch_size=2"),
    ],
)
def test_data_on_which_remedies_cannot_be_compared_are_refused(data, complaint, data_dir):
    with pytest.raises(UserError, match=complaint):
        load_config(f"remedies:data={data},data_dir={data_dir}")


@pytest.mark.parametrize("name", ["image_folder/gone", "glypsh", "a b"])
def test_an_unknown_set_is_one_line(name, data_dir):
    with pytest.raises(
        UserError, match=f"unknown data preset '{name}'.* or a data set that is prepared below {data_dir}"
    ):
        load_config(f"sup:data={name},data_dir={data_dir}")
