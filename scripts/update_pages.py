"""Writes the tables of results on pages, so that no number is typed by hand:

    python scripts/update_pages.py quickstart=runs/quickstart mechanism=runs/mechanism

archives the results of these studies from their work directories in configs/study/results/NAME.tar.xz, computes their
numbers in NAME.json, and writes the tables of all pages from these. With --archives, the numbers are computed again from all
archives, as after a change of a statistic. A table is between two comments. The first one defines it:

    <!-- table: runs quickstart -->                        the runs of a study
    <!-- table: claims mechanism odds_acc slope_pred -->   its claims, on some statistics or on all
    <!-- table: repeated robustness -->                    its claims that are tested under several recipes
    <!-- table: odds mechanism mechanism_cifar100 -->      the same runs in several studies: accuracy, log-odds per decade, f50
    <!-- table: odds mechanism: sl_adamw clip -->          ... or some of them
    <!-- table: groups remedies_glyphs remedies_icons -->  ... accuracy, also of head and tail, log-odds per decade
    <!-- table: transfers dino_cifar100_lt -->             the transfer of a study's runs
    <!-- table: printed composition -->                    what a script printed to results/composition.md
    <!-- table: flags used -->                             open_clip's flags of a kind (cliptail_jax/open_clip/flags.py)
    <!-- end -->

In a line, `<!-- verdicts: quickstart -->...<!-- end -->` counts the verdicts on the claims of a study. A comment after a
number defines it; the number keeps its digits after the point, and its interval if it has one:

    0.90 [0.76, 1.07]<!-- mechanism batch_odds_acc -->         the difference of a claim, by its key; with -, the opposite one
    1.05<!-- mechanism counts.odds_acc -->                     a measure of a run
    1.8<!-- quickstart sl.odds_acc/clip.odds_acc -->           a ratio
"""

import argparse
import collections
import functools
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.files import read_json, write_json, write_text
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.open_clip import flags
from cliptail_jax.results.archive import unpack, write_archive
from cliptail_jax.results.claims import ClaimResult, read_claims
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.layout import Cell, markdown
from cliptail_jax.results.study import by_replicate
from cliptail_jax.results.tables import claim_table, repeated_table, table_of_numbers, transfer_table
from cliptail_jax.runs.tables import format_interval, markdown_table
from cliptail_jax.study.report import numbers_of_study

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "configs/study/results"
PAGES = [ROOT / "README.md", ROOT / "configs/open_clip.md", *sorted((ROOT / "configs/study").glob("*.md"))]
# Tables of the same runs in several studies: the columns of each with their titles.
COMPARED = {
    "odds": {"top1": "top-1 %", "odds_acc": "odds_acc [95 %]", "f50": "f50"},
    "groups": {"top1": "top-1 %", "head": "head", "tail": "tail", "odds_acc": "odds_acc [95 %]"},
}
TABLE = re.compile(r"(<!-- table: ([^\n]+) -->\n).*?<!-- end -->", re.DOTALL)
VERDICTS = re.compile(r"(<!-- verdicts: (\w+) -->).*?<!-- end -->")
VALUE = re.compile(
    r"-?[\d,]*\d(?P<decimals>\.\d+)?(?P<interval> \[[^\]\n]*\])?(?=<!-- (?P<study>\w+) (?P<reference>[\w./-]+) -->)"
)


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
    for page in PAGES:
        write_text(page, with_tables(page.read_text(encoding="utf-8")))


def numbers_of(archive: Path) -> dict[str, Any]:
    """The title and numbers of an archived study, computed from its counts."""
    with tempfile.TemporaryDirectory() as folder:
        contents = read_directory(unpack(archive, Path(folder)))
        groups = groups_of(by_replicate(contents.study, contents.runs))
        return {"title": contents.study.title, **numbers_of_study(groups, contents.claims)}


def with_tables(text: str) -> str:
    """A page with its tables, verdicts and numbers written anew."""
    text = TABLE.sub(lambda found: "\n".join([found[1], *table(*found[2].split()), "", "<!-- end -->"]), text)
    text = VERDICTS.sub(lambda found: f"{found[1]}{verdicts(found[2])}<!-- end -->", text)
    return VALUE.sub(lambda found: number(**found.groupdict()), text)


def number(decimals: str | None, interval: str | None, study: str, reference: str) -> str:
    """The number that a comment defines, with as many decimals as the page shows, and with an interval where it has one."""
    numerator, _, denominator = reference.partition("/")
    value, bounds = estimate(study, numerator)
    if denominator:
        value /= estimate(study, denominator)[0]
    return format_interval(value, bounds if interval else None, f",.{len(decimals or '.') - 1}f")


def estimate(study: str, reference: str) -> tuple[float, tuple[float, float] | None]:
    """The value and interval of RUN.MEASURE, of CLAIM, or of -CLAIM, the opposite difference."""
    run, _, measure = reference.partition(".")
    if measure:
        cell = runs_of(study)[run][measure]
        return cell.value, cell.bounds
    value, low, high = claims_of(study)[reference.lstrip("-")].interval
    return (-value, (-high, -low)) if reference.startswith("-") else (value, (low, high))


def verdicts(name: str) -> str:
    """The number of claims of a study by verdict, the most frequent first."""
    counts = collections.Counter(claim.verdict for claim in claims_of(name).values())
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())


def table(kind: str, *names: str) -> list[str]:
    """The lines of a table."""
    if kind == "runs":
        return markdown(table_of_numbers(stored(names[0])))
    if kind == "claims":
        return markdown(
            claim_table([c for c in claims_of(names[0]).values() if c.statistic in (names[1:] or MEASURES)])
        )
    if kind == "repeated":
        return markdown(repeated_table(claims_of(names[0]).values()))
    if kind == "transfers":
        return markdown(transfer_table(stored(names[0])["transfers"]))
    if kind == "printed":
        return (RESULTS / f"{names[0]}.md").read_text(encoding="utf-8").splitlines()
    if kind == "flags":
        return markdown_table(flags.table(names[0]))
    if kind not in COMPARED:
        raise SystemExit(
            f"there is no table '{kind}': it is runs, claims, repeated, odds, groups, transfers, printed or flags"
        )
    names, _, chosen = " ".join(names).partition(":")
    names = names.split()
    studies = [runs_of(name) for name in names]
    rows = [["run", *(f"{name}: {title}" for name in names for title in COMPARED[kind].values())]]
    for run in chosen.split() or dict.fromkeys(run for cells_of in studies for run in cells_of):
        found = [cells_of.get(run) for cells_of in studies]
        rows.append([run, *(cell_of(cells, *column) for cells in found for column in COMPARED[kind].items())])
    return markdown_table(rows)


def cell_of(cells: Mapping[str, Cell] | None, key: str, title: str) -> str:
    """The number of a run, with its interval if the title announces it; '' without the run."""
    if not cells:
        return ""
    return cells[key].text if title.endswith("]") else cells[key].number


def runs_of(name: str) -> Mapping[str, Mapping[str, Cell]]:
    return {row.name: row.cells for row in table_of_numbers(stored(name)).rows}


def claims_of(name: str) -> Mapping[str, ClaimResult]:
    return stored(name, read_claims)


def stored(name: str, read: Callable[[Path], Any] = read_json) -> Any:
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path} is missing: give the study's work directory as {name}=DIR")
    return cached(read, path)


@functools.cache  # a page has dozens of numbers
def cached(read: Callable[[Path], Any], path: Path) -> Any:
    return read(path)


if __name__ == "__main__":
    main(sys.argv[1:])
