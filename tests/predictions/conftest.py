"""A folder with files of predictions."""

from pathlib import Path

import numpy as np
import pytest

from tests.predictions.examples import FREQUENCY, LABELS, LOGITS, NAMES, PREDICTIONS, names_of, rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with predictions by name, with logits, and with the class frequency."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("a.csv").write_text(rows(names_of(LABELS), names_of(PREDICTIONS)), encoding="utf-8")
    np.savez("logits.npz", labels=LABELS, logits=LOGITS.astype(np.float32), classes=np.array(NAMES))
    table = "name\tcount\n" + "".join(f"{name}\t{count}\n" for name, count in zip(NAMES, FREQUENCY))
    Path("counts.tsv").write_text(table, encoding="utf-8")
    return tmp_path
