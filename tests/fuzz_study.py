"""A study's directory in which a value of a JSON file is another one: it is shown, or named as a problem in a line."""

import functools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from cliptail_jax.claims.judge import judge
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_json
from cliptail_jax.report import forest, origin, page, page_tables
from cliptail_jax.report.comparison import compare
from cliptail_jax.results.claims import Change, Claim
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import Study, write_study
from tests.figures.synthetic_runs import write_run

SUMMARY = "a/eval/birds_test/summary.jsonl"
FILES = ("study.json", "a/config.json", "a/variant.json", "a/metrics.jsonl", SUMMARY, "transfer/results.jsonl")
ODD = st.sampled_from([None, True, 5, -1, 1e300, 2**70, "x", "", [], [1], ["x"], {}, {"x": 1}, [[[]]]])
EXAMPLES = st.tuples(st.sampled_from(FILES), st.lists(st.integers(0, 40), min_size=1, max_size=4), ODD)
CONFIG = {"eval.sets": ["birds:test"], "objective": "supervised", "data.name": "birds", "data.split": "train"}


@functools.cache
def study_directory() -> Path:
    """Two finished runs, two claims and a transfer."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    claims = {"c": Claim("a exceeds b", "slope_acc", "a", "b", 3.0), "d": Claim("Here, too", "tail", "a", "b")}
    write_study(folder, Study("Fuzz", ("a", "b"), (("",),), claims, {"c": Change("†", "added")}, "x", {"a": "y"}))
    for seed, name in enumerate(("a", "b")):
        write_run(folder / name, seed=seed)
        origin_of = {
            "software": {"jax": "1"},
            "hardware": {"device": "cpu", "devices": 1},
            "commit": "c",
            "command": "d",
        }
        write_json(
            folder / name / "config.json", {"config": CONFIG, "finished": {"step": 3, "seconds": 2.0}, **origin_of}
        )
        (folder / name / "metrics.jsonl").write_text('{"step": 1, "train/loss": 2.5, "images_per_second": 9.0}\n')
        (folder / name / "variant.json").write_text('{"records": 3, "fingerprint": "abc"}')
    (folder / "transfer").mkdir()
    result = {"model": "runs/a", "set": "dtd", "method": "few_shot", "score": 9.0, "margin": 1.0, "origin": origin_of}
    (folder / "transfer" / "results.jsonl").write_text(json.dumps(result) + "\n")
    return folder


def changed(value: Any, places: list[int], other: Any) -> Any:
    """The value with `other` in the place of one of its parts; each of `places` chooses a part a level deeper."""
    place, *deeper = places
    if not value or not isinstance(value, dict | list):
        return other
    key = list(value)[place % len(value)] if isinstance(value, dict) else place % len(value)
    value[key] = changed(value[key], deeper, other) if deeper else other
    return value


def read_study_directory(example: tuple[str, list[int], Any], folder: Path) -> None:
    """Raises UserError if a file is named as a problem."""
    name, places, other = example
    shutil.copytree(study_directory(), folder, dirs_exist_ok=True)
    document = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(changed(document, places, other) if places else other) + "\n")
    contents = read_directory(folder)
    comparison = compare([contents])
    claims = judge(contents)
    groups = forest.forest({"": claims.values()})
    forest.columns_of(groups)
    page.findings([row for group in groups for row in group.rows])
    page.unfinished_runs(contents)
    page.claim_table([*claims.values()])
    transfer = page.transfer_results(comparison, [contents])
    tables = [page_tables.run_table_of(comparison, True), page_tables.set_table(comparison)]
    for table in (*tables, page_tables.measure_table(comparison), page.transfer_table(transfer)):
        page_tables.columns_of(table)
    page.sentence(comparison, origin.configs_of(comparison.kinds), "")
    page.warnings_of(comparison.kinds)
    for describe in (origin.facts, origin.class_lists):
        describe(comparison)
    origin.transfer_facts(transfer)
    origin.commands([contents], comparison)
    if contents.problems:
        raise UserError("; ".join(contents.problems))
