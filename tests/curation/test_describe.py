"""What `describe` says and writes, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.curation.describe import comparison, export
from cliptail_jax.curation.variant import open_variant
from configs import clip
from tests.curation.zoo import LABELS, NAMES, variant_of

ROOT = Path(__file__).parents[2]


def value_of(key, printed):
    (line,) = (line for line in printed.splitlines() if line.startswith(key))
    return line.removeprefix(key).strip()


def test_a_variant_is_described_written_and_read_back_from_its_export(glyphs_dir, tmp_path):
    """Its captions are complete: options of captions do not change those that are imported."""
    data = clip.get_config("data=glyphs_lt").data
    captions = {"words": ("tags",), "max_words": 1, "distractors": 0.5}
    data.update({"data_dir": str(glyphs_dir), "tail": {"classes": 3, "shots": 1}, "captions": captions})
    variant, table, theirs = open_variant(data), tmp_path / "export.tsv", tmp_path / "theirs.tsv"
    export(variant, table)
    write_frequency(theirs, variant.class_names, variant.class_frequency)

    command = [
        *(sys.executable, "-m", "cliptail_jax.curation.describe", "--config=configs/clip.py:data=glyphs"),
        *(f"--config.data.data_dir={glyphs_dir}", f"--workdir={tmp_path}/out", f"--compare={theirs}"),
        *(f"--import={table}", "--config.data.captions.max_words=1", "--config.data.captions.distractors=0.5"),
        *(f"--export={tmp_path}/again.tsv", f"--croissant={tmp_path}/new/variant.json"),
    ]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert value_of("fingerprint", printed) == variant.fingerprint()
    assert value_of("records", printed) == f"{len(variant):,}" and "imbalance" in printed
    assert len(printed.partition("captions\n")[2].splitlines()) >= 10
    assert "Spearman 1.0000, 100 of 100 classes equal" in printed
    assert (tmp_path / "again.tsv").read_text() == table.read_text()
    assert (tmp_path / "out" / "class_frequency.tsv").read_text() == theirs.read_text()
    metadata = json.loads((tmp_path / "new" / "variant.json").read_text())
    assert metadata["identifier"]["value"] == variant.fingerprint()
    assert matplotlib.image.imread(tmp_path / "out" / "class_frequency.png").shape[1] > 500


def test_comparison_lists_the_largest_differences(tmp_path):
    theirs = np.bincount(LABELS, minlength=6) + [0, 30, 0, -20, 5, 0]
    write_frequency(tmp_path / "theirs.tsv", NAMES, theirs)
    first, bee, dog, eel = comparison(variant_of(), tmp_path / "theirs.tsv").splitlines()
    assert "200 against 215 in all" in first and "3 of 6 classes equal" in first
    assert [line.split() for line in (bee, dog, eel)] == [["40", "70", "bee"], ["20", "0", "dog"], ["0", "5", "eel"]]
