"""Published models evaluated with class names and prompts from files."""

import json

import numpy as np

from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.published import evaluate_published


def test_names_in_templates_and_the_same_prompts_by_class_give_the_same_numbers(config, glyphs_dir, tmp_path):
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    own = [f"the sign {number}" for number in range(len(names))]
    (tmp_path / "names.txt").write_text("\n".join(own))
    (tmp_path / "templates.txt").write_text("a photo of {}\n{} on paper\n")
    prompts = {name: [f"a photo of {o}", f"{o} on paper"] for name, o in zip(names, own)}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    config.eval.class_names, config.eval.templates = str(tmp_path / "names.txt"), str(tmp_path / "templates.txt")
    (named,) = evaluate_published(config, tmp_path / "named")
    config.eval.class_names, config.eval.templates = "", str(tmp_path / "prompts.json")
    (by_class,) = evaluate_published(config, tmp_path / "by_class")
    assert named["settings"]["prompts"] == by_class["settings"]["prompts"]
    confusion = [np.load(tmp_path / run / "eval/glyphs_test/latest.npz")["confusion"] for run in ("named", "by_class")]
    np.testing.assert_array_equal(*confusion)
    config.eval.templates = "photo"
    (builtin,) = evaluate_published(config, tmp_path / "builtin")
    assert builtin["settings"]["prompts"] != named["settings"]["prompts"]
