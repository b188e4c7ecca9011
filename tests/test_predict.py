"""`predict`: from images of any kind to a table, which an interruption does not change."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.concepts.captions import read_rows
from cliptail_jax.datasets.build import build
from cliptail_jax.evaluation.predictions import Parts, Predicted, rows_of_batch, table_text
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.input.pipeline import spread
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.pretrained import open_model
from tests.commands import predict
from tests.tiny_clip import save_tiny_clip

BATCH = 4
DAMAGED = "10\n\x1b[31m.png"


@pytest.fixture(scope="module")
def run(trained_run):
    """The directory of a supervised run of two steps, and its classes."""
    _, workdir = trained_run("sup")
    return workdir, open_model(str(workdir)).class_names


@pytest.fixture
def photos(tmp_path, run, monkeypatch):
    """A folder of eleven images, of which one is damaged: in folders of two classes and of none, and beside them."""
    monkeypatch.chdir(tmp_path)
    random, names = np.random.default_rng(0), run[1]
    folders = [names[3].replace(" ", "_"), names[0], "no class", "."]
    for number in range(11):
        path = Path("photos", folders[number % 4], f"{number}.png" if number < 10 else DAMAGED)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (20, 24, 3), np.uint8)).save(path)
    path.write_bytes(b"no image")
    return Path("photos")


def predicted(*arguments):
    assert predict([*map(str, arguments), f"--batch_size={BATCH}"]) == 0
    with open("p.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_agrees_with_the_model_on_each_image_and_damaged_ones_are_left_out(run, photos, capsys):
    workdir, names = run
    os.mkfifo(photos / "pipe.PNG")  # whose reading would wait for ever
    rows = predicted(f"--workdir={workdir}", "--images=photos", "--output=p.csv", "--top=3", "--logits=p.npz")
    said = capsys.readouterr()
    assert f"its bias:  cliptail measure p.npz --frequency={workdir}/class_frequency.tsv" in said.out
    assert "note: 1 pipes and devices are skipped" in said.err
    assert "10 images, 1 left out, top-1 " in said.out and "photos/no class/10\\n\\x1b[31m.png" in said.err
    assert "1 of 3 folders or labels, such as 'no class', are none of the 12 classes" in said.err
    assert sorted(row["filename"] for row in rows) == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob("*.png") if path.name != DAMAGED
    )
    opened, arrays = open_model(str(workdir)), np.load("p.npz")
    for row, logits, label in zip(rows, arrays["logits"], arrays["labels"], strict=True):
        features = np.asarray(opened.model.encode_image(opened.preprocess(photos / row["filename"])[None]))[0]
        unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (features, np.asarray(opened.model.head[...]))]
        expected = np.exp(np.asarray(opened.model.logit_scale[...])) * unit[1] @ unit[0]
        np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)
        share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        best = np.argsort(-logits)[:3]
        assert [row["prediction"], row["prediction_2"], row["prediction_3"]] == [names[c] for c in best]
        of_best = [float(row[key]) for key in ("confidence", "confidence_2", "confidence_3")]
        np.testing.assert_allclose(of_best, share[best], rtol=1e-4)
        folder = Path(row["filename"]).parent.name.replace("_", " ")
        assert row["label"] == label == (folder if folder in names else "")
    assert arrays["classes"].tolist() == list(names)
    assert arrays["filenames"].tolist() == [row["filename"] for row in rows]


def test_the_prior_of_the_runs_loss_is_subtracted_from_its_logits(run, photos):
    workdir, names = run
    logits = []
    for flags in ([], ["--without_prior"]):
        rows = predicted(
            f"--workdir={workdir}", "--images=photos", "--output=p.csv", "--logits=p.npz", *flags, "--overwrite"
        )
        logits.append(np.load("p.npz")["logits"])
        assert [row["prediction"] for row in rows] == [names[c] for c in logits[-1].argmax(1)]
    counts = np.maximum(open_model(str(workdir)).class_frequency, 1)
    np.testing.assert_allclose(logits[0] - logits[1], np.log(counts / counts.sum())[None].repeat(10, 0), atol=1e-5)


@pytest.mark.parametrize("saved", [0, 1, 2])
def test_an_interrupted_command_continues_and_writes_the_same_files(run, photos, saved, monkeypatch, capsys):
    arguments = [f"--workdir={run[0]}", "--images=photos", f"--batch_size={BATCH}", "--output=p.csv", "--logits=p.npz"]
    assert predict(arguments) == 0
    whole = [Path(name).read_bytes() for name in ("p.csv", "p.npz")]
    add = Parts.add

    def add_or_stop(parts, *arrays):
        if parts.number == saved:
            raise KeyboardInterrupt
        add(parts, *arrays)

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "add", add_or_stop)
        assert predict([*arguments[:3], "--output=q.csv", "--logits=q.npz"]) == 130
    assert not Path("q.csv").exists() and not Path("q.npz").exists()
    added = []
    monkeypatch.setattr(Parts, "add", lambda parts, *arrays: added.append(parts.number) or add(parts, *arrays))
    assert predict([*arguments[:3], "--output=q.csv", "--logits=q.npz"]) == 0
    assert added == list(range(saved, 3)) and [Path(name).read_bytes() for name in ("q.csv", "q.npz")] == whole
    assert not Path("q.csv.unfinished").exists()


def test_parts_of_another_command_are_computed_again_and_those_of_another_program_left(tmp_path, capsys):
    part = Predicted(np.zeros((1, 1), int), np.ones((1, 1)), None)
    folder = tmp_path / "p.csv.unfinished"
    folder.mkdir()
    Parts(folder, {"top": 1}).add(np.array([0]), part)
    assert Parts(folder, {"top": 1}).number == 1
    assert Parts(folder, {"top": 2}).number == 0 and "have other top: they are" in capsys.readouterr().err
    (folder / "settings.json").unlink()
    (folder / "thesis.tex").write_text("")
    with pytest.raises(UserError, match="thesis.tex, which this program did not write"):
        Parts(folder, {"top": 1})


def test_files_of_others_in_the_folder_of_parts_are_left(run, photos, capsys):
    Path("p.csv.unfinished").mkdir()
    Path("p.csv.unfinished/thesis.tex").write_text("mine", encoding="utf-8")
    assert predict([f"--workdir={run[0]}", "--images=photos", "--output=p.csv"]) == 2
    assert "thesis.tex, which this program did not write" in capsys.readouterr().err
    assert Path("p.csv.unfinished/thesis.tex").read_text(encoding="utf-8") == "mine"


def test_names_in_the_table_are_read_as_they_are(tmp_path):
    names = ["a,b", 'a"b', "a\nb", "a\rb", "a\r\nb", "\x1b[31ma", " a"]
    ranks, shares = np.zeros((len(names), 1), int), np.ones((len(names), 1), np.float32)
    path = tmp_path / "p.csv"
    write_text(path, table_text(names, names, Predicted(ranks, shares, None), ["\rclass"]))
    rows = list(read_rows(str(path), ["filename", "label", "prediction"]))
    assert rows == [{"filename": name, "label": name, "prediction": "\rclass"} for name in names]


@pytest.mark.parametrize("images", [1, 7, 8, 9])
def test_rows_of_a_batch_are_those_of_its_filled_and_readable_slots(images):
    found = []
    for start in range(0, images, 4):
        slots = spread(np.arange(start, min(start + 4, images)), 4)
        mask = (slots >= 0) & (slots != 2)
        found += rows_of_batch(start, images, mask).tolist()
    assert found == [row for row in range(images) if row != 2]


def test_a_prepared_set_has_the_predictions_of_its_evaluation(trained_run, tmp_path, monkeypatch, glyphs_dir):
    monkeypatch.chdir(tmp_path)
    _, workdir = trained_run("sup")
    rows = predicted(f"--workdir={workdir}", "--images=glyphs:test", "--output=p.csv")
    assert len(rows) == 24 and {row["label"] for row in rows} == set(open_model(str(workdir)).class_names)
    assert all(row["filename"].startswith("glyphs:test/") for row in rows)


def test_a_set_of_other_classes_is_classified_as_a_folder_is(run, photos, tmp_path):
    (Path("photos") / "3.png").rename("photos/no class/3.png")
    Path("photos/7.png").unlink()
    build("image_folder/mine", str(tmp_path), train="photos")
    arguments = [f"--workdir={run[0]}", f"--data_dir={tmp_path}", "--output=p.csv"]
    of_folder = predicted(*arguments, "--images=photos")
    of_set = predicted(*arguments, "--images=image_folder/mine:train")
    assert sorted(map(str, of_set)) == sorted(map(str, of_folder))


def test_other_images_of_the_same_names_and_sizes_are_predicted_anew(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for day, value in (("monday", 0), ("tuesday", 255)):
        Path(day, "val").mkdir(parents=True)
        for number in range(5):
            Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(f"{day}/val/{number}.bmp")
    command = [f"--workdir={run[0]}", "--output=p.csv", f"--batch_size={BATCH}"]
    with monkeypatch.context() as patch:
        patch.setattr(Parts, "read", lambda parts: (_ for _ in ()).throw(KeyboardInterrupt))
        assert predict([*command, "--images=monday/val"]) == 130
    tuesday = predicted(*command[:2], "--images=tuesday/val")
    assert "have other images: they are computed again" in capsys.readouterr().err
    assert tuesday == predicted(*command[:2], "--images=tuesday/val")


def test_a_set_has_the_prompts_of_the_runs_evaluation(trained_run, tmp_path, monkeypatch, glyphs_dir):
    monkeypatch.chdir(tmp_path)
    config, trained = trained_run("clip")
    shutil.copytree(trained, "run")
    names = open_model("run").class_names
    Path("names.txt").write_text("".join(f"{number}\n" for number in range(100)), encoding="utf-8")  # of all glyphs
    document = json.loads(Path("run/config.json").read_text(encoding="utf-8"))
    document["config"]["eval.class_names"] = "names.txt"
    Path("run/config.json").write_text(json.dumps(document), encoding="utf-8")
    Path("run/sha256.json").unlink()
    config = config.copy_and_resolve_references()
    config.eval.update({"class_names": "names.txt", "sets": ("glyphs:test",)})
    evaluate(config, Path("run").resolve())
    expected = np.load("run/eval/glyphs_test/latest.npz")["predicted"]
    rows = predicted("--workdir=run", "--images=glyphs:test", "--output=p.csv")
    assert [row["prediction"] for row in rows] == [names[label] for label in expected]


def test_an_image_is_predicted_once_and_has_the_label_of_the_folder_that_is_given(run, photos, capsys):
    workdir, names = run
    folder = f"photos/{names[3].replace(' ', '_')}"
    rows = predicted(f"--workdir={workdir}", f"--images={folder}", "--output=p.csv", "--logits=new/p.npz")
    assert {row["label"] for row in rows} == {names[3]} and Path("new/p.npz").exists()
    again = predicted(f"--workdir={workdir}", f"--images={folder}/**/**/*.png", "--output=p.csv")
    assert [row["prediction"] for row in again] == [row["prediction"] for row in rows]


def test_images_of_a_set_that_are_of_further_classes_are_counted(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    workdir, names = run
    for name in [*names, "zebra"]:
        Path("more", name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(f"more/{name}/1.png")
    build("image_folder/more", "tfds", train="more")
    rows = predicted(f"--workdir={workdir}", "--data_dir=tfds", "--output=p.csv", "--images=image_folder/more:train")
    assert [row["label"] for row in rows] == sorted(names)
    assert "note: 1 of 13 images of image_folder/more:train are of none of the model's" in capsys.readouterr().err


def test_models_with_prompts_choose_from_any_classes(trained_run, photos, tmp_path):
    Path("names.txt").write_text("no class\ncat\n", encoding="utf-8")
    for model in (f"--workdir={trained_run('clip')[1]}", f"--model={save_tiny_clip(tmp_path / 'clip')}"):
        rows = predicted(model, "--images=photos/*/*.png", "--classes=names.txt", "--output=p.csv", "--top=2")
        assert len(rows) == 8 and {row["label"] for row in rows} == {"no class", ""}
        assert all({row["prediction"], row["prediction_2"]} == {"no class", "cat"} for row in rows)
        assert all(row["filename"].startswith("photos/") for row in rows)


WRONG = {
    "no run": ("--workdir=photos --images=photos", "there is no run in photos: give the --workdir of one"),
    "no images": ("--workdir={run} --images=empty", "--images=empty has no image; the names of images end in .jpg"),
    "nothing of that name": ("--workdir={run} --images=*.gif", "is neither a folder, nor a prepared set as NAME:SPLIT"),
    "an unknown set": ("--workdir={run} --images=cifar:test", "data set 'cifar' is not prepared"),
    "only damaged images": ("--workdir={run} --images=damaged.png", "no image of damaged.png could be read"),
    "classes of no training": ("--workdir={run} --images=photos --classes=names.txt", "'unicorn' is none of the classes"),
    "a pipe as class list": ("--workdir={run} --images=photos --classes=pipe", "pipe is a folder or a pipe: give a file"),
    "more classes than there are": ("--workdir={run} --images=photos --top=13", "--top=13, but there are 12 classes"),
    "no number": ("--workdir={run} --images=photos --top=0", "--top=0 is not a positive number"),
    "another kind of array": ("--workdir={run} --images=photos --logits=p.npy", "give one that ends in .npz"),
    "a model without classes": ("--model={clip} --images=photos", "has none of its own: give --classes=names.txt"),
    "a model without a loss": ("--model={clip} --images=photos --without_prior", "--without_prior is for a run"),
    "a run as a model": ("--model={run} --images=photos", "is a run: give it as --workdir="),
    "an input as output": ("--workdir={run} --images=photos --classes=names.txt --output=names.txt", "an output and an input"),
    "a foreign table": ("--workdir={run} --images=photos --output=other.csv", "this program did not write it"),
    "prompts of a model that has none": ("--workdir={run} --images=photos --templates=t.txt", "no prompts: leave out --tem"),
    "a damaged array": ("--workdir={run} --images=photos --logits=damaged.npz", "this program did not write it"),
    "an empty array": ("--workdir={run} --images=photos --logits=empty.npz", "this program did not write it"),
    "a foreign array": ("--workdir={run} --images=photos --logits=other.npz", "this program did not write it"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(run, photos, tmp_path, case, capsys):
    arguments, complaint = WRONG[case]
    clip = save_tiny_clip(tmp_path / "clip") if "{clip}" in arguments else ""
    Path("empty").mkdir()
    Path("damaged.png").write_bytes(b"no image")
    Path("names.txt").write_text("unicorn\n", encoding="utf-8")
    os.mkfifo("pipe")
    Path("other.csv").write_text("filename,label\n", encoding="utf-8")
    np.savez("other.npz", logits=np.zeros(3))
    Path("damaged.npz").write_bytes(Path("other.npz").read_bytes()[:-30])
    Path("empty.npz").write_bytes(b"")
    before = {path: path.read_bytes() for path in Path().glob("*.*") if path.is_file()}
    output = [] if "--output" in arguments else ["--output=p.csv"]
    assert predict([*arguments.format(run=run[0], clip=clip).split(), *output]) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    assert {path: path.read_bytes() for path in Path().glob("*.*") if path.is_file()} == before
    assert not Path("p.csv.unfinished").exists()
