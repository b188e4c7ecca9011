"""The notebooks of colab/ run from their first cell to the last, and contain the outputs of such a run."""

import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from flax import nnx
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from test_train_processes import with_devices

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.datasets import build as datasets
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.models.build import build_model
from cliptail_jax.pretrained.save import save

COLAB = Path(__file__).parents[1] / "colab"
NOTEBOOKS = ("finding", "concept_frequency", "sampled_prototypes")
OF_A_MACHINE = re.compile(r"(?<![\w.])/(work|tmp|root|home|Users|usr|content)/")  # a path that is in one place alone
LARGEST = 400_000  # bytes of a notebook
LARGEST_PICTURE = 200_000  # of its base64 text


class ThisPython(AsyncKernelManager):
    """Starts the interpreter of the tests, whatever kernels are installed."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def read(name):
    return nbformat.read(COLAB / f"{name}.ipynb", as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def cell_of(notebook, cell_id):
    (cell,) = [cell for cell in notebook.cells if cell["id"] == cell_id]
    return cell


def outputs(notebook, cell_id):
    """What a cell shows, by kind; text that it prints as 'stdout' and 'stderr'."""
    shown = {}
    for output in cell_of(notebook, cell_id).outputs:
        shown |= {output.name: output.text} if output.output_type == "stream" else output.data
    return shown


class Executed(NamedTuple):
    notebook: nbformat.NotebookNode
    workdir: Path


def execute(name, folder, data_dir, shortened=(), **changes):
    """Runs a notebook on one device, with some settings changed, and texts of the cell "study" exchanged for others."""
    notebook = read(name)
    settings = cell_of(notebook, "settings")
    for key, value in ({"WORKDIR": str(folder / "run")} | changes).items():
        line = re.compile(rf"^{key} = .*$", re.MULTILINE)
        settings.source, times = line.subn(lambda _: f"{key} = {value!r}", settings.source)
        assert times == 1, f"{name} has no setting {key}"
    for text, other in shortened:
        cell = cell_of(notebook, "study")
        assert text in cell.source
        cell.source = cell.source.replace(text, other)
    environment = os.environ | {
        "TFDS_DATA_DIR": data_dir,
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "jupyter"),
        "XLA_FLAGS": with_devices(1),
    }
    resources = {"metadata": {"path": str(COLAB)}}
    client = NotebookClient(notebook, timeout=600, km=ThisPython(), resources=resources)
    return Executed(client.execute(env=environment, cleanup_kc=True), folder / "run")


@pytest.fixture(scope="module")
def executed(glyphs_dir, tmp_path_factory):
    """The notebooks, executed side by side: each is busy with one core."""
    with ThreadPoolExecutor() as pool:

        def start(name, **changes):
            return pool.submit(execute, name, tmp_path_factory.mktemp(name), str(glyphs_dir), **changes)

        dino = {"DATA": "glyphs_lt", "SET": "glyphs:train:test", "EPOCHS": 1, "PROTOTYPES": 64, "SAMPLE": 16}
        captions = tmp_path_factory.mktemp("captions") / "captions.txt"
        captions.write_text("Digit four, drawn\nEighth notes beside a digit four\n")
        model = published_model(tmp_path_factory.mktemp("published"))
        three_steps = ("config.total_epochs = EPOCHS or config.total_epochs", "config.total_steps = 3")
        one_process = ("jobs=None", "jobs=1")
        glyphs = frequent_glyphs(tmp_path_factory.mktemp("tfds"))
        yield {
            "sampled_prototypes": start("sampled_prototypes", **dino),
            "finding": start("finding", shortened=(three_steps, one_process), DATA_DIR=glyphs),
            "concept_frequency": start("concept_frequency", EPOCHS=1),
            "own_captions": start("concept_frequency", CAPTIONS=str(captions), MODEL=str(model)),
        }


def frequent_glyphs(folder):
    """Glyphs of which each class has an image in the tail, too: so few captions teach no tokenizer their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 100, "test": 2})
        datasets.build("glyphs", str(folder))
    return str(folder)


def published_model(folder):
    """The folder of a tiny randomly initialized CLIP, as a published one has it."""
    tokenizer = train_tokenizer(["a photo of a comma", "capital letters, small letters and digits"], 560, 48)
    text = {"context_length": 48, "vocab_size": tokenizer.vocab_size, "width": 16, "heads": 2, "layers": 1}
    text |= {"hf_tokenizer_name": "tokenizer.json", "tokenizer_kwargs": {"clean": "lower"}}
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    model = nnx.jit(lambda: build_model({"model_cfg": config}, rngs=nnx.Rngs(0)))()
    save(model, folder, config, Preprocess(16), tokenizer)
    return folder


def test_the_finding_is_trained_reported_and_drawn(executed):
    notebook, workdir = executed["finding"].result()
    report = json.loads((workdir / "report.json").read_text())
    assert list(report["runs"]) == ["seed_0", "seed_0_mirrored"] and not report["failures"]
    assert list(report["runs"]["seed_0"]) == ["sl", "sl_sampled", "clip"]
    assert len(report["claims"]) == 6
    shown = outputs(notebook, "report")["text/markdown"]
    assert all(f"| {name} | 2,131 |" in shown for name in report["runs"]["seed_0"]) and "![" not in shown
    corr_acc = report["runs"]["seed_0"]["sl"]["corr_acc"]
    assert f"corr_acc {float('nan') if corr_acc is None else corr_acc:.2f}" in outputs(notebook, "files")["stdout"]
    assert outputs(notebook, "rarest")["text/markdown"].count("\n") == 7
    assert all("image/png" in outputs(notebook, cell) for cell in ("data", "figure"))


def test_captions_are_counted_and_a_clip_is_trained_on_them(executed):
    notebook, workdir = executed["concept_frequency"].result()
    truth, by_name, edited = (read_frequency(workdir / f"{table}.tsv")[1] for table in ("truth", "by_name", "edited"))
    assert list(edited) == list(truth) != list(by_name)
    last = runs.last_evaluation(workdir / "clip", "glyphs:test")
    row = next(row for row in outputs(notebook, "accuracy")["text/markdown"].split("\n") if row.startswith("| truth"))
    assert row.startswith(f"| truth | {last['slope_acc']:.1f} [{last['slope_acc_interval'][0]:.1f}, ")
    assert f"| {last['corr_acc']:.2f} [{last['corr_acc_interval'][0]:.2f}, " in row
    assert all("image/png" in outputs(notebook, cell) for cell in ("curves", "scatter"))


def test_captions_of_ones_own_are_compared_with_a_published_clip(executed):
    notebook, workdir = executed["own_captions"].result()
    counts = dict(zip(*read_frequency(workdir / "by_name.tsv")))
    assert {name: count for name, count in counts.items() if count} == {"digit four": 2, "eighth note": 1}
    summary = runs.last_evaluation(workdir / "published", "glyphs:test")
    row = outputs(notebook, "accuracy")["text/markdown"].split("\n")[-1]
    assert row.startswith("| by_name | ") and f"| {summary['corr_acc']:.2f} " in row
    assert outputs(notebook, "wrong") == outputs(notebook, "exclude") == {}  # nobody knows the truth


def test_captions_of_ones_own_need_a_model():
    with pytest.raises(ValueError, match="set MODEL and SETS"):
        exec(cell_of(read("concept_frequency"), "clip").source, {"CAPTIONS": "captions.txt", "MODEL": ""})
    with pytest.raises(ValueError, match="a published MODEL goes with CAPTIONS"):
        exec(cell_of(read("concept_frequency"), "captions").source, {"CAPTIONS": "", "MODEL": "ViT-B-32"})


def test_dino_is_trained_probed_and_drawn(executed):
    notebook, _ = executed["sampled_prototypes"].result()
    table = outputs(notebook, "table")["text/markdown"]
    assert all(f"/{name} " in table for name in ("drawn", "all", "sampled"))
    assert all("image/png" in outputs(notebook, cell) for cell in ("loss", "figure"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_saved_as_they_came_out(name):
    notebook = read(name)
    nbformat.validate(notebook)
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [output for cell in cells for output in cell.outputs]
    data = [output["data"] for output in shown if "data" in output]
    pictures = [kinds.pop(kind) for kinds in data for kind in ("image/png", "image/jpeg") if kind in kinds]
    assert pictures and max(map(len, pictures)) < LARGEST_PICTURE
    assert all(output.output_type != "error" for output in shown)
    assert not OF_A_MACHINE.search(json.dumps(shown))
    assert (COLAB / f"{name}.ipynb").stat().st_size < LARGEST


def test_all_notebooks_are_set_up_alike():
    assert len({cell_of(read(name), "setup").source for name in NOTEBOOKS}) == 1


@pytest.fixture
def set_up(tmp_path, monkeypatch):
    """Runs the first cell as on a machine without the package, in an empty folder; gives the commands it has run."""

    def run(repository):
        commands = []

        def note(command, check):
            commands.append([str(part) for part in command])
            if command[0] == "git":
                (tmp_path / "cliptail_jax/configs/study").mkdir(parents=True)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.path", [*sys.path])
        monkeypatch.setattr("subprocess.run", note)
        monkeypatch.setattr("importlib.metadata.distributions", lambda: ())
        source = cell_of(read("finding"), "setup").source
        exec(source.replace('REPOSITORY = ""', f"REPOSITORY = {repository!r}"), {})
        assert sys.path[0] == str(Path.cwd())
        return commands

    return run


def test_setting_up_clones_an_address_and_installs_the_package(set_up, tmp_path):
    address, clone = "https://example.org/project", tmp_path / "cliptail_jax"
    cloned, installed = set_up(address)
    assert Path.cwd() == clone
    assert cloned[:2] == ["git", "clone"] and cloned[-2:] == [address, str(clone)]
    assert installed[:4] == [sys.executable, "-m", "pip", "install"] and installed[-1].startswith(".[pretrained")


def test_setting_up_takes_a_copy_as_it_is(set_up, tmp_path):
    (tmp_path / "drive/copy/configs/study").mkdir(parents=True)
    (install,) = set_up("drive/copy")
    assert Path.cwd() == tmp_path / "drive/copy" and "pip" in install


def test_setting_up_without_a_repository_says_what_to_set(set_up):
    with pytest.raises(ValueError, match="set REPOSITORY"):
        set_up("")
