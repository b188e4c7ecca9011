"""The notebooks of colab/ run from their first cell to the last."""

import functools
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from cliptail_jax.datasets.icons.families import read_families
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.files import read_json
from cliptail_jax.runs.evaluations import last_evaluation
from tests.datasets.iconify import icon_set, rectangle, write_iconify
from tests.forked_programs import with_devices
from tests.pages import rows_by_name
from tests.tiny_clip import save_tiny_clip

pytestmark = pytest.mark.program
COLAB = Path(__file__).parents[1] / "colab"
NOTEBOOKS = ("finding", "concept_frequency", "sampled_prototypes", "natural_tail")


class ThisPython(AsyncKernelManager):
    """Starts the interpreter of the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def read(name):
    return nbformat.read(COLAB / f"{name}.ipynb", as_version=4)


def cell_of(notebook, cell_id):
    (cell,) = [cell for cell in notebook.cells if cell["id"].partition("_")[0] == cell_id]
    return cell


def outputs(notebook, cell_id):
    """What a cell shows, by kind; text that it prints as 'stdout' and 'stderr'."""
    shown = {}
    for output in cell_of(notebook, cell_id).outputs:
        shown |= {output.name: output.text} if output.output_type == "stream" else output.data
    return shown


def with_settings(name, **changes):
    """A notebook with other settings, whose runs are small."""
    notebook = read(name)
    settings = cell_of(notebook, "settings")
    assert all(re.search(rf"^{key} = ", settings.source, re.MULTILINE) for key in changes)
    code = ["from tests.small_notebooks import shrink", "shrink()", *(f"{key} = {changes[key]!r}" for key in changes)]
    notebook.cells.insert(notebook.cells.index(settings) + 1, new_code_cell("\n".join(code)))
    return notebook


def execute(notebooks, folder, data_dir):
    """Runs notebooks in one process on one device, each without the variables of those before it."""
    cells = []
    for number, notebook in enumerate(notebooks):
        for cell in notebook.cells:
            cell["id"] += f"_{number}"
        cells += [*notebook.cells, new_code_cell("%reset_selective -f .")]
    environment = os.environ | {
        "PYTHONPATH": str(COLAB.parent),  # for the tests' own modules
        "TFDS_DATA_DIR": data_dir,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
        "XLA_FLAGS": with_devices(1),
    }
    resources = {"metadata": {"path": str(COLAB)}}
    client = NotebookClient(new_notebook(cells=cells), timeout=600, km=ThisPython(), resources=resources)
    client.execute(env=environment, cleanup_kc=True)


@pytest.fixture(scope="module")
def executed(glyphs_dir, tmp_path_factory):
    """The executed notebooks, with the folders of their results."""
    folder = tmp_path_factory.mktemp("notebooks")
    captions = folder / "captions.txt"
    captions.write_text("Digit four, drawn\nEighth notes beside a digit four\n")
    own = {"CAPTIONS": str(captions), "MODEL": str(save_tiny_clip(folder / "clip", seed=1))}
    raw = {"RAW": str(small_iconify(folder / "icons.tgz")), "DATA_DIR": str(folder), "EPOCHS": 1}
    dino = {"DATA": "glyphs_lt", "SET": "glyphs:train:test", "EPOCHS": 1, "PROTOTYPES": 64, "SAMPLE": 16}
    chosen = {
        "finding": ("finding", {"EPOCHS": 1}),
        "own captions": ("concept_frequency", own),
        "concept_frequency": ("concept_frequency", {"EPOCHS": 1}),
        "sampled_prototypes": ("sampled_prototypes", dino),
        "natural_tail": ("natural_tail", raw),
    }
    notebooks = {
        key: with_settings(name, WORKDIR=str(folder / key), **changes) for key, (name, changes) in chosen.items()
    }
    execute(notebooks.values(), folder, str(glyphs_dir))
    return {key: (notebook, folder / key) for key, notebook in notebooks.items()}


def small_iconify(path):
    """Five icons, of which one is a logo, in sets of each split."""
    prefixes = [(prefix, member.split) for prefix, member in read_families().items()]
    numbers = {"train": 6, "validation": 1, "test": 2}
    chosen = [p for split, number in numbers.items() for p in [p for p, of in prefixes if of == split][:number]]
    names = ("star", "heart", "umbrella", "cloud-rain", "github")
    icons = {name: rectangle(1 + i, 1, 2, 3 + i) for i, name in enumerate(names)}
    return write_iconify(path, *(icon_set(prefix, icons) for prefix in chosen))


def test_the_law_is_forecast_trained_and_compared(executed):
    notebook, workdir = executed["finding"]
    assert {path.parent.name for path in workdir.glob("*/config.json")} == {"adjusted", "sl", "batch"}
    forecast, compared, own = (outputs(notebook, cell)["stdout"] for cell in ("forecast", "compare", "own"))
    batch = read_json(workdir / "sl/config.json")["config"]["batch_size"]
    rows = [re.split(r"  +", line)[0] for line in compared.splitlines()[1:]]
    assert rows[-4:] == ["sl, forecast", "sl, trained", f"batch:{batch}, forecast", f"batch:{batch}, trained"]
    assert all(row in forecast for row in ("adjusted:1 (trained)", "sl, forecast", f"batch:{batch}, forecast"))
    assert re.match(r"scikit-learn: .*τ = ", own) and "without its prior" in own
    assert all("image/png" in outputs(notebook, cell) for cell in ("data", "figure"))


def test_captions_are_counted_and_a_clip_is_trained_on_them(executed):
    notebook, workdir = executed["concept_frequency"]
    truth, by_name, edited = (read_frequency(workdir / f"{table}.tsv")[1] for table in ("truth", "by_name", "edited"))
    assert list(edited) == list(truth) != list(by_name)
    last = last_evaluation(workdir / "clip", "glyphs:test")
    row = rows_by_name(outputs(notebook, "accuracy")["text/markdown"], "counts")["truth"]
    assert row["odds_acc [95 %]"].startswith(f"{last['odds_acc']:.2f} [{last['odds_acc_interval'][0]:.2f}, ")
    assert row["slope_acc [95 %]"].startswith(f"{last['slope_acc']:.1f} [{last['slope_acc_interval'][0]:.1f}, ")
    assert all("image/png" in outputs(notebook, cell) for cell in ("curves", "scatter"))


def test_captions_of_ones_own_are_compared_with_a_published_clip(executed):
    notebook, workdir = executed["own captions"]
    counts = dict(zip(*read_frequency(workdir / "by_name.tsv")))
    assert {name: count for name, count in counts.items() if count} == {"digit four": 2, "eighth note": 1}
    summary = last_evaluation(workdir / "published", "glyphs:test")
    row = rows_by_name(outputs(notebook, "accuracy")["text/markdown"], "counts")["by_name"]
    assert row["corr_acc [95 %]"].partition(" ")[0] == f"{summary['corr_acc']:.2f}"
    assert outputs(notebook, "wrong") == outputs(notebook, "exclude") == {}  # nobody knows the truth


def test_dino_is_trained_probed_and_drawn(executed):
    notebook, _ = executed["sampled_prototypes"]
    rows = rows_by_name(outputs(notebook, "table")["text/markdown"], "model")
    assert {name.rpartition("/")[2] for name in rows} == {"drawn", "all", "sampled"}
    assert all("image/png" in outputs(notebook, cell) for cell in ("loss", "figure"))


def test_icons_are_built_counted_trained_on_and_searched(executed):
    notebook, workdir = executed["natural_tail"]
    assert "24 training pairs, such as" in outputs(notebook, "pairs")["stdout"]
    assert "the most frequent: star 6, heart 6, umbrella 6, cloud 6, rain 6" in outputs(notebook, "words")["stdout"]
    assert all(last_evaluation(workdir / name, "icons:test")["step"] == 6 for name in ("sl", "clip"))
    rows = rows_by_name(outputs(notebook, "results")["text/markdown"], "run")
    assert [row["images"] for row in rows.values()] == ["24", "24"]
    assert "image/png" in outputs(notebook, "figure") and "cat face: " in outputs(notebook, "search")["stdout"]


@pytest.mark.parametrize("source", ["", "https://example.org/project", "copies/project"])
def test_setting_up_installs_the_package_from_the_source_in_its_first_lines(source, tmp_path, monkeypatch):
    """As on a machine without the package, in an empty folder."""
    commands = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("subprocess.run", lambda command, check: commands.append(command))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (setup,) = {cell_of(read(name), "setup").source for name in NOTEBOOKS}
    run = functools.partial(exec, setup.replace('\nSOURCE = ""', f"\nSOURCE = {source!r}"), {})
    if source:
        run()
        assert [command[:4] for command in commands] == [[sys.executable, "-m", "pip", "install"]]
        address = f"git+{source}" if "://" in source else (tmp_path / source).as_uri()
        assert re.fullmatch(rf"cliptail_jax\[pretrained,figures(,gpu)?\] @ {re.escape(address)}", commands[0][-1])
    else:
        with pytest.raises(ValueError, match='change the line SOURCE = "" of this cell'):
            run()
