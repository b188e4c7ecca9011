"""claims.json as somebody has edited it."""

import json

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.study.stated_claims import changes_of_claims
from tests.study.synthetic_studies import claim, make_study

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
