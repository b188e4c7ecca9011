"""Studies that compare runs by transfer."""

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study import measure
from cliptail_jax.study import run as study
from cliptail_jax.transfer.program import TransferFailed
from tests.study.synthetic_studies import FREQUENCY, claim, make_transfer_study, read_report

UNKNOWN = "|".join("–" * 10)


def test_runs_are_compared_by_transfer_with_or_without_an_evaluation_of_their_own(trains, probes, tmp_path):
    trains[0].update(a=0.5, self=0.5)
    accuracies, called = probes
    accuracies.update(a=0.2, self=0.6)
    made = make_transfer_study("a", "self", better=claim("probe", "self", "a"), own=claim("corr_acc", "a", "self"))
    study.run_study(made, tmp_path)
    text, report = read_report(tmp_path)
    assert called[0].models == (str(tmp_path / "a"), str(tmp_path / "self"))
    assert [c["verdict"] for c in report["claims"]] == ["supported", "not tested"]
    assert report["claims"][0]["difference"]["value"] == pytest.approx(40)
    assert "not both have an evaluation set" in text
    table = [line.replace(" ", "") for line in text.splitlines()]
    assert "|run|cifar100:linearprobe%|" in table and "|a|20.0|" in table and "|self|60.0|" in table
    assert f"|self|{FREQUENCY.sum():,}|{UNKNOWN}|1.5|" in table
    assert report["runs"]["self"]["transfer"][0]["score"] == pytest.approx(60)


def test_the_results_of_a_partly_failed_transfer_are_kept(trains, probes, monkeypatch, tmp_path):
    trains[0].update(a=0.5, b=0.5)
    probes[0].update(a=0.2, b=0.6)
    whole = measure.transfer

    def transfer(config, workdir):
        raise TransferFailed({"b on pets by probe": "pets is not prepared"}, whole(config, workdir))

    monkeypatch.setattr(measure, "transfer", transfer)
    with pytest.raises(UserError, match="failed: transfer: b on pets by probe"):
        study.run_study(make_transfer_study("a", "b", better=claim("probe", "b", "a")), tmp_path)
    _, report = read_report(tmp_path)
    assert report["claims"][0]["verdict"] == "supported"
    assert report["failures"] == {"transfer: b on pets by probe": "pets is not prepared"}


def test_only_the_models_of_a_transfer_are_measured_and_a_claim_may_name_its_set(trains, probes, tmp_path):
    trains[0].update(a=0.5, b=0.5, c=0.5)
    probes[0].update(b=0.2, c=0.6)
    claims = {on: claim("probe", "c", "b", set=on) for on in ("cifar100", "dtd")}
    made = make_transfer_study("a", "b", "c", mean=claim("probe", "c", "b"), **claims)
    made.transfer.update({"models": ("b", "c"), "sets": ("dtd", "cifar100", "pets")})
    study.run_study(made, tmp_path)
    _, report = read_report(tmp_path)
    assert probes[1][0].models == (str(tmp_path / "b"), str(tmp_path / "c"))
    assert report["runs"]["a"]["transfer"] == []
    assert [c["by_seed"] for c in report["claims"]] == [[pytest.approx((45, 15))], [pytest.approx((60, 20))], []]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("z",)}, "transfer.models names the run 'z'; the study has a, b"),
        ({"methods": ("prob",)}, "transfer: methods has 'prob'"),
        ({"sets": ("voc2007",)}, "claims.better compares accuracies by class, which its set does not have"),
        ({"methods": ("few_shot",)}, "claims.better is on linear probes: the study needs a transfer with the method"),
        ({"models": ("b",)}, "claims.better names the run 'a', which is not among transfer.models"),
    ],
)
def test_a_wrong_transfer_is_named(changes, message):
    made = make_transfer_study("a", "b", better=claim("probe", "b", "a"))
    made.transfer.update(changes)
    with pytest.raises(UserError, match=message):
        study.check_study(made)
