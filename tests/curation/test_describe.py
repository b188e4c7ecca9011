"""What `describe` prints and writes; its Croissant metadata are valid for MLCommons' validator, and its reader reads them."""

import argparse
import dataclasses
import json
import logging
import re
import shutil

import matplotlib.image
import numpy as np
import pytest

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data, Selecting
from cliptail_jax.curation.croissant import croissant, settings
from cliptail_jax.curation.export import FREQUENCY, PICTURE, check_outputs, table_of, write_croissant
from cliptail_jax.curation.joined import open_splits
from cliptail_jax.curation.variant import caption_tokenizer, make_variant, open_variant
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.tokenizer import SMALLEST_VOCABULARY
from cliptail_jax.programs import describe as program
from cliptail_jax.report.data import comparison, token_rows
from configs import clip, sup
from tests.curation.zoo import LABELS, NAMES, variant_of

ODD = ["a\tb", "a\nb\r\nc", '"quoted" he said', "back\\slash", "NA", "null", "007", "Größe 漢字 \u2028"]
COMPLETION = {
    "creator": {"@type": "sc:Person", "name": "Ada Lovelace"},
    "datePublished": "2026-11-27",
    "url": "https://example.org/variant",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "citeAs": "@misc{variant}",
}


def odd_table(folder):
    """A table with a caption of each odd kind."""
    path = folder / "odd.jsonl"
    rows = [{"filepath": f"glyphs/train/{i}", "label": i, "caption": caption} for i, caption in enumerate(ODD)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"data.table": str(path), "data.captions.template": ""}


def odd_names(folder):
    """Names of the 100 classes in other scripts and with quotes, in captions of text fields, too."""
    names = ['"quoted"', "a 'b' & <c>", "漢字", "ελληνικά", "back\\slash", *(f"class {i}" for i in range(95))]
    path = folder / "names.json"
    path.write_text(json.dumps([{"name": name} for name in names]))
    return {"data.class_names": str(path), "data.captions.words": ("tags",), "data.classes.random": 90}


def two_splits(folder):
    return {"data.split": "train+test", "data.classes.names": (7, 3, "digit five")}


CASES = [(clip, odd_table), (clip, odd_names), (sup, two_splits)]


@pytest.fixture(scope="module")
def mlcroissant():
    return pytest.importorskip("mlcroissant", reason="mlcroissant, of the extra dev, is not installed")


@pytest.fixture
def write_variant(glyphs_dir):
    """Makes a variant of the glyphs and writes its metadata to `path`: gives the variant and its section of a config."""

    def write(family, overrides, path):
        config = family.get_config("data=glyphs")
        config.update_from_flattened_dict(overrides | {"data.data_dir": str(glyphs_dir)})
        data = fields.typed(Data(), config.data)
        variant = open_variant(data)
        write_croissant(variant, data, path)
        return variant, data

    return write


def read(dataset, record_set):
    """The rows that mlcroissant yields, with the names of columns for keys, and texts, which it yields as bytes."""
    for row in dataset.records(record_set):
        texts = {key: value.decode() for key, value in row.items() if isinstance(value, bytes)}
        yield {key.removeprefix(f"{record_set}/"): value for key, value in (row | texts).items()}


@pytest.mark.parametrize(("family", "overrides"), CASES, ids=[case.__name__ for _, case in CASES])
def test_the_validator_misses_only_what_the_program_asks_for_and_the_reader_yields_the_variant(
    family, overrides, write_variant, mlcroissant, tmp_path, caplog, capsys
):
    path = tmp_path / "my variant.json"
    variant, _ = write_variant(family, overrides(tmp_path), path)
    asked_for = value_of("note", capsys.readouterr().out).partition(": ")[2].split(", ")
    dataset = mlcroissant.Dataset(path)
    issues = dataset.metadata.ctx.issues
    recommended = {re.search(r'/(\w+)" is recommended', warning)[1] for warning in issues.warnings}
    assert not issues.errors and recommended == {"datePublished", "license", "citeAs"} <= set(asked_for)

    columns = {
        "filepath": [f"glyphs/{variant.source.split}/{record}" for record in variant.records],
        "label": variant.original_labels.tolist(),
    }
    if variant.captions:
        columns["caption"] = variant.captions(range(len(variant)), epoch=0)
    assert list(read(dataset, "records")) == [dict(zip(columns, row)) for row in zip(*columns.values())]
    classes = {row["label"]: (row["name"], row["frequency"]) for row in read(dataset, "classes")}
    names = [variant.class_names[label] for label in variant.labels]
    assert [classes[label][0] for label in columns["label"]] == names
    assert sorted(classes.values()) == sorted((name, names.count(name)) for name in variant.class_names)

    document = json.loads(path.read_text()) | {name: COMPLETION[name] for name in asked_for}
    path.write_text(json.dumps(document))
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        issues = mlcroissant.Dataset(path).metadata.ctx.issues
    assert not issues.errors and not issues.warnings and not caplog.records


def test_citation_license_and_home_page_are_the_sources(glyphs_dir, tmp_path, mlcroissant):
    info_file = shutil.copytree(glyphs_dir / "glyphs", tmp_path / "glyphs") / "1.2.0" / "dataset_info.json"
    facts = {"citation": "@misc{glyphs}", "redistributionInfo": {"license": "CC0-1.0"}}
    info_file.write_text(json.dumps(json.loads(info_file.read_text()) | facts))
    data = fields.typed(Data(), clip.get_config("data=glyphs").data)
    variant = make_variant(open_splits("glyphs", str(tmp_path), "train+test"), data)
    document = croissant(variant, data, "table.jsonl", b"")
    assert (document["citeAs"], document["license"]) == ("@misc{glyphs}", ["CC0-1.0"])
    (derived_from,) = document["prov:wasDerivedFrom"]
    assert derived_from["name"] == "glyphs/1.2.0" and "url" not in derived_from  # TFDS's catalogue lacks the glyphs
    assert [part.get("includes") for part in document["distribution"]] == [
        None, "glyphs/1.2.0/glyphs-train.array_record-*", "glyphs/1.2.0/glyphs-test.array_record-*"
    ]  # fmt: skip
    metadata = mlcroissant.Dataset(document).metadata
    assert (metadata.cite_as, metadata.license) == ("@misc{glyphs}", ["CC0-1.0"])


def test_the_same_variant_gives_the_same_files_and_a_reader_of_the_table_its_fingerprint(write_variant, tmp_path):
    first_path, second_path = (tmp_path / place / "variant.json" for place in ("here", "there"))
    (variant, data), _ = (write_variant(clip, odd_names(tmp_path), path) for path in (first_path, second_path))
    tables = [path.with_suffix(".jsonl") for path in (first_path, second_path)]
    assert first_path.read_bytes() == second_path.read_bytes() and tables[0].read_bytes() == tables[1].read_bytes()
    captions = dataclasses.replace(data.captions, template="", words=())
    read_back = dataclasses.replace(data, table=str(tables[0]), captions=captions)
    assert make_variant(variant.source, read_back).fingerprint() == variant.fingerprint()


def test_settings_are_the_fields_that_select_with_their_whole_sections_and_no_folders():
    data = sup.get_config("data=cifar100_lt").data
    data.update({"data_dir": "/home/me/tfds", "table": "/home/me/table.tsv", "fraction": 0.5})
    assert list(settings(fields.typed(Data(), data))) == [
        "data.name=cifar100", "data.split=train", "data.seed=0", "data.table=table.tsv", "data.profile.name=exponential",
        "data.profile.ratio=100.0", "data.profile.exponent=1.0", "data.profile.largest=0", "data.profile.order=random",
        "data.profile.mirrored=False", "data.profile.redrawn=False", "data.fraction=0.5",
    ]  # fmt: skip


def test_a_variant_depends_on_no_field_that_is_not_among_the_settings():
    selection = {"captions": {"template": "photo", "words": ("tags",), "resample": True}, "fraction": 0.5}
    expected = variant_of(**selection).fingerprint()
    selecting_keys = [field.key for field in fields.fields_of(Selecting())]
    other_fields = [field for field in fields.fields_of(Data()) if field.key not in selecting_keys]
    assert len(other_fields) > 10
    for field in other_fields:
        if isinstance(field.default, bool):
            other = not field.default
        else:
            other = field.default * 2 or ((0.5, 0.5, 0.5) if isinstance(field.default, tuple) else field.type(1))
        section, _, name = field.key.rpartition(".")
        overrides = {section: {name: other}} if section else {name: other}
        assert variant_of(**selection, **overrides).fingerprint() == expected, field.key


def test_a_tab_separated_table_holds_no_tab_or_line_break(tmp_path, write_variant):
    variant, _ = write_variant(clip, odd_table(tmp_path), tmp_path / "variant.json")
    with pytest.raises(
        UserError, match=r"^--export: the caption 'a\\tb' has a tab or a line break: export to a .*jsonl"
    ):
        table_of(variant, tmp_path / "table.tsv")


def value_of(key, output):
    (line,) = (line for line in output.splitlines() if line.startswith(key))
    return line.removeprefix(key).strip()


def test_a_variant_is_described_written_and_read_back_from_its_export(glyphs_dir, tmp_path, monkeypatch, capsys):
    """Its captions are complete: options of captions do not change those that are imported."""
    data = clip.get_config("data=glyphs_lt").data
    captions = {"words": ("tags",), "max_words": 1, "distractors": 0.5}
    data.update({"data_dir": str(glyphs_dir), "tail": {"classes": 3, "shots": 1}, "captions": captions})
    variant, table, frequency_table = (
        open_variant(fields.typed(Data(), data)),
        tmp_path / "export.tsv",
        tmp_path / "theirs.tsv",
    )
    table.write_text(table_of(variant, table), encoding="utf-8")
    write_frequency(frequency_table, variant.class_names, variant.class_frequency)

    paths = {"import": table, "compare": frequency_table, "export": "again.tsv", "croissant": "new/variant.json"}
    options = {name: str(tmp_path / path) for name, path in paths.items()}
    config = clip.get_config("data=glyphs")
    config.data.data_dir = str(glyphs_dir)
    config.data.captions.max_words, config.data.captions.distractors = 1, 0.5
    program.main(argparse.Namespace(config=config, workdir=str(tmp_path / "out"), overwrite=False, **options))
    output = capsys.readouterr().out
    assert value_of("fingerprint", output) == variant.fingerprint()
    assert value_of("records", output) == f"{len(variant):,}" and "imbalance" in output
    assert len(output.partition("captions\n")[2].splitlines()) >= 10
    assert "Spearman 1.0000, 100 of 100 classes equal" in output
    assert "per word of the class names" in value_of("tokens", output)
    assert (tmp_path / "again.tsv").read_text() == table.read_text()
    assert (tmp_path / "out" / "class_frequency.tsv").read_text() == frequency_table.read_text()
    metadata = json.loads((tmp_path / "new" / "variant.json").read_text())
    assert metadata["identifier"]["value"] == variant.fingerprint()
    assert matplotlib.image.imread(tmp_path / "out" / "class_frequency.png").shape[1] > 500


@pytest.mark.parametrize("role", ["input", "table"])
def test_a_table_of_frequencies_is_never_an_input_or_another_output(role, tmp_path):
    (path := tmp_path / FREQUENCY).write_text("name\tcount\n")
    (tmp_path / PICTURE).touch()
    table, inputs = (path, []) if role == "table" else (None, [str(path)])
    with pytest.raises(UserError, match="is an output, and an input or another output: choose another --workdir"):
        check_outputs(tmp_path, table, None, inputs, overwrite=False)


def test_tokens_of_class_names_are_described_with_a_note_if_they_go_with_class_frequency():
    variant = variant_of(captions={"template": "photo"})  # none names the eel
    row, note = token_rows(caption_tokenizer(variant, 2 * SMALLEST_VOCABULARY, context_length=16), variant)
    assert row == ("tokens", "1.00, 1.00, 2.00 per word of the class names, in head, mid and tail")
    assert note[0] == "note" and "goes with class frequency" in note[1]
    (row,) = token_rows(caption_tokenizer(variant, SMALLEST_VOCABULARY, context_length=16), variant)
    assert row[1].startswith("3.00, 3.00, 3.00 per word")


def test_comparison_lists_the_largest_differences(tmp_path):
    frequency = np.bincount(LABELS, minlength=6) + [0, 30, 0, -20, 5, 0]
    write_frequency(tmp_path / "theirs.tsv", NAMES, frequency)
    first, header, bee, dog, eel = comparison(variant_of(), tmp_path / "theirs.tsv").splitlines()
    assert "200 against 215 in all" in first and "3 of 6 classes equal" in first
    assert [line.split() for line in (bee, dog, eel)] == [["bee", "40", "70"], ["dog", "20", "0"], ["eel", "0", "5"]]
    assert header.split() == ["class", "records", "theirs.tsv"]
