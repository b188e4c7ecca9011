"""What `describe` says and writes, from the command line."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np

from cliptail_jax.concepts.frequency_tables import read_frequency, write_frequency
from cliptail_jax.curation.describe import comparison
from tests.curation.zoo import LABELS, NAMES, variant_of

ROOT = Path(__file__).parents[2]


def described(glyphs_dir, *arguments):
    command = [
        sys.executable,
        "-m",
        "cliptail_jax.curation.describe",
        *arguments,
        f"--config.data.data_dir={glyphs_dir}",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def value_of(key, printed):
    (line,) = (line for line in printed.splitlines() if line.startswith(key))
    return line.removeprefix(key).strip()


def test_a_variant_is_described_written_and_read_back_from_its_export(glyphs_dir, tmp_path):
    table = tmp_path / "export.tsv"
    code, printed, _ = described(
        glyphs_dir, "--config=configs/clip.py:data=glyphs_lt", f"--workdir={tmp_path}/out", f"--export={table}",
        "--config.data.captions.words=('tags',)", "--config.data.tail.classes=3", "--config.data.tail.shots=1",
        "--config.data.captions.max_words=1", "--config.data.captions.distractors=0.5",
        f"--croissant={tmp_path}/new/variant.json",
    )  # fmt: skip
    assert code == 0
    metadata = json.loads((tmp_path / "new" / "variant.json").read_text())
    assert metadata["identifier"]["value"] == value_of("fingerprint", printed)
    names, frequency = read_frequency(tmp_path / "out" / "class_frequency.tsv")
    assert len(names) == 100 and value_of("records", printed) == f"{frequency.sum():,}"
    assert "imbalance" in printed and len(printed.partition("captions\n")[2].splitlines()) >= 10
    assert matplotlib.image.imread(tmp_path / "out" / "class_frequency.png").shape[1] > 500

    code, again, _ = described(
        glyphs_dir, "--config=configs/clip.py:data=glyphs", f"--workdir={tmp_path}/again", f"--import={table}",
        "--config.data.captions.max_words=1", "--config.data.captions.distractors=0.5",
        f"--compare={tmp_path}/out/class_frequency.tsv",
    )  # fmt: skip
    assert code == 0
    assert value_of("fingerprint", again) == value_of("fingerprint", printed)
    assert "Spearman 1.0000, 100 of 100 classes equal" in again


def test_comparison_lists_the_largest_differences(tmp_path):
    theirs = np.bincount(LABELS, minlength=6) + [0, 30, 0, -20, 5, 0]
    write_frequency(tmp_path / "theirs.tsv", NAMES, theirs)
    first, bee, dog, eel = comparison(variant_of(), tmp_path / "theirs.tsv").splitlines()
    assert "200 against 215 in all" in first and "3 of 6 classes equal" in first
    assert [line.split() for line in (bee, dog, eel)] == [["40", "70", "bee"], ["20", "0", "dog"], ["0", "5", "eel"]]
