"""The list of the paper's runs, as `cliptail study --list` prints it."""

import collections
import csv
from collections.abc import Mapping

from cliptail_jax.config.files import find_table
from cliptail_jax.experiments.catalogue import FAMILIES, FURTHER_RUNS, PAPER_RUNS, RUNS, PaperRun, first_names
from cliptail_jax.report.layout import Column, Table, markdown, table_of


def families() -> Table:
    """The families of runs."""
    numbers = collections.Counter(run.family for run in PAPER_RUNS)
    columns = [
        Column("title", "factor", value=lambda key: FAMILIES[key].title),
        Column("runs", "runs", "", "d", numbers.__getitem__),
        Column("section", "section", value=lambda key: FAMILIES[key].section),
    ]
    return table_of("family", columns, FAMILIES, lambda key: f"`{key}`")


def page() -> str:
    """The paper's runs, with a table for each family."""
    names, priors = first_names(), prior_shares()
    distinct = len({names[run.name] for run in RUNS})
    counts = (
        f"{len(RUNS)} names, {distinct} different runs, and {len(FURTHER_RUNS)} further runs that appear in figures."
    )
    meaning = (
        "**Prior**: how much the run's loss favours frequent classes, in percent of SL, by its effective log-prior "
        "(configs/effective_prior.md): a forecast; – where it is unknown."
    )
    lines = ["# The paper's runs (configs/README.md explains how to train them)", "", counts, "", meaning]
    for family, (title, section) in FAMILIES.items():
        runs = [run for run in PAPER_RUNS if run.family == family]
        place = f"{'sections' if ' and ' in section else 'section'} {section} of the paper"
        lines += ["", f"## {title}", "", f"`family={family}`, {len(runs)} runs, {place}.", ""]
        columns = [
            Column("config", "config", value=lambda run: f"`{run.config}`"),
            Column("changes", "what changes", value=lambda run: run.changes + alias_of(run, names)),
            Column("prior", "prior", value=lambda run: priors[run.name]),
            Column("section", "section", value=lambda run: FAMILIES[run.family].section),
        ]
        lines += markdown(table_of("run", columns, runs, lambda run: run.name))
    return "\n".join(lines) + "\n"


def alias_of(run: PaperRun, names: Mapping[str, str]) -> str:
    return f" (the same run as {names[run.name]})" if names[run.name] != run.name else ""


def prior_shares() -> dict[str, str]:
    """The slope of each run's effective log-prior in percent of SL's, as configs/study/analyses/paper_priors.py wrote it."""
    with find_table("results/tables/paper_priors").open(encoding="utf-8") as lines:
        return {row["run"]: row["of SL's %"] for row in csv.DictReader(lines, delimiter="\t")}
