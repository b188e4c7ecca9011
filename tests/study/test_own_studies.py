"""The small studies of configs/study."""

import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.errors import UserError
from cliptail_jax.study.run import check_study, configs_by_seed
from configs.study import cifar100_lt, claims_small, dino_cifar100_lt, doses, mechanism, quickstart

# The fields in which the two runs of a claim of claims_small differ.
CHANGED = {
    ("sl", "sl_sampled"): ["vocabulary.size"],
    ("sl_sampled", "sl"): ["vocabulary.size"],
    ("clip", "clip_captions"): [
        "data.captions.template", "data.captions.words", "eval.templates", "model.text.context_length"
    ],
    ("clip_quarter", "clip"): ["data.fraction", "data.keep_all_classes"],
    ("clip_alike", "clip_varied"): ["data.min_similarity"],
    ("clip", "clip_balanced"): ["data.n", "data.profile.ratio"],
    ("clip_alone", "clip_among"): ["data.classes.random", "data.n", "eval.random_classes"],
    ("sl_cut_head", "sl_cut"): ["head.init", "head.freeze"],
    ("sl_cut_head_sampled", "sl_cut_head"): ["vocabulary.size", "vocabulary.sampling", "vocabulary.group_size"],
    ("clip_cut_text", "clip_cut"): ["text.init", "text.freeze"],
    ("clip_opaque", "clip"): ["data.class_names"],
    ("clip_opaque", "clip_mark"): ["data.class_names"],
    ("clip_mark", "clip_parts"): ["data.class_names"],
    ("clip_noisy", "clip"): ["data.captions.distractors"],
    ("clip_cut", "clip_opaque_cut"): ["data.class_names"],
}  # fmt: skip


@pytest.mark.parametrize("config_file", [quickstart, cifar100_lt, dino_cifar100_lt, doses, claims_small, mechanism])
def test_the_studies_are_valid_and_their_fields_are_those_of_all_runs(config_file):
    config = config_file.get_config()
    check_study(config)
    config.data_dir, config.seed = "/data", 3
    assert {run.data.data_dir for run in config.runs.values()} == {"/data"}
    assert {run.seed for run in config.runs.values()} == {3}


@pytest.mark.parametrize("config_file", [quickstart, cifar100_lt, dino_cifar100_lt, doses])
def test_a_study_without_config_arguments_takes_none(config_file):
    with pytest.raises(UserError, match="unknown config argument 'seed'; there are none"):
        config_file.get_config("seed=3")


def test_each_claim_of_claims_small_changes_one_thing():
    study = claims_small.get_config()
    assert {claim.text for claim in study.claims.values()} == {text for text, *_ in claims_small.CLAIMS}
    fields = {name: dict(flatten(config)) for name, config in study.runs.items()}
    for claim in study.claims.values():
        higher, lower = fields[claim.higher], fields[claim.lower]
        pair = (claim.higher.partition("_")[2], claim.lower.partition("_")[2])
        if pair != ("sl", "clip"):
            assert {key for key in higher if higher[key] != lower[key]} == set(CHANGED[pair]), pair


def test_dinos_runs_differ_in_the_sample_alone():
    runs = dino_cifar100_lt.get_config().runs
    plain, sampled = dict(flatten(runs.dino)), dict(flatten(runs.dino_sampled))
    assert {key for key in plain if plain[key] != sampled[key]} == {"vocabulary.size"}


@pytest.mark.parametrize(
    "study, run, seeds", [(claims_small, "glyphs_sl", 2), (dino_cifar100_lt, "dino", 4), (mechanism, "sl", 4)]
)
def test_each_seed_or_pair_assigns_frequencies_anew(study, run, seeds):
    by_seed = configs_by_seed(study.get_config())
    assert [{configs[run].data.seed for configs, _ in seed.values()} for seed in by_seed] == [{s} for s in range(seeds)]


# The fields in which the runs of each step from SL to CLIP differ, but for those that say what is trained and evaluated.
STEPS = {
    ("sl_linear", "sl"): {"head.kind"},
    ("sl_adamw", "batch"): {"vocabulary.size"},
    ("batch", "counts"): {"loss.count_in_batch"},
    ("names", "clip"): {"contrastive.text_to_image"},
    ("clip", "clip_captions"): {"data.captions.template", "data.captions.words", "eval.templates", "model.text.context_length"},
    ("sigmoid", "clip"): {"objective"},
    ("clip", "clip_distinct"): {"data.batch_composition"},
    ("sl_adamw", "adjusted"): {"loss.logit_adjustment"},
    ("sl_adamw", "balanced"): {"data.balanced_sampling"},
    ("sl_adamw", "sl_best"): {"optimizer.learning_rate"},
}  # fmt: skip


@pytest.mark.parametrize("data", ["glyphs", "cifar100"])
def test_each_step_from_sl_to_clip_changes_one_thing(data):
    runs = {name: dict(flatten(config)) for name, config in mechanism.get_config(f"data={data}").runs.items()}
    for (one, other), changed in STEPS.items():
        assert {key for key in runs[one] if runs[one][key] != runs[other][key]} == changed
    changed = {key for key in runs["sl"] if runs["sl"][key] != runs["sl_adamw"][key]}
    assert {key.split(".")[0] for key in changed} == {"optimizer"}
    shared = ("total_epochs", "batch_size", "data.drop_last", "data.shift", "data.profile.ratio", "model.image.width")
    assert all(len({run[key] for run in runs.values()}) == 1 for key in shared)


def test_each_dose_changes_one_thing():
    study = doses.get_config()
    runs = {name: dict(flatten(config)) for name, config in study.runs.items()}
    changed = {
        "images": {"batch_size", "total_steps", "optimizer.warmup_steps"},
        "steps": {"batch_size"},
        "classes": {"data.batch_classes"},
        "noise": {"data.captions.distractors"},
        "words": {"data.captions.max_words"},
    }
    from_none = {"words": {"data.captions.words", "model.text.context_length"}}
    for key, (_, higher, lower) in doses.CLAIMS.items():
        kind = key.partition("_")[0]
        expected = changed[kind] | (from_none.get(kind, set()) if "clip" in (higher, lower) else set())
        assert {field for field in runs[higher] if runs[higher][field] != runs[lower][field]} == expected, key
    images = {run["batch_size"] * run["total_steps"] for name, run in runs.items() if not name.startswith("steps")}
    assert max(images) - min(images) < 512
    assert len({runs[name]["total_steps"] for name in ("clip", "steps_32", "steps_512")}) == 1


def test_claims_small_takes_the_data_as_its_argument():
    study = claims_small.get_config("data=glyphs")
    assert all(name.startswith("glyphs_") for name in study.runs)
    with pytest.raises(UserError, match="the config argument is data= with one or more of glyphs"):
        claims_small.get_config("data=mnist")
