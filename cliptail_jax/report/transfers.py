"""The report of a transfer: a table of models × sets for each method, and the metric and sizes of each set."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.claims.judged import JudgedContents
from cliptail_jax.datasets.known_sources import TransferSet
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.report.layout import Cell, Column, cell, markdown, table_of
from cliptail_jax.report.page import PAGE, address, write_page
from cliptail_jax.report.transfer_tables import results_table, score
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.transfers import METHODS, Transfer
from cliptail_jax.runs.console import last_lines


def write_report(
    workdir: Path, results: Sequence[Transfer], sets: Sequence[TransferSet], failures: Mapping[str, str]
) -> None:
    """Write report.md and report.html on the results of a transfer in its directory. `failures` are reasons by part."""
    write_text(workdir / "report.md", report(results, sets, failures))
    write_page([JudgedContents(read_directory(workdir), {}, None)], title="Transfer", failures=failures, overwrite=True)


def report_text(workdir: Path) -> str:
    """The report of a finished transfer, and its path, for a terminal."""
    text = (workdir / "report.md").read_text(encoding="utf-8")
    return f"{text}\n{last_lines(workdir / 'report.md', address(workdir / PAGE))}"


def report(results: Sequence[Transfer], sets: Sequence[TransferSet], failures: Mapping[str, str]) -> str:
    """The whole report."""
    lines = ["# Transfer", ""]
    for method, title in METHODS.items():
        method_results = [result for result in results if result["method"] == method]
        if method_results:
            lines += [f"## {title}", "", *SECTIONS[method](method_results, sets), ""]
    lines += [f"**{part} failed**: {why}\n" for part, why in failures.items()]
    lines += ["## Sets", "", *set_table(results, sets), ""]
    return "\n".join(lines)


def probe_section(results: Sequence[Transfer], sets: Sequence[TransferSet]) -> list[str]:
    lines = [
        "Test scores in percent: mean per-class accuracy, accuracy, or 11-point mAP, as in the last table. Multinomial "
        "logistic regression on frozen features; its weight decay λ (scikit-learn's 1/C) is the best of 45 on the validation "
        "images; it is then fitted on these and the training images.",
        "",
        *table(results, sets),
        "",
        "The chosen λ:",
        "",
        *table(results, sets, text_cells(lambda r: f"{r['weight_decay']:.2g}{' (edge)' if r['edge'] else ''}")),
    ]
    lines += edge_note(results, "λ")
    calibrations = [result for result in results if "ece" in result]
    if calibrations:
        lines += [
            "",
            "## Calibration",
            "",
            "Expected calibration error in percent (15 bins) of the linear probe, raw → after temperature scaling (5 folds of the "
            "test images: the temperature is fitted on one, the error measured on the other four).",
            "",
            *table(calibrations, sets, text_cells(lambda r: f"{r['ece']:.1f} → {r['ece_scaled']:.1f}")),
        ]
    return lines


def few_shot_section(results: Sequence[Transfer], sets: Sequence[TransferSet]) -> list[str]:
    options = results[0]["settings"]
    return [
        f"Accuracy in percent ± 1.96 σ/√n over n = {options['episodes']} episodes: {options['ways']}-way, {options['shots']}-shot, "
        f"{options['queries']} queries per class, from the images of all splits; nearest class mean by Euclidean distance. Birdsnap "
        "and VOC2007 have no episodes.",
        "",
        *table(results, sets),
    ]


def finetune_section(results: Sequence[Transfer], sets: Sequence[TransferSet]) -> list[str]:
    options = results[0]["settings"]
    rates, decays = (", ".join(f"{value:g}" for value in options[key]) for key in ("learning_rates", "weight_decays"))
    lines = [
        "Test scores in percent, as for linear probes. The whole model is trained with a new linear head: SGD with Nesterov "
        f"momentum, {options['steps']:,} steps of {options['batch_size']} images, a cosine schedule by step, random resized crops "
        f"(0.08 to 1) and flips. Of the learning rates η {rates} and the weight decays λ {decays}, which are divided by η, the pair "
        "with the best validation score trains once more, on the validation images and the training images. VOC2007, whose images "
        "show several classes, is left out.",
        "",
        *table(results, sets),
        "",
        "The chosen η and λ:",
        "",
        *table(results, sets, text_cells(lambda r: f"{r['learning_rate']:g}, {r['weight_decay']:g}")),
    ]
    lines += edge_note(results, "value")
    numbers = {f"{r['model']} on {r['set']}": sum(score is None for *_, score in r["grid"]) for r in results}
    if any(numbers.values()):
        counts = [f"{number} of {name}" for name, number in numbers.items() if number]
        lines += ["", f"Runs that diverged, and so were not chosen: {', '.join(counts)}."]
    return lines


def edge_note(results: Sequence[Transfer], method: str) -> list[str]:
    at_edge = [f"{r['model']} on {r['set']} ({r['edge']})" for r in results if r["edge"]]
    return (
        ["", f"At the edge of the grid, where a better {method} may lie beyond: {', '.join(at_edge)}."]
        if at_edge
        else []
    )


SECTIONS = {"probe": probe_section, "few_shot": few_shot_section, "finetune": finetune_section}


def table(
    results: Sequence[Transfer], sets: Sequence[TransferSet], cell_of: Callable[[Sequence[Transfer]], Cell] = score
) -> list[str]:
    """One row per model and one column per set, with the cell of each result; '–' for no result."""
    results_by_model = {result["model"]: [r for r in results if r["model"] == result["model"]] for result in results}
    names = [transfer_set.name for transfer_set in sets]
    return markdown(results_table(results_by_model, lambda result: result["set"], cell_of, names), is_padded=True)


def text_cells(text_of: Callable[[Transfer], str]) -> Callable[[Sequence[Transfer]], Cell]:
    """Cells with a text of a model's only result on a set."""
    return lambda results: cell(text_of(results[0]))


def set_table(results: Sequence[Transfer], sets: Sequence[TransferSet]) -> list[str]:
    """The metric and sizes of each set, and the mean time of a model."""

    def sizes_of(transfer_set: TransferSet) -> Mapping[str, int]:
        return next((r["sizes"] for r in results if r["set"] == transfer_set.name and r["method"] != "few_shot"), {})

    def images_of(transfer_set: TransferSet) -> str:
        sizes = sizes_of(transfer_set)
        return f"{sizes['train']:,} + {sizes['validation']:,} / {sizes['test']:,}" if sizes else UNDEFINED

    def seconds_of(transfer_set: TransferSet) -> str:
        probes = [r for r in results if r["set"] == transfer_set.name and r["method"] == "probe"]
        means = (np.mean([probe[key] for probe in probes]) for key in ("feature_seconds", "seconds"))
        return ", ".join(f"{mean:.0f}" for mean in means) if probes else UNDEFINED

    columns = [
        Column("metric", "metric", value=lambda transfer_set: transfer_set.metric),
        Column("images", "images: train + validation / test", value=images_of),
        Column("classes", "classes", "", ",", lambda transfer_set: sizes_of(transfer_set).get("classes")),
        Column("seconds", "seconds: features, probe", value=seconds_of),
        Column("note", "note", value=lambda transfer_set: transfer_set.note or UNDEFINED),
    ]
    return markdown(table_of("set", columns, sets, lambda transfer_set: transfer_set.name), is_padded=True)
