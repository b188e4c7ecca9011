"""The page report.html: one file that opens without a network, from claims to runs to classes to their origin."""

import contextlib
import gc
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from bokeh.core.json_encoder import serialize_json
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.resources import Resources

from cliptail_jax.claims.judged import JudgedContents
from cliptail_jax.host.files import is_remote, write_text
from cliptail_jax.host.outputs import check_output, first_bytes
from cliptail_jax.host.text import format_number, shortened_list
from cliptail_jax.report import forest, origin, page_tables, pairs
from cliptail_jax.report.claim_tables import claim_table
from cliptail_jax.report.comparison import ComparedGroup, ComparedRuns, compare, prefixes, wrong_predictions
from cliptail_jax.report.confounded import several_factors
from cliptail_jax.report.embedded import PageImages
from cliptail_jax.report.findings import Finding, findings, verdict_counts
from cliptail_jax.report.forecasts import compared_table
from cliptail_jax.report.layout import shown_in
from cliptail_jax.report.lead import lead_of
from cliptail_jax.report.plot_parts import Plots
from cliptail_jax.report.plots import draw_plots
from cliptail_jax.report.run_tables import warnings_of
from cliptail_jax.report.transfer_tables import transfer_table
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.run import directory_name
from cliptail_jax.results.transfers import Transfer
from cliptail_jax.runs.console import with_bar

PAGE = "report.html"
ALL_RUNS = ("*",)
IMAGES_PER_CLASS = 4  # by default
MAX_OPEN_CLAIMS = 15  # more are folded
MAX_OPEN_FINDINGS = 12
MAX_FIELDS = 8  # in which configs differ, in the first sentence
FOLDER = Path(__file__).parent
HEADINGS = {
    "accuracy": "Class frequency and accuracy",
    "predictions": "Class frequency and predictions",
    "slopes": "Bias by accuracy, with the paths of the training",
    "correlations": "Correlations with class frequency",
    "groups": "Head, mid and tail",
    "loss": "Training loss",
    "top1": "Accuracy during training",
    "recall": "Recall by the frequency of a caption's rarest word",
    "calibration": "Calibration",
}


def write_page(
    directories: Sequence[JudgedContents],
    output: Path | None = None,
    title: str = "",
    failures: Mapping[str, str] | None = None,
    images: int = IMAGES_PER_CLASS,
    every_image: bool = False,
    runs: Sequence[str] = ALL_RUNS,
    overwrite: bool = False,
    advice: Mapping[str, str] | None = None,
) -> Path:
    """Write the page on what directories contain, and return its path.

    Args:
        directories: a directory, and those that it is compared with: of a run, a study, a transfer or evaluations of
            published models, or any folder of runs.
        output: where the page is written; by default to report.html in the first directory.
        title: a title for results that need not be there yet; a study has its own.
        failures: why parts of the study failed since its last report.
        images: the number of training images of each class, and of test images, if their data are there.
        every_image: whether all test images are on the page, too; its size is printed before it is written.
        runs: the patterns, such as "glyphs_*", by which the runs in `directories` were selected.
        overwrite: whether to replace a file that is not such a page.
        advice: sentences with which the page begins, and a line of code for each, or ''.

    Raises UserError if `output` exists and is no such page, or the page cannot be written.
    """
    all_contents = [directory.contents for directory in directories]
    output = output or all_contents[0].workdir / PAGE
    check_output(output, is_page, overwrite=overwrite)
    comparison = compare(all_contents)
    for contents in all_contents:
        failures = (contents.study.failures if contents.study else {}) | (failures or {})
    missing_runs = (
        [] if runs != ALL_RUNS else [name for name in unfinished_runs(all_contents[0]) if name not in failures]
    )
    page_images = embedded_images(comparison, images, every_image)
    with paused_collection():
        text = render(comparison, directories, title, missing_runs, failures, page_images, runs, advice or {})
    if every_image:
        print(f"{output} with all test images: {len(text.encode()) / 1e6:.1f} MB")
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)
    return output


@contextlib.contextmanager
def paused_collection() -> Iterator[None]:
    """Defer the search for unreachable objects in this context: Bokeh makes many objects, which all live to its end."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def embedded_images(comparison: ComparedRuns, number: int, every_image: bool) -> PageImages:
    """The images of the page. For none, neither JAX nor the readers of data sets are imported."""
    if not number:
        return PageImages(None, [])
    from cliptail_jax.report.images import page_images

    return page_images(comparison, number, every_image)


def is_page(path: Path) -> bool:
    """Whether a file is such a page."""
    return b'<meta name="generator" content="cliptail_jax">' in first_bytes(path)


def address(page: Path) -> str:
    """The address at which a browser opens the page, or its path in a bucket."""
    return str(page) if is_remote(page) else Path(page).absolute().as_uri()


def render(
    comparison: ComparedRuns,
    judged_directories: Sequence[JudgedContents],
    title: str,
    missing_runs: Sequence[str],
    failures: Mapping[str, str],
    images: PageImages,
    runs: Sequence[str],
    advice: Mapping[str, str],
) -> str:
    """The text of the page."""
    directories = [directory.contents for directory in judged_directories]
    for kind in with_bar(comparison.kinds, "measuring", "kinds of runs"):
        _ = kind.variances  # which take longest, and are cached
    plots = draw_plots(comparison, shows_images=bool(images.data and images.data["training"]))
    configs = origin.configs_of(comparison.kinds)
    transfer = transfer_results(comparison, directories)
    claims = {prefix: directory.claims.values() for directory, prefix in zip(judged_directories, prefixes(directories))}
    groups = forest.forest(claims, runs)
    rows = [row for group in groups for row in group.rows]
    untested_rows = [row for row in rows if not row.interval]
    tested_groups = [
        group._replace(rows=tested_rows)
        for group in groups
        if (tested_rows := [row for row in group.rows if row.interval])
    ]
    sentences, claims_table = findings(rows), claim_table([row.claim for row in rows])
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    titles = [contents.study.title if contents.study else directory_name(contents.workdir) for contents in directories]
    if not directories[0].study:
        titles[0] = title or titles[0]
    tables = {"runs": page_tables.run_table_of(comparison, bool(rows)), "sets": page_tables.set_table(comparison)}
    tables["forecasts"] = compared_table(directories[0].workdir, comparison.kinds)
    tables |= {"measures": page_tables.measure_table(comparison), "transfer": transfer_table(transfer)}
    columns = {name: page_tables.columns_of(table) for name, table in tables.items() if table.rows}
    if groups:
        columns["claims"] = forest.columns_of(groups)
    if differences := pairs.differences(comparison.kinds):
        columns["differences"] = pairs.HEADER, differences
    title = " and ".join(titles)
    return environment.get_template("page.html").render(
        title=title,
        advice=advice,
        lead=lead_of(comparison, judged_directories),
        subject=sentence(comparison, configs, title),
        counts=verdict_counts(rows) if rows else "",
        findings=sentences,
        untested=untested_rows,
        missing=missing_runs,
        failures=failures,
        problems=[problem for contents in directories for problem in contents.problems],
        warnings=warnings_of(comparison.kinds),
        notes=[*comparison.notes, *without_frequency(comparison)],
        claims=shown_in("page", claims_table),
        claim_cells={row.number: cells.cells for row, cells in zip(rows, claims_table.rows)},
        claim_groups=tested_groups,
        several_studies=any(row.study for row in rows),
        address_of=address_of,
        has_differences=bool(differences),
        max_kinds=pairs.MAX_KINDS,
        svg_width=forest.WIDTH,
        max_open_claims=MAX_OPEN_CLAIMS,
        max_open_findings=MAX_OPEN_FINDINGS,
        verdicts=forest.VERDICTS,
        kinds={kind.name: kind for kind in comparison.kinds},
        tables={name: shown_in("page", table) for name, table in tables.items()},
        plots=plots,
        headings=HEADINGS if plots.has_paths else HEADINGS | {"slopes": "Bias by accuracy"},
        has_seeds=any(len(kind.runs) > 1 for kind in comparison.kinds),
        classes=comparison.classes if comparison.evaluated_kinds else 0,
        images=images,
        configs=configs,
        facts=origin.facts(comparison),
        transfer_facts=origin.transfer_facts(transfer),
        class_lists=origin.class_lists(comparison),
        commands=origin.commands(directories, comparison),
        has_origin=bool(comparison.kinds or transfer),
        # Bokeh's script is only needed for plots.
        bokeh=Resources(mode="inline", components=["bokeh"]).js_raw if plots.figures else [],
        css=(FOLDER / "page.css").read_text(encoding="utf-8"),
        scripts=[
            (FOLDER / name).read_text(encoding="utf-8") for name in (*(["images.js"] if images.data else []), "page.js")
        ],
        data=embedded(
            page_data(comparison, plots, sentences)
            | {"differences": pairs.texts_of(differences)}
            | {"tables": {name: json_table(*table) for name, table in columns.items()}}
        ),
        image_data=embedded(images.data),
        document=embedded_text(document_json(plots)) if plots.figures else "null",
    )


def sentence(comparison: ComparedRuns, configs: origin.ConfigDifferences, title: str) -> str:
    """Sentences on the compared kinds of runs, if the title does not name them, the fields in which they differ, and their sets."""
    kinds = comparison.kinds
    if not kinds:
        return ""
    number = len(comparison.runs)
    is_mirrored = any(run.is_mirrored for _, run in comparison.runs)
    plural = "published models" if all(kind.runs[0].is_published for kind in kinds) else "kinds of runs"
    plural = "models" if all(kind.runs[0].is_prediction for kind in kinds) else plural
    names = f"{len(kinds)} {plural}" if len(kinds) > 1 else kinds[0].name * (kinds[0].name != title)
    runs = f"{number} runs{' in all' * bool(names)}{', in mirrored pairs' * is_mirrored}" if number > len(kinds) else ""
    parts = [text for text in [", ".join(filter(None, (names, runs)))] if text]
    if (fields := list(configs.factors)) and plural != "models":  # the configs of predictions are not their user's
        noun = "fields" if len(fields) > MAX_FIELDS + 1 else "field"
        parts.append(f"They differ in {shortened_list(fields, MAX_FIELDS, noun)}")
    if sets := dict.fromkeys(evaluation.set_name for kind in kinds for evaluation in kind.by_seed.values()):
        parts.append(f"Evaluated on {', '.join(sets)}")
    return "".join(f"{part}. " for part in parts).rstrip()


def address_of(pair: Sequence[str]) -> str:
    """The part of the page's address that chooses two kinds of runs, as the page's script reads it."""
    return "#" + ",".join(quote(name, safe="") for name in pair)


def without_frequency(comparison: ComparedRuns) -> list[str]:
    """A note if the class frequency of published models is not known."""
    names = [
        kind.name
        for kind in comparison.evaluated_kinds
        if kind.runs[0].is_published and all(e.frequency is None for e in kind.by_seed.values())
    ]
    if not names:
        return []
    return [
        f"The class frequency of {', '.join(names)} is not known, so there are no correlations, no slopes and no plots of "
        "them: give --config.eval.class_frequency to their evaluation."
    ]


def unfinished_runs(contents: Contents) -> list[str]:
    """The directories of a study's runs that are not finished; none without a study."""
    finished_runs = {f"{run.seed}/{run.name}".strip("/") for run in contents.runs if run.is_finished}
    replicates, names = (contents.study.replicates, contents.study.runs) if contents.study else ((), ())
    runs = [f"{seed}/{name}".strip("/") for seeds in replicates for name in names for seed in seeds or [""]]
    return [run for run in runs if run not in finished_runs]


def transfer_results(comparison: ComparedRuns, directories: Sequence[Contents]) -> dict[str, list[Transfer]]:
    """The transfer results by kind of runs of a study, or by model of a transfer."""
    transfers = {kind.name: kind.transfers for kind in comparison.kinds}
    for contents, prefix in zip(directories, prefixes(directories)):
        for result in contents.transfers:
            transfers.setdefault("/".join(filter(None, (prefix, result["model"]))), []).append(result)
    return {name: results for name, results in transfers.items() if results}


def page_data(comparison: ComparedRuns, plots: Plots, sentences: Sequence[Finding]) -> dict[str, Any]:
    """The data of the page's script: kinds, their looks and accuracies by class, and wrong predictions.

    The page first compares the runs of the first claim on two of them, or else the last kind with the first.
    """
    kinds = []
    for kind in comparison.kinds:
        content: dict[str, Any] = {
            "name": kind.name,
            "colours": [kind.look.colour, kind.look.on_dark],
            "shows": [[model.id, colours] for model, colours in plots.by_kind[kind.name]],
        }
        if kind.by_seed:
            content |= rows_by_class(kind, comparison)
        kinds.append(content)
    names = [kind.name for kind in comparison.kinds]
    pairs_of_claims = (list(sentence.pair) for sentence in sentences)
    name_pairs = itertools.combinations(names, 2) if len(names) <= pairs.MAX_KINDS else ()
    return {
        "kinds": kinds,
        "pair": next((p for p in pairs_of_claims if len(p) == 2 and set(p) <= set(names)), [*names[-1:], *names[:1]]),
        "confounded": [[*pair, factors] for pair, factors in several_factors(comparison.kinds, name_pairs).items()],
        "labels": comparison.labels,
        "classes": comparison.classes,
        "directions": comparison.directions,
        "frequencies": {n: frequency.tolist() for n, frequency in comparison.frequencies_by_direction().items()},
        "figures": {name: plot.id for name, plot in plots.figures.items()},
        "points": plots.points and plots.points.id,
        "confusions": [source.id for source in plots.confusions],
        "rows": plots.rows and plots.rows.id,
        "measures": [[measure.title, digits_of(measure.format)] for measure in pairs.pair_measures()],
    }


def rows_by_class(kind: ComparedGroup, comparison: ComparedRuns) -> dict[str, list[Any]]:
    """Accuracy in percent, wrong predictions and their numbers, right and all examples: of each class in each direction."""
    content: dict[str, list[Any]] = {"accuracy": [], "wrong": [], "right": [], "examples": []}
    for seed in comparison.directions:
        direction = kind.of_direction(seed)
        if direction is None:  # it has no run of this seed
            rows = [[None], [[]], [0], [0]]
            for values, row in zip(content.values(), rows):
                values += row * comparison.classes
            continue
        confusion, accuracy = direction
        wrong = wrong_predictions(confusion)
        content["accuracy"] += [None if math.isnan(a) else round(100 * a, 2) for a in accuracy.tolist()]
        content["wrong"] += [[number for pair in class_pairs for number in pair] for class_pairs in wrong]
        content["right"] += confusion.diagonal().tolist()
        content["examples"] += confusion.sum(axis=1).tolist()
    return content


def digits_of(form: str) -> int:
    """The digits after the decimal point of a format such as ',.1f'."""
    return int(re.search(r"\.(\d+)", form)[1])


def json_table(header: list[str], rows: list[list[Any]]) -> tuple[list[str], list[list[Any]]]:
    """A table for JSON: '<' or '>' for a number far outside of the data, None for an undefined one."""

    def plain(value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        return None if math.isnan(value) else format_number(value, "")

    return header, [[plain(value) for value in row] for row in rows]


def document_json(plots: Plots) -> str:
    """The plots as Bokeh's script reads them.

    They are not added to the document, which would search each plot for all models that it refers to, and apply a theme.
    """
    document = Document().to_json(deferred=False)
    return serialize_json(document | {"roots": Serializer(deferred=False).encode([*plots.figures.values()])})


def embedded(value: Any) -> str:
    return embedded_text(json.dumps(value, separators=(",", ":"), allow_nan=False))


def embedded_text(text: str) -> str:
    """A JSON text that does not end the script element that contains it."""
    return text.replace("<", "\\u003c")
