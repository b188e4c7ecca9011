"""Claims, recipes and reports that were changed after the first run of a study."""

import json
import shutil

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.results.study import Study, read_study, write_study
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.stated_claims import changes_of_claims
from tests.synthetic_studies import (
    claim,
    make_study,
    make_transfer_study,
    read_report,
    run_study,
    with_seeds,
)


def test_claims_that_were_added_or_changed_after_the_first_run_are_marked(trains, tmp_path, capsys):
    trains[0].update(a=0.0, b=0.8)
    first = claim("corr_acc", "b", "a", margin=0.1)
    run_study(make_study("a", "b", c=first), tmp_path)
    text, report = read_report(tmp_path)
    assert not report["claims"][0]["change"]["mark"] and "†" not in text
    assert "The claims were stated before the first run (claims.json)." in text
    run_study(make_study("a", "b", c=first, d=claim("corr_pred", "b", "a")), tmp_path)
    text, report = read_report(tmp_path)
    assert [claimed["change"]["mark"] for claimed in report["claims"]] == ["", "†"]
    assert (
        "† marks claims that were added or changed after the first run: added." in text
        and "more than the other† (corr_pred" in text
    )
    output = capsys.readouterr().out
    assert "more than the other†\n" in output and "† marks claims that were added" in " ".join(output.split())
    run_study(make_study("a", "b", c=first | dict(margin=0.2)), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"
    assert "‡" not in read_report(tmp_path)[0]
    (tmp_path / "claims.json").unlink()  # so that nobody knows what was claimed before the first run
    run_study(make_study("a", "b", c=first), tmp_path)
    assert read_report(tmp_path)[1]["claims"][0]["change"]["mark"] == "†"


def test_claims_whose_runs_were_changed_after_the_first_run_are_marked(trains, tmp_path):
    trains[0].update(a=0.0, b=0.8, c=0.4)
    config = make_study("a", "b", "c", one=claim("corr_acc", "b", "a"), other=claim("corr_acc", "c", "a"))
    run_study(config, tmp_path)
    shutil.rmtree(tmp_path / "b")  # invented runs are not replaced
    config.runs.b.optimizer.learning_rate = 0.3
    run_study(config, tmp_path)
    text, report = read_report(tmp_path)
    change = "b: optimizer.learning_rate=0.1 not 0.3"
    assert [claimed["change"]["text"] for claimed in report["claims"]] == [change, ""] and "†" not in text
    assert text.count("more than the other‡ (corr_acc: b − a)") == 1
    assert f"‡ marks claims on runs whose recipes were changed after the first run: {change}." in text


def test_a_study_with_another_recipe_leaves_everything_as_it_is(trains, tmp_path):
    slopes, run_names = trains
    slopes.update(a=0.5, b=0.1)
    config = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    run_study(config, tmp_path)
    old_content = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    report = read_report(tmp_path)[1]
    other = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    other.runs.b.optimizer.learning_rate = 0.25
    refusal = r"b contains the run of another config \(optimizer.learning_rate=0.1 not 0.25\): choose another --workdir, go back"
    with pytest.raises(UserError, match=refusal):
        run_study(other, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == old_content
    run_study(config, tmp_path)
    assert read_report(tmp_path)[1] | {"seconds": 0} == report | {"seconds": 0} and run_names == ["a", "b"]


def test_a_report_is_not_replaced_by_one_of_no_run(trains, tmp_path):
    trains[0].update(a=0.5)
    config = make_study("a", c=claim("corr_acc", "a", "a"))
    run_study(config, tmp_path)
    old_content = (tmp_path / "report.md").read_text()
    (tmp_path / "a" / "config.json").write_text("[1]")
    trains[0].update(a=UserError("config.json is damaged"))
    with pytest.raises(UserError, match="config.json is damaged|1 of 1 runs failed"):
        run_study(config, tmp_path)
    assert (tmp_path / "report.md").read_text() == old_content


INCIDENTAL = {"data.data_dir": "elsewhere", "data.workers": 3, "eval.neural_collapse": True, "checkpoint.keep": 5}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ({"runs.b.eval.tail_classes": 3}, dict.fromkeys(("bias", "probe"), "b: eval.tail_classes=0 not 3")),
        ({f"runs.b.{key}": value for key, value in INCIDENTAL.items()}, {}),
        ({"seeds": 4}, dict.fromkeys(("bias", "probe", "other"), "seeds=2 not 4")),
        ({"transfer.sets": ("dtd",)}, {"probe": "transfer.sets=['cifar100'] not ['dtd']"}),
        ({"transfer.data.data_dir": "elsewhere", "transfer.batch_size": 7}, {}),
    ],
)
def test_a_claim_is_changed_by_what_can_change_its_numbers(values, changes, tmp_path):
    """The recipes of its runs, the seeds and, of a claim on probes, the transfer."""
    claims = dict(bias=claim("slope_acc", "a", "b"), probe=claim("probe", "a", "b"), other=claim("slope_acc", "a", "c"))
    study = with_seeds(make_transfer_study("a", "b", "c", **claims), 2)
    assert changes_of_claims(typed_study(study), tmp_path) == {}
    study.update_from_flattened_dict(values)
    claim_changes = changes_of_claims(typed_study(study), tmp_path)
    assert claim_changes == {key: ("‡", change) for key, change in changes.items()}


@pytest.mark.parametrize(
    "as_written",
    [
        lambda text: text.replace("optimizer.sgd.nesterov", "optimizer.nesterov"),
        lambda text: json.dumps({key: json.loads(text)[key] for key in ("claims", "recipes")}),
    ],
    ids=["other names of fields", "no design and no transfer"],
)
def test_claims_that_an_earlier_version_noted_are_unchanged(as_written, tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    study.runs.a.optimizer.sgd.nesterov = True
    assert changes_of_claims(typed_study(study), tmp_path) == {}
    file = tmp_path / "claims.json"
    file.write_text(as_written(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert changes_of_claims(typed_study(study), tmp_path) == {}


DAMAGED = ([1], {"claims": 3, "recipes": {}}, {"claims": {"c": []}, "recipes": {}}, {"claims": {}, "recipes": {"a": 5}})


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_of_claims_is_named(content, tmp_path):
    (tmp_path / "claims.json").write_text(json.dumps(content), encoding="utf-8")
    study = make_study("a", "b", c=claim("tail", "a", "b"))
    with pytest.raises(UserError, match=f"^{tmp_path}/claims.json is damaged"):
        changes_of_claims(typed_study(study), tmp_path)


def test_files_of_earlier_versions_have_other_names_for_the_same_fields(tmp_path):
    claims = dict(c=claim("slope_acc", "a", "b", threshold=1.0, reference=("b", "a"), text="a leans more"))
    config = typed_study(make_study("a", "b", **claims))
    study = Study("Study", ["a", "b"], [[""]], config.claims, next_command="cliptail", max_replicates=5)
    write_study(tmp_path, study)
    changes_of_claims(config, tmp_path)
    current_study = read_study(tmp_path)
    old_names = {"threshold": "by", "condition": "at", "reference": "minus"}
    old_names |= {"next_command": "then", "max_replicates": "most"}
    for file in (tmp_path / "study.json", tmp_path / "claims.json"):
        text = file.read_text()
        for name, old_name in old_names.items():
            text = text.replace(f'"{name}":', f'"{old_name}":')
        assert '"by": 1.0' in text and '"minus": [' in text
        file.write_text(text)
    assert read_study(tmp_path) == current_study and current_study.next_command == "cliptail"
    assert changes_of_claims(config, tmp_path) == {}
