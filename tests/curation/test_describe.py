"""What `describe` says and writes."""

import json

import matplotlib.image
import numpy as np
from absl import flags
from etils import epath

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.curation.describe import comparison, main, table_of
from cliptail_jax.curation.variant import open_variant
from configs import clip
from tests.curation.zoo import LABELS, NAMES, variant_of


def value_of(key, printed):
    (line,) = (line for line in printed.splitlines() if line.startswith(key))
    return line.removeprefix(key).strip()


def test_a_variant_is_described_written_and_read_back_from_its_export(glyphs_dir, tmp_path, monkeypatch, capsys):
    """Its captions are complete: options of captions do not change those that are imported."""
    data = clip.get_config("data=glyphs_lt").data
    captions = {"words": ("tags",), "max_words": 1, "distractors": 0.5}
    data.update({"data_dir": str(glyphs_dir), "tail": {"classes": 3, "shots": 1}, "captions": captions})
    variant, table, theirs = open_variant(data), tmp_path / "export.tsv", tmp_path / "theirs.tsv"
    table.write_text(table_of(variant, table), encoding="utf-8")
    write_frequency(theirs, variant.class_names, variant.class_frequency)

    given = flags.FlagValues()
    paths = {"import": table, "compare": theirs, "export": "again.tsv", "croissant": "new/variant.json"}
    for name, path in paths.items():
        flags.DEFINE_string(name, str(tmp_path / path), "", given)
    flags.DEFINE_bool("overwrite", False, "", given)
    given.mark_as_parsed()
    monkeypatch.setattr(flags, "FLAGS", given)
    config = clip.get_config("data=glyphs")
    config.data.data_dir = str(glyphs_dir)
    config.data.captions.max_words, config.data.captions.distractors = 1, 0.5
    main(config, epath.Path(tmp_path / "out"))
    printed = capsys.readouterr().out
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
