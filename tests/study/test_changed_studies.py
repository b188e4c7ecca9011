"""A study that is run again with another config: what is refused, and what is marked."""

import json

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study.run import run_study
from cliptail_jax.study.stated_claims import changes_of_claims
from tests.study.synthetic_studies import claim, make_seeded_study, make_study, make_transfer_study, read_report


def test_a_study_with_another_recipe_leaves_everything_as_it_is(trains, tmp_path):
    slopes, trained = trains
    slopes.update(a=0.5, b=0.1)
    made = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    run_study(made, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = read_report(tmp_path)[1]
    other = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    other.runs.b.optimizer.learning_rate = 0.25
    refusal = r"b contains the run of another config \(optimizer.learning_rate=0.1 not 0.25\): choose another --workdir, go back"
    with pytest.raises(UserError, match=refusal):
        run_study(other, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    run_study(made, tmp_path)
    assert read_report(tmp_path)[1] | {"seconds": 0} == report | {"seconds": 0} and trained == ["a", "b"]


def test_a_report_is_not_replaced_by_one_of_no_run(trains, tmp_path):
    trains[0].update(a=0.5)
    made = make_study("a", c=claim("corr_acc", "a", "a"))
    run_study(made, tmp_path)
    before = (tmp_path / "report.md").read_text()
    (tmp_path / "a" / "config.json").write_text("[1]")
    trains[0].update(a=UserError("config.json is damaged"))
    with pytest.raises(UserError, match="config.json is damaged|1 of 1 runs failed"):
        run_study(made, tmp_path)
    assert (tmp_path / "report.md").read_text() == before


@pytest.mark.parametrize("of", ["seeds", "transfer"])
def test_seeds_and_transfer_belong_to_what_was_stated(of, tmp_path):
    """The transfer to that of claims on probes alone."""
    claims = dict(bias=claim("slope_acc", "a", "b"), probe=claim("probe", "a", "b"))
    study = make_seeded_study(2, "a", "b", **claims) if of == "seeds" else make_transfer_study("a", "b", **claims)
    (tmp_path / "a").mkdir()

    def changes():
        return changes_of_claims(study, study.runs, tmp_path / "study", ["a"])

    assert changes() == {}
    if of == "seeds":
        study.seeds = 4
        assert changes() == dict.fromkeys(claims, ("‡", "seeds=2 not 4"))
    else:
        study.transfer.data.data_dir, study.transfer.batch_size = "elsewhere", 7  # which change no number
        assert changes() == {}
        study.transfer.sets = ("dtd",)
        assert changes() == {"probe": ("‡", "transfer.sets=['cifar100'] not ['dtd']")}


def test_a_misspelt_field_of_a_claim_is_named(tmp_path):
    with pytest.raises(UserError, match="claims.c.marign: a claim has text, statistic, higher, lower, margin, set"):
        run_study(make_study("a", "b", c=claim("tail", "a", "b", marign=3.0)), tmp_path)


def test_recipes_that_name_fields_as_earlier_versions_did_are_the_same(tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    study.runs.a.optimizer.sgd.nesterov = True
    (tmp_path / "a").mkdir()
    changes_of_claims(study, study.runs, tmp_path / "study", [])
    file = tmp_path / "study" / "claims.json"
    file.write_text(file.read_text().replace("optimizer.sgd.nesterov", "optimizer.nesterov"))
    assert changes_of_claims(study, study.runs, tmp_path / "study", ["a"]) == {}


DAMAGED = ([1], {"claims": 3, "recipes": {}}, {"claims": {"c": []}, "recipes": {}}, {"claims": {}, "recipes": {"a": 5}})


@pytest.mark.parametrize("content", DAMAGED)
def test_what_is_not_of_claims_is_named(content, tmp_path):
    (tmp_path / "claims.json").write_text(json.dumps(content), encoding="utf-8")
    study = make_study("a", "b", c=claim("tail", "a", "b"))
    with pytest.raises(UserError, match=f"^{tmp_path}/claims.json is damaged"):
        changes_of_claims(study, study.runs, tmp_path, [])


def test_parts_of_claims_that_a_file_lacks_are_as_they_are_now(tmp_path):
    study = make_study("a", "b", c=claim("tail", "a", "b"))
    assert changes_of_claims(study, study.runs, tmp_path, []) == {}
    file = tmp_path / "claims.json"
    document = json.loads(file.read_bytes())
    file.write_text(json.dumps({key: document[key] for key in ("claims", "recipes")}), encoding="utf-8")
    assert changes_of_claims(study, study.runs, tmp_path, []) == {}
