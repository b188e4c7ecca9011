"""Writes the tables of results on pages, so that no number is typed by hand:

    python scripts/update_pages.py quickstart=runs/quickstart mechanism=runs/mechanism

archives the results of these studies from their work directories in configs/study/results/NAME.tar.xz, computes their
numbers in NAME.json, and writes the tables of all pages from these. With --archives, the numbers are computed again from all
archives, as after a change of a statistic. A table is between two comments. The first one defines it:

    <!-- table: groups quickstart -->                      the runs of a study: accuracy, also of head and tail, log-odds per decade
    <!-- table: odds forecast_glyphs_16 natural -->        the same runs in several studies: accuracy, log-odds per decade
    <!-- table: bias forecast_glyphs_16 natural -->        ... log-odds per decade alone
    <!-- table: effect remedies_glyphs_lt remedies_icons -->      ... accuracy and log-odds per decade in one column
    <!-- table: ends remedies_glyphs_lt remedies_icons --> ... head, tail and log-odds per decade in one column
    <!-- table: odds mechanism_glyphs_16: sl clip -->      ... or some of them
    <!-- table: differences mechanism_glyphs_16 doses -->    the differences that the claims of one or several studies are on
    <!-- table: differences doses: odds_acc head -->       ... of some statistics, or with some keys
    <!-- table: repeated robustness -->                    the claims that a study tests under several recipes
    <!-- table: forecasts quickstart -->                   a study's forecasts beside what training gave
    <!-- table: printed roundings -->                      what an analysis printed to results/roundings.md
    <!-- table: flags used fork -->                        open_clip's flags of some kinds (cliptail_jax/open_clip/flags.py)
    <!-- table: families -->                               the families of the paper's runs
    <!-- end -->

Prose has no marks within its sentences. A comment after a paragraph, list item or table names the results that its numbers
are from, in their order; the numbers keep their digits after the point:

    SL has 2.7 log-odds per decade, 3.4 times as many as CLIP.
    <!-- numbers: 2.7 = quickstart sl.odds_acc; 3.4 = quickstart sl.odds_acc/clip.odds_acc -->

    NAME RUN.MEASURE      a measure of a run in the results NAME
    NAME KEY              the difference of the claim with this key; with -, the opposite one
    NAME A/B              a ratio of two of them

All runs and claims of a study are in results/tables/, as tables with tabs; those of results without numbers in NAME.json, which are
old, in results/tables/old/.
"""

import argparse
import functools
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, NO_EFFECT, SUPPORTED, ClaimResult, read_claims
from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.files import read_json, write_json, write_text
from cliptail_jax.host.text import UNDEFINED, format_number, tsv
from cliptail_jax.open_clip import flags
from cliptail_jax.report import catalogue
from cliptail_jax.report.claim_tables import difference_of, repeated_table
from cliptail_jax.report.forecasts import compared_table
from cliptail_jax.report.layout import Column, Row, Table, markdown, table_of, text_table
from cliptail_jax.report.page_tables import columns_of
from cliptail_jax.report.run_tables import table_of_numbers
from cliptail_jax.report.study import numbers_of_study
from cliptail_jax.results.archive import opened_archive, write_archive
from cliptail_jax.results.group import groups_of, mean_of
from cliptail_jax.results.study import by_replicate
from configs.study.analyses.data_names import data_of

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "configs/study/results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "configs").glob("*.md")), *sorted((ROOT / "configs/study").glob("*.md"))]
VERDICTS = (SUPPORTED, NO_EFFECT, INCONCLUSIVE, CONTRADICTED)
# Tables of the same runs in several studies: the columns of each with their titles.
COMPARED = {
    "bias": {"odds_acc": "bias"},
    "effect": {"top1 odds_acc": "top-1 %, bias"},
    "ends": {"head tail odds_acc": "head, tail, bias"},
    "odds": {"top1": "top-1 %", "odds_acc": "odds_acc [95 %]"},
    "groups": {"odds_acc": "odds_acc [95 %]", "top1": "top-1 %", "head": "head", "tail": "tail"},
}
# Claims as tables for programs: a number in each cell.
CLAIM_COLUMNS = [
    Column("statistic", "statistic", value=lambda claim: claim.quantity),
    Column("comparison", "comparison", value=lambda claim: claim.comparison),
    Column("higher", "mean of the first", value=lambda claim: mean_of([first for first, _ in claim.by_seed])),
    Column("lower", "mean of the second", value=lambda claim: mean_of([second for _, second in claim.by_seed])),
    Column("positive", "positive", value=lambda claim: float(sum(a > b for a, b in claim.by_seed))),
    Column("number", "seeds or pairs", value=lambda claim: float(len(claim.by_seed))),
    Column("difference", "difference", "", ".2f", lambda claim: difference_of(claim)),
    Column("margin", "margin", value=lambda claim: claim.margin),
    Column("verdict", "verdict", value=lambda claim: claim.verdict),
    Column("corrected", "corrected", value=lambda claim: claim.corrected),
    Column("obstacle", "obstacle", value=lambda claim: claim.obstacle),
    Column("change", "change", value=lambda claim: claim.change.text),
]
TABLE = re.compile(r"(<!-- table: ([^\n]+) -->\n).*?<!-- end -->", re.DOTALL)
NUMBERS = re.compile(
    r"(?P<text>(?:(?!\n\n|\n *- |<!--).)*)<!-- numbers: (?P<sources>[^>]+?) -->", re.DOTALL
)  # a paragraph, list item or table, and the comment after it
SOURCE = re.compile(r"\s*(\S+) =\s+(\w+)\s+([\w./-]+)\s*")  # of one number in this comment


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="*", metavar="NAME=WORKDIR")
    parser.add_argument("--archives", action="store_true", help="compute the numbers again from all archives")
    options = parser.parse_args(arguments)
    RESULTS.mkdir(exist_ok=True)
    archives = dict.fromkeys(sorted(RESULTS.glob(f"*{ARCHIVE}"))) if options.archives else {}
    for study in options.studies:
        name, _, workdir = study.partition("=")
        archives[archive := RESULTS / f"{name}{ARCHIVE}"] = None
        write_archive(Path(workdir), archive)
    for archive in archives:
        write_json(archive.with_name(archive.name.replace(ARCHIVE, ".json")), numbers_of(archive))
    for path in RESULTS.glob("*.json"):
        write_tables(path)
    for page in PAGES:
        write_text(page, with_tables(page.read_text(encoding="utf-8")))


def numbers_of(archive: Path) -> dict[str, Any]:
    """The title and numbers of an archived study, computed from its counts."""
    with opened_archive(archive) as contents:
        groups = groups_of(by_replicate(contents.study, contents.runs))
        header = {"title": contents.study.title, "names": contents.study.names}
        return {**header, **numbers_of_study(groups, judge(contents))}


def write_tables(path: Path) -> None:
    """Write all runs and claims of a study as tables with tabs, which GitHub shows and searches."""
    (folder := path.parent / "tables").mkdir(exist_ok=True)
    claims = table_of("claim", CLAIM_COLUMNS, read_claims(path).values(), lambda claim: claim.text)
    for kind, study_table in {"runs": runs_in(path.stem), "claims": claims}.items():
        header, rows = columns_of(study_table)
        if kind == "runs":
            header = [header[0], "kind", *header[1:]]
            rows = [[row[0], table_row.label, *row[1:]] for row, table_row in zip(rows, study_table.rows)]
        write_text(folder / f"{path.stem}_{kind}.tsv", tsv(header, (map(plain_number, row) for row in rows)))


def plain_number(value: Any) -> str:
    """A cell for programs: a number without separators or units, '' if it is undefined, or a text."""
    if isinstance(value, float | int):
        return "" if math.isnan(value) else f"{value:.6g}"
    return {None: "", UNDEFINED: "", "<": "-inf", ">": "inf"}.get(value, value)


def with_tables(text: str) -> str:
    """A page with its tables and numbers written anew."""
    text = TABLE.sub(lambda match: "\n".join([match[1], *table(*match[2].split()), "", "<!-- end -->"]), text)
    return NUMBERS.sub(lambda match: with_numbers(**match.groupdict()), text)


def with_numbers(text: str, sources: str) -> str:
    """A paragraph and its comment, with the numbers of the results that the comment names."""
    position, updated_sources = 0, []
    for source in sources.split(";"):
        digits, study, reference = SOURCE.fullmatch(source).groups()
        match = re.compile(rf"(?<![\d.,]){re.escape(digits)}(?![\d]|[.,]\d)").search(text, position)
        if not match:
            raise SystemExit(f"'{digits}' of the comment is not in its paragraph, or in another order: {text.strip()}")
        value = number(digits, study, reference)
        text = text[: match.start()] + value + text[match.end() :]
        position = match.start() + len(value)
        updated_sources.append(source.replace(digits, value, 1))
    return f"{text}<!-- numbers: {';'.join(updated_sources)} -->"


def number(digits: str, study: str, reference: str) -> str:
    """The number of a result, with as many digits after the point as `digits` has."""
    numerator, _, denominator = reference.partition("/")
    value = estimate(study, numerator)
    if denominator:
        value /= estimate(study, denominator)
    return format_number(value, f",.{len(digits.partition('.')[2])}f")


def estimate(study: str, reference: str) -> float:
    """The value of RUN.MEASURE, of CLAIM, or of -CLAIM, the opposite difference."""
    run, _, measure = reference.partition(".")
    if measure:
        return runs_of(study)[run].cells[measure].value
    value = claims_of(study)[reference.lstrip("-")].interval[0]
    return -value if reference.startswith("-") else value


def table(kind: str, *words: str) -> list[str]:
    """The lines of a table of this kind on the results named before a colon, with the rows named after it, or all."""
    names, rows = (part.split() for part in " ".join(words).partition(":")[::2])
    if kind in COMPARED:
        return markdown(compared_runs(COMPARED[kind], names, rows))
    if kind == "differences":
        return markdown(compared_differences(names, rows))
    if kind == "repeated":
        repetitions = repeated_table(claims_of(names[0]).values())
        columns = [column for column in repetitions.columns if column.key not in VERDICTS]
        return markdown(repetitions._replace(columns=columns))
    if kind == "forecasts":
        return markdown(forecasts_in(RESULTS / f"{names[0]}{ARCHIVE}"))
    if kind == "printed":
        return (RESULTS / f"{names[0]}.md").read_text(encoding="utf-8").splitlines()
    if kind == "flags":
        return markdown(text_table(["flags", "here"], flags.table(*names)))
    if kind == "families":
        return markdown(catalogue.families())
    raise SystemExit(
        f"there is no table '{kind}': it is {', '.join(COMPARED)}, differences, repeated, forecasts, printed, flags or families"
    )


def forecasts_in(archive: Path) -> Table:
    """The forecasts of an archived study beside its runs, without the column of priors, which would be the eighth."""
    with opened_archive(archive) as contents:
        groups = groups_of(by_replicate(contents.study, contents.runs))
        comparison = compared_table(contents.workdir, groups.values())
        return comparison._replace(columns=comparison.columns[1:])


def compared_runs(titles: Mapping[str, str], names: Sequence[str], runs: Sequence[str]) -> Table:
    """A table of runs, with columns for each study."""
    studies = [runs_of(name) for name in names]
    prefixes = [f"{data_of(name)}: " * (len(names) > 1) for name in names]
    runs = runs or dict.fromkeys(run for rows_of in studies for run in rows_of)
    columns = [
        Column(
            f"{number} {key}",
            prefix + title,
            value=lambda run, rows=rows, key=key, title=title: cell_of(rows.get(run), key, title),
        )
        for number, (prefix, rows) in enumerate(zip(prefixes, studies))
        for key, title in titles.items()
    ]
    table_of_runs = table_of("run", columns, runs)
    labels = {run: next((rows[run].label for rows in studies if run in rows), "") for run in runs}
    return table_of_runs._replace(rows=[row._replace(label=labels[row.name]) for row in table_of_runs.rows])


def compared_differences(names: Sequence[str], keys: Sequence[str]) -> Table:
    """A table of the differences of claims, with a column for each study. Verdicts are those of main_claims.py alone."""
    studies = [claims_of(name) for name in names]
    header = ["claim", *(map(data_of, names) if len(names) > 1 else ["difference [95 %]"])]
    rows = []
    for key in dict.fromkeys(key for claims in studies for key in claims):
        study_claims = [claims.get(key) for claims in studies]
        first = next(filter(None, study_claims))
        if not keys or {key, first.statistic} & {*keys}:
            differences = [difference_of(claim).text if claim else "" for claim in study_claims]
            rows.append([f"{first.text} ({first.quantity})", *differences])
    return text_table(header, rows)


def cell_of(row: Row | None, key: str, title: str) -> str:
    """The number of a run, with its interval if the title announces it; '' without the run."""
    if not row:
        return ""
    cells = [row.cells[measure] for measure in key.split()]
    return ", ".join(cell.text if title.endswith("]") else cell.number for cell in cells)


def runs_of(name: str) -> Mapping[str, Row]:
    return {row.name: row for row in runs_in(name).rows}


def runs_in(name: str) -> Table:
    numbers = stored(name)
    return table_of_numbers(numbers, numbers.get("names"))


def claims_of(name: str) -> Mapping[str, ClaimResult]:
    return stored(name, read_claims)


def stored(name: str, reader: Callable[[Path], Any] = read_json) -> Any:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: give the study's work directory as {name}=DIR")
    return cached(reader, path)


@functools.cache  # a page has dozens of numbers
def cached(reader: Callable[[Path], Any], path: Path) -> Any:
    return reader(path)


if __name__ == "__main__":
    main(sys.argv[1:])
