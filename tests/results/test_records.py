"""A value of another type in a JSON file is a line with the file and the field."""

import functools

import pytest

from cliptail_jax.host.errors import UserError
from tests.fuzz_study import SUMMARY, read_study_directory


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("study.json", {"title": ["x"]}, "study.json is damaged (Expected `str`, got `array` - at `$.title`)"),
        ("study.json", {"title": "x", "runs": 5}, "got `int` - at `$.runs`"),
        (
            "study.json",
            {"title": "x", "claims": {"c": {"text": "", "statistic": "iq", "higher": "a", "lower": "b"}}},
            "there is no measure 'iq' - at `$.claims[...]`",
        ),
        ("study.json", {"title": "x", "claims": {"c": {"text": "x"}}}, "missing required field `statistic`"),
        ("study.json", [], "Expected `object`, got `array`"),
        ("a/config.json", {"config": {"eval.sets": 5}}, "a/config.json is damaged (Expected `array`, got `int`"),
        ("a/config.json", {"config": {}, "software": [1]}, "a/config.json is damaged (Expected `object`, got `array`"),
        ("a/config.json", {}, "a/config.json is damaged (it has no config)"),
        ("a/metrics.jsonl", {"step": 1, "train/loss": "x"}, "line 1 of"),
        (SUMMARY, {"epoch": 1.0}, "Object missing required field `step`"),
        (SUMMARY, {"step": 1, "slope_acc_interval": [1]}, "at `$.slope_acc_interval`"),
        ("transfer/results.jsonl", {"model": "a", "set": "dtd"}, "missing required field `method`"),
        ("transfer/results.jsonl", {"model": "a", "set": "dtd", "method": "x", "score": 1}, "Invalid enum value 'x'"),
        ("a/metrics.jsonl", {"step": 1, "train/loss": float("inf")}, "Infinity is not valid JSON"),
        ("study.json", functools.reduce(lambda inner, _: [inner], range(900), []), "study.json is damaged"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_field(name, value, complaint, tmp_path):
    with pytest.raises(UserError) as raised:
        read_study_directory((name, [], value), tmp_path / "study")
    assert complaint in str(raised.value) and "\n" not in str(raised.value)
