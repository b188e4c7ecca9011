"""Files and arrays of predictions in the formats that other programs write, and the messages for wrong ones."""

import collections
import gzip
import json
import re
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax import measure
from cliptail_jax.host.errors import UserError
from cliptail_jax.predictions.classes import class_ids, class_table, count_labels, with_classes_of
from cliptail_jax.predictions.reading import read_class_table
from tests.commands import measure as main
from tests.predictions.examples import FREQUENCY, LABELS, LOGITS, NAMES, PREDICTIONS, names_of, rows


def write_parquet(path):
    pyarrow.parquet.write_table(pyarrow.table({"label": LABELS, "prediction": PREDICTIONS}), path)


def write_json_lines(path):
    pairs = zip(LABELS.tolist(), names_of(PREDICTIONS))
    path.write_text("".join(json.dumps({"label": NAMES[label], "prediction": name}) + "\n" for label, name in pairs))


FORMATS = {
    "p.csv": lambda path: path.write_text(rows(LABELS, PREDICTIONS, ("label", "prediction"))),
    "p.tsv": lambda path: path.write_text(rows(names_of(LABELS), names_of(PREDICTIONS), separator="\t")),
    "p.csv.gz": lambda path: path.write_bytes(gzip.compress(rows(LABELS, PREDICTIONS).encode())),
    "p.parquet": write_parquet,
    "p.jsonl": write_json_lines,
    "p.npz": lambda path: np.savez(
        path, labels=np.array(names_of(LABELS)), predictions=PREDICTIONS, classes=np.array(NAMES)
    ),
    "p.npy": lambda path: np.save(path, np.stack([LABELS, PREDICTIONS], axis=1)),
    "logits.npz": lambda path: np.savez(path, label=LABELS, logits=LOGITS),
    "half.npz": lambda path: np.savez(
        path,
        labels=np.array(names_of(LABELS)),
        classes=np.array(NAMES)[[2, 0, 3, 1]],
        logits=LOGITS[:, [2, 0, 3, 1]].astype(np.float16),
    ),
    "p.probabilities.npz": lambda path: np.savez(
        path, labels=LABELS, probabilities=np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_measures(folder, capsys, name):
    FORMATS[name](Path(name))
    assert main([f"same={name}", "a.csv", "--frequency=counts.tsv", "--all"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"same − a .*\ntop-1 % +0.0 \[0.0, 0.0\] +2 +no difference\n", text)
    assert re.search(r"odds_acc +0.00 \[0.00, 0.00\] +0.2 +no difference\n", text)


def test_arrays_of_predictions_are_measured_by_training_labels(folder, capsys):
    np.savez("p.npz", labels=np.array(names_of(LABELS)), predictions=np.array(names_of(PREDICTIONS)))
    Path("train.csv").write_text(
        "label\n" + "".join(f"{name}\n" * count for name, count in zip(NAMES, FREQUENCY)), encoding="utf-8"
    )
    assert main(["p.npz", "--train=train.csv", "--all"]) == 0
    assert f"{100 * np.mean(LABELS == PREDICTIONS):.1f} [" in capsys.readouterr().out


def test_classes_that_only_examples_have_are_in_the_order_of_their_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels = np.array([4, 3, 0, 1, 2] * 10)
    np.savez("logits.npz", labels=labels, logits=5.0 * np.eye(5)[labels])
    Path("train.csv").write_text("label\n" + "0\n" * 9 + "1\n" * 5 + "2\n", encoding="utf-8")
    assert main(["logits.npz", "--train=train.csv", "--all"]) == 0
    assert re.search(r"\ntop-1 % +100.0 ", capsys.readouterr().out)


def test_numbers_are_names_of_classes_where_some_are_and_else_indices():
    labels = np.tile(np.arange(5), 20)
    with pytest.raises(UserError, match="are none of the 5 classes of frequency, such as '3'"):
        measure(labels, labels, dict.fromkeys((0, 1, 2, 4, 5), 9))
    ids = np.array(("10", "20", "30"))[labels % 3]
    assert measure(ids, np.eye(3)[labels % 3], {"20": 5, "10": 9, "30": 2}, classes=["10", "20", "30"]).top1 == 100
    assert measure(labels % 3 + 1, np.eye(3)[labels % 3], {1: 9, 2: 5, 3: 2}, classes=[1, 2, 3]).top1 == 100


@pytest.mark.parametrize(
    ("names", "label", "count"),
    [
        (("00", "1"), "0", 5),
        (("02", "01", "00"), 0, 3),
        (("02", "01", "00"), "002.0", 5),
        (("7", "007"), "007", 4),
        (("7", "007"), "07", "'7' or '007'"),
        (("Cat", "cat", "dog"), "cat", 4),
        (("Cat", "cat", "dog"), "CAT", "'Cat' or 'cat'"),
        (("Cat", "dog"), "CAT", 5),
        (("sea_lion", "sea lion", "sea-lion"), "sea-lion", 3),
        (("sea_lion", "sea lion", "sea-lion"), "Sea lion", "'sea_lion' or 'sea lion' or 'sea-lion'"),
        (("caf\u00e9", "CAF\u00c9"), "cafe\u0301", 5),
        (("10", "20", "30"), 1, "none of the 3 classes"),  # no line of the table: its names are numbers
        (("a", "b"), "01", 4),
    ],
)
def test_a_label_is_a_class_by_its_name_or_value_and_is_refused_if_it_may_be_several(names, label, count):
    table = class_table(dict(zip(names, (5, 4, 3))), "counts.tsv")
    if isinstance(count, str):
        with pytest.raises(UserError, match=count):
            class_ids(table, [[label]], "a.csv")
    else:
        assert table.frequency[class_ids(table, [[label]], "a.csv")[0]].tolist() == [count]


def test_new_classes_of_examples_are_compared_by_value_and_spelling_too():
    table = with_classes_of(count_labels(["00", "02", "02"], "train.csv"), [0, 2, 1, "01"])
    assert (table.names, table.frequency.tolist()) == (("00", "1", "02"), [1, 0, 2])
    assert with_classes_of(count_labels(["cat"], "train.csv"), ["Cat", "Owl", "owl"]).names == ("cat", "Owl")


def test_logits_have_no_order_of_classes_counted_by_name():
    names = np.array(["cat", "dog", "owl"])[np.tile(np.arange(3), 20)]
    counts = collections.Counter(["owl"] * 2 + ["cat"] * 30 + ["dog"] * 9)
    scores = np.eye(3)[np.tile(np.arange(3), 20)]
    with pytest.raises(UserError, match="names, such as 'owl', which have no order: .*classes"):
        measure(names, scores, counts)
    assert measure(names, scores, counts, classes=["cat", "dog", "owl"]).top1 == 100


@pytest.mark.parametrize(
    ("labels", "names", "frequency"),
    [
        (["000"] * 3 + ["001"], ("000", "001"), [3, 1]),
        (["48662", "7", "7"], ("48662", "7"), [1, 2]),
        (["3.0", "0", "0", 1.0], ("0", "1", "2", "3"), [2, 1, 0, 1]),
    ],
)
def test_training_labels_that_are_numbers_are_indices_unless_they_are_ids(labels, names, frequency):
    table = count_labels(labels, "train.csv")
    assert table.names == names and table.frequency.tolist() == frequency


def test_class_frequencies_are_read_from_tables_of_other_programs(tmp_path):
    (tmp_path / "counts.csv").write_text("class,images\n10,5\n" + "".join(f"{n},{2 * n}\n" for n in range(9, -1, -1)))
    table = read_class_table(str(tmp_path / "counts.csv"))
    assert table.names == tuple(map(str, range(11))) and table.frequency.tolist() == [*range(0, 20, 2), 5]
    for text, message in (
        ("class,images\na,1\na,2\n", "lists the class 'a' more than once"),
        ("class,images\na,-1\n", "has the count -1"),
        ("class,images\na,many\n", "has the count 'many', which is no whole number"),
        ("class,images\na,0.9\n", "has the count '0.9', which is no whole number"),
        ("0,5\n1,4\n", "counts.csv has a column named '0', .*: put the line class,count above it"),
        ("a,b\n1,2\n", "is not a table of class frequencies: it has the columns a, b"),
        (
            "class,images\n900,0\n90,1\n9,2\n",
            "the counts of .* are 0 to 2 in order, as class numbers are: give each class",
        ),
        ("class,images\ncaf\u00e9,1\ncafe\u0301,2\n", "lists the class 'caf\u00e9' more than once"),
    ):
        (tmp_path / "counts.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            read_class_table(str(tmp_path / "counts.csv"))


@pytest.mark.parametrize(
    "header", ["", "name\tcount\n", "class\tn_images\n", "class\tnumber of images\n", "label\tdollars\n", "\tcount\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_frequency_table_may_have_a_header_and_a_byte_order_mark(tmp_path, header, encoding):
    (tmp_path / "f.tsv").write_text(f"{header}cat\t4\ndog\t2\n", encoding=encoding)
    table = read_class_table(str(tmp_path / "f.tsv"))
    assert (table.names, table.frequency.tolist()) == (("cat", "dog"), [4, 2])


def test_a_frequency_table_may_be_compressed(tmp_path):
    (tmp_path / "f.tsv.gz").write_bytes(gzip.compress(b"name\tcount\ncat\t4\ndog\t2\n"))
    assert read_class_table(str(tmp_path / "f.tsv.gz")).names == ("cat", "dog")


def test_training_labels_give_the_frequency_and_classes_without_images_are_named(folder, capsys):
    labels = [name for name, count in zip(NAMES[:3], FREQUENCY) for _ in range(count)]
    Path("train.csv").write_text("label\n" + "".join(f"{label}\n" for label in labels), encoding="utf-8")
    assert main(["a.csv", "--train=train.csv", "--all"]) == 0
    text = capsys.readouterr().out
    assert "4 classes of train.csv, with 469 training images" in text
    assert "a: 1 class without a training image, which slopes and f50 leave out: owl" in text


ONE_EXAMPLE_EACH = rows("cat dog owl".split(), "cat dog owl".split())
WRONG_FILES = {  # the content of a file, flags, and the message
    "no frequency": ("a.csv", None, [], "the class frequency is missing: .*--train=FILE"),
    "both": ("a.csv", None, ["--frequency=counts.tsv", "--train=a.csv"], "both --frequency and --train are given"),
    "no file": ("b.csv", None, ["--frequency=counts.tsv"], "there is no file b.csv"),
    "no table": ("a.csv", None, ["--frequency=none.tsv"], "cannot read the frequency table none.tsv"),
    "suffix": ("b.xls", "", ["--frequency=counts.tsv"], "b.xls is no file of predictions by its name: .*.parquet"),
    "column": ("b.csv", rows([0], [0], ("y_true", "pred")), ["--frequency=counts.tsv"],
               r"b.csv has no 'prediction' \(did you mean pred\?\); it has y_true, pred: name it with --prediction_column"),
    "unknown class": ("b.csv", rows(["cat", "lynx", "dog"], ["cat", "lynx", "lynx"]), ["--frequency=counts.tsv"],
                      "3 of 6 labels and predictions of b.csv are none of the 4 classes of counts.tsv, such as 'lynx'"),
    "negative number": ("b.csv", rows([0, 1, -1] * 2, [0, 1, 2] * 2), ["--frequency=ten.tsv"],
                        "2 of 12 labels and predictions of b.csv are none of the 10 classes of ten.tsv, such as '-1': leave such"),
    "negative number, and class names": ("b.csv", rows([0, 1, -1] * 2, [0, 1, 2] * 2), ["--frequency=counts.tsv"],
                                         "2 of 12 labels and predictions of b.csv are none of the 4 classes of counts.tsv, such as '-1'"),
    "training labels of another kind": ("a.csv", None, ["--train=labels.txt"], "labels.txt is no file of labels by its name: they end"),
    "negative prediction": ("b.npz", dict(labels=LABELS, predictions=PREDICTIONS - 1), ["--frequency=ten.tsv"],
                            "of b.npz are none of the 10 classes of ten.tsv, such as '-1': leave such examples out"),
    "no images": ("a.csv", None, ["--frequency=zeros.tsv"], "all counts of zeros.tsv are 0: give the number of training images"),
    "number": ("b.csv", rows([0, 4], [1, 1]), ["--frequency=counts.tsv"], "such as '0'|such as '4'"),
    "few": ("b.csv", ONE_EXAMPLE_EACH, ["--frequency=counts.tsv"],
            "odds_acc is undefined: 3 of the 3 classes in b.csv have fewer than 2"),
    "one class": ("b.csv", rows(["cat"] * 3, ["cat"] * 3), ["--frequency=counts.tsv"], "b.csv has examples of one class"),
    "no header": ("b.csv", "0,1\n2,2\n", ["--frequency=counts.tsv"],
                  "b.csv has a column named '0', .*: put the line label,prediction above it"),
    "empty": ("b.csv", "label,prediction\n", ["--frequency=counts.tsv"], "b.csv has no rows"),
    "no labels": ("b.csv", rows(["", ""], ["cat", "dog"]), ["--frequency=counts.tsv"], "b.csv has no label of any example"),
    "gap": ("b.csv", rows(["cat", "dog"], ["cat", ""]), ["--frequency=counts.tsv"], "b.csv has no prediction in row 2"),
    "classes": ("b.npz", dict(labels=LABELS, logits=LOGITS[:, :3]), ["--frequency=counts.tsv"],
                "b.npz has logits of 3 classes, and counts.tsv lists 4"),
    "nan": ("b.npz", dict(labels=LABELS, logits=np.where(LOGITS > 3, np.nan, LOGITS)), ["--frequency=counts.tsv"],
            r"b.npz has NaN in the logits of example \d+ \(from 0\)"),
    "infinity": ("b.npz", dict(labels=LABELS, logits=np.where(LOGITS > 3, np.inf, LOGITS)), ["--frequency=counts.tsv"],
                 "b.npz has infinity in the logits"),
    "pickle": ("b.npz", dict(labels=np.array(["a", 1], object)), ["--frequency=counts.tsv"], "b.npz contains pickled objects"),
    "lengths": ("b.npz", dict(labels=LABELS[:9], logits=LOGITS), ["--frequency=counts.tsv"],
                "b.npz has 32 predictions, and there are 9 labels"),
    "unlabelled": ("b.npz", dict(logits=LOGITS), ["--frequency=counts.tsv"], "b.npz has no labels .*--labels=FILE"),
    "other training labels": ("b.csv", rows(["a", "b"] * 2, ["a", "b"] * 2), ["--train=a.csv"],
                              "no example has a class of a.csv, which are such as 'cat'"),
    "numbers of counted names": ("b.csv", rows([0, 1] * 2, [0, 1] * 2), ["--train=a.csv"],
                                 "the labels of b.csv are numbers, and the classes of a.csv are names, such as 'cat'"),
    "logits of counted names": ("b.npz", dict(labels=np.array(NAMES)[LABELS], logits=LOGITS), ["--train=a.csv"],
                                "the columns of the logits of b.npz have no names, and the classes of a.csv are names"),
    "names of another array": ("b.npz", dict(labels=LABELS, logits=LOGITS, names=NAMES), ["--frequency=counts.tsv"],
                               "b.npz has an array 'names', which is not read: class names are an array 'classes'"),
    "name of adjusted": ("a_adjusted.csv", ONE_EXAMPLE_EACH, ["a.csv", "--frequency=counts.tsv"],
                         "'a_adjusted' is the name of the adjusted predictions of another file: name it, as in NAME="),
    "no probabilities": ("b.npz", dict(labels=LABELS, probabilities=1 / (1 + np.exp(-LOGITS))), ["--frequency=counts.tsv"],
                         r"the probabilities of example \d+ \(from 0\) of b.npz have the sum .*: give those of a softmax"),
    "one-hot labels": ("b.npz", dict(labels=np.eye(4)[LABELS], logits=LOGITS), ["--frequency=counts.tsv"],
                       r"the labels of b.npz have the shape \[32, 4\]: give one of each example"),
    "no columns": ("b.npz", dict(labels=LABELS, logits=LOGITS[:, :0]), ["--frequency=counts.tsv"],
                   r"'logits' of b.npz has the shape \[32, 0\]"),
    "no index": ("b.npz", dict(labels=LABELS + 1, logits=LOGITS, classes=NAMES), ["--frequency=counts.tsv"],
                 "b.npz has the label 4, and its array 'classes' names 4: it must be an index"),
    "file names": ("b.npz", dict(labels=LABELS, logits=LOGITS, filenames=["a.png"]), ["--frequency=counts.tsv"],
                   "b.npz has 1 file names, and 32 examples"),
    "indices that are names": ("b.npz", dict(labels=LABELS, logits=LOGITS, classes=["0", "2", "3", "1"]),
                               ["--train=a.csv"], "b.npz has numbers as labels or predictions, which are names and other indices"),
    "no file of a name": ("b=", None, ["--frequency=counts.tsv"], "b= names no file: is a variable of the shell empty"),
    "folder of another": ("figures=a.csv", None, ["--frequency=counts.tsv"], "'figures' is no name of a model"),
    "folder above": ("..=a.csv", None, ["--frequency=counts.tsv"], "'..' is no name of a model"),
    "line break": ("b.csv", rows(['"cat\n"', "dog"] * 2, ["dog"] * 4), ["--train=b.csv"], "has the class 'cat.n': a name has"),
    "other indices of padded names": ("b.npz", dict(labels=LABELS, predictions=LABELS, classes=["03", "02", "01", "00"]),
                                      ["--train=a.csv"], "b.npz has numbers as labels or predictions, which are names and"),
    "other predictions than logits": ("b.npz", dict(labels=LABELS, logits=LOGITS, predictions=(PREDICTIONS + 1) % 4),
                                      ["--frequency=counts.tsv"],
                                      "b.npz has 32 predictions that are not the class of the largest of its logits"),
    "logits and probabilities": ("b.npz", dict(labels=LABELS, logits=LOGITS, probabilities=LOGITS), ["--frequency=counts.tsv"],
                                 "b.npz has both logits and probabilities: leave one of both out"),
    "a folder in place of a file": ("b=.", None, ["--frequency=counts.tsv"], r"\. is a folder or a pipe: give a file"),
    "logits of one dimension": ("b.npz", dict(labels=LABELS, logits=LOGITS[:, 0]), ["--frequency=counts.tsv"],
                                r"'logits' of b.npz has the shape \[32\]"),
    "same name": ("folder/a.csv", ONE_EXAMPLE_EACH, ["a.csv", "--frequency=counts.tsv"], "two models have the name 'a'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_FILES)
def test_a_wrong_file_is_one_line_that_names_the_remedy(folder, capsys, case):
    name, content, flags, message = WRONG_FILES[case]
    Path("ten.tsv").write_text("".join(f"{number}\t{100 - number}\n" for number in range(10)), encoding="utf-8")
    Path("labels.txt").write_text("cat\ndog\n", encoding="utf-8")
    Path("zeros.tsv").write_text("".join(f"{name}\t0\n" for name in NAMES), encoding="utf-8")
    if isinstance(content, str):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content, encoding="utf-8")
    elif content is not None:
        np.savez(name, **content)
    assert main([name, *flags]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize("kind", [np.float32, str, "column", "labels"])
def test_numbers_of_any_type_are_indices_of_the_files_own_classes(folder, capsys, kind):
    order = [3, 0, 1, 2]
    labels, classes = np.argsort(order)[LABELS], np.array(NAMES)[order]
    shaped = labels[:, None] if kind == "column" else labels.astype(kind if kind in (np.float32, str) else int)
    np.savez("b.npz", logits=LOGITS[:, order], classes=classes, **({} if kind == "labels" else {"labels": shaped}))
    Path("labels.csv").write_text("label\n" + "".join(f"{label}\n" for label in labels), encoding="utf-8")
    flags = ["--labels=labels.csv"] if kind == "labels" else []
    tables = []
    for file in (["m=logits.npz"], ["m=b.npz", *flags]):
        assert main([*file, "--frequency=counts.tsv", "--all"]) == 0
        tables.append(capsys.readouterr().out)
    by_row = (
        "\nm: Labels are those of labels.csv in the order of the rows; a column 'filename' in both would join them\n"
    )
    assert (by_row in tables[1]) == (kind == "labels") and tables[0] == tables[1].replace(by_row, "")


def test_logits_without_names_need_a_table_whose_order_is_clear():
    counts = {str(number): 10 * number + 1 for number in range(12)}
    labels = np.repeat(np.arange(12), 3)
    logits = np.eye(12)[labels] - 0.5
    by_frequency = dict(sorted(counts.items(), key=lambda item: -item[1]))
    assert measure(labels, logits, by_frequency).group.evaluations[0].class_names == tuple(counts)
    with pytest.raises(UserError, match=r"lists its classes as text is sorted \(0, 1, 10, 11, \.\.\.\)"):
        measure(labels, logits, dict(sorted(counts.items())))


@pytest.mark.parametrize("count", [np.inf, 1e30, 10**20, True, -1, 1.5, np.nan])
def test_a_count_is_a_whole_number(count):
    with pytest.raises(UserError, match="the number of training images of a class is a whole number, 0 or more"):
        measure(LABELS, PREDICTIONS, [count, 60, 9, 2])


@pytest.mark.parametrize(
    "labels, predictions",
    [(LABELS[:, None], LOGITS), (LABELS, PREDICTIONS[:, None]), (LABELS[:, None].tolist(), PREDICTIONS)],
)
def test_a_column_of_labels_or_predictions_is_taken_as_a_list(labels, predictions):
    assert measure(labels, predictions, FREQUENCY).top1 == measure(LABELS, PREDICTIONS, FREQUENCY).top1


ARGUMENTS = {  # of `measure`, and what the error names
    "no frequency": (dict(frequency=None), "frequency is of the type NoneType: give a mapping from each class"),
    "a single count": (dict(frequency=5), "frequency is of the type int: give one number for each class"),
    "a generator of counts": (dict(frequency=(n for n in FREQUENCY)), "frequency is of the type generator"),
    "a file": (dict(frequency="counts.tsv"), "frequency is of the type str"),
    "masked counts": (dict(frequency=np.ma.array(FREQUENCY)), "frequency is a masked array"),
    "a generator of labels": (
        dict(labels=(n for n in LABELS)),
        "labels is of the type generator: give a list or an array",
    ),
    "no labels": (dict(labels=None), "labels is of the type NoneType"),
    "masked labels": (dict(labels=np.ma.array(LABELS, mask=LABELS == 1)), "labels is a masked array"),
    "a generator of predictions": (dict(predictions=iter(PREDICTIONS)), "predictions is of the type"),
    "masked logits": (
        dict(predictions=np.ma.array(LOGITS, mask=LOGITS > 3)),
        "predictions is a masked array, whose masked",
    ),
    "complex logits": (
        dict(predictions=LOGITS + 1j),
        r"predictions \[32, 4\] have the type complex128: logits .* real numbers",
    ),
    "texts of two dimensions": (dict(predictions=np.array([NAMES] * 32)), r"predictions \[32, 4\] have the type <U7"),
    "objects": (dict(predictions=LOGITS.astype(object)), r"predictions \[32, 4\] have the type object"),
    "a set of classes": (dict(classes={*NAMES}), "classes is of the type set"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_an_argument_of_another_type_is_a_type_error(case):
    change, message = ARGUMENTS[case]
    with pytest.raises(TypeError, match=f"^{message}.*$"):
        measure(**{"labels": LABELS, "predictions": LOGITS, "frequency": FREQUENCY, **change})


def test_a_frequency_of_two_dimensions_is_named_as_such():
    with pytest.raises(UserError, match=r"frequency has the shape \[2, 4\]: give one number for each class"):
        measure(LABELS, LOGITS, np.array([FREQUENCY] * 2))


@pytest.mark.parametrize("predictions", [3, [[0, 1], [0]]])
def test_predictions_of_another_shape_are_named_as_such(predictions):
    with pytest.raises(UserError, match="the predictions (of predictions )?have"):
        measure(LABELS, predictions, FREQUENCY)


def test_an_array_of_two_columns_of_whole_numbers_has_labels_and_predictions(folder, capsys):
    tables = []
    for kind in (int, float):
        np.save("b.npy", np.stack([LABELS, PREDICTIONS], axis=1).astype(kind))
        assert main(["b.npy", "--frequency=counts.tsv", "--all"]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]


def test_arrays_of_unequal_lengths_are_named_as_such():
    with pytest.raises(UserError, match="predictions has 32 predictions, and there are 9 labels"):
        measure(LABELS[:9], LOGITS, FREQUENCY)
