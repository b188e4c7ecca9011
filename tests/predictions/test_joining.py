"""Labels of another file, joined by file name or by row."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cliptail_jax.predictions.joining import KEYS
from tests.commands import measure as main
from tests.predictions.examples import LABELS, NAMES, PREDICTIONS, names_of, rows


def test_labels_of_another_file_are_joined_by_file_name_and_do_not_replace_those_that_a_file_has(folder, capsys):
    keys = [f"{number}.png" for number in range(len(LABELS))]
    Path("predicted.csv").write_text(rows(keys, names_of(PREDICTIONS), ("filename", "prediction")), encoding="utf-8")
    Path("labels.csv").write_text(rows(keys[::-1], names_of(LABELS[::-1]), ("filename", "label")), encoding="utf-8")
    np.savez("predicted.npz", predictions=PREDICTIONS, filenames=keys, classes=NAMES)
    tables = []
    for file, flags in (("a.csv", []), ("predicted.csv", ["--labels=labels.csv"]), ("predicted.npz", ["--labels=labels.csv"]),
                        ("a.csv", ["--labels=labels.csv"])):  # fmt: skip
        assert main([f"m={file}", "--frequency=counts.tsv", "--all", *flags]) == 0
        tables.append(capsys.readouterr().out)
    assert len({*tables}) == 1
    Path("labels.csv").write_text(rows(keys[1:], names_of(LABELS[1:]), ("filename", "label")), encoding="utf-8")
    assert main(["predicted.csv", "--frequency=counts.tsv", "--labels=labels.csv"]) == 2
    assert "labels.csv has no label of 0.png, and of 0 more" in capsys.readouterr().err


IDS = [f"{number}.png" for number in range(len(LABELS))]
NUMBERS = [str(100 + number) for number in range(len(LABELS))]
JOINED = {  # columns of the predictions, and of the labels in reverse order; and whether they are joined by name, or the error
    **{name: ({name: IDS}, {name: IDS}, True) for name in KEYS},
    "other names": ({"image": IDS}, {"filename": IDS}, True),
    "a common one": ({"filename": IDS, "path": NUMBERS}, {"path": NUMBERS}, True),
    "another one": (
        {"img": IDS},
        {"img": IDS},
        "p.csv and l.csv both have the column 'img', by which labels may have to",
    ),
    "numbers": ({"id": NUMBERS}, {"id": NUMBERS}, "both have the column 'id'"),
    "other numbers": ({"id": NUMBERS}, {"id": [f"9{number}" for number in NUMBERS]}, False),
    "the same row numbers": ({"": NUMBERS}, {"": NUMBERS[::-1]}, False),
    "texts that are not distinct": ({"set": ["a"] * len(IDS)}, {"set": ["a"] * len(IDS)}, False),
    "in one file": ({"filename": IDS}, {"img": IDS}, False),
    "twice": ({"name": IDS}, {"name": names_of(LABELS)}, "l.csv has a file name more than once in 'name'"),
}


def npy(values):
    np.save(stream := io.BytesIO(), np.array(values))
    return stream.getvalue()


def write_table(path, columns):
    lines = [",".join(row) for row in (columns, *zip(*columns.values()))]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("case", JOINED)
@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_labels_are_joined_by_a_column_of_file_names_and_never_silently_by_row(folder, capsys, case, kind):
    columns, label_columns, expected = JOINED[case]
    if kind == "csv":
        write_table("p.csv", {"prediction": names_of(PREDICTIONS), **columns})
    else:
        columns = {name or "arr_0": values for name, values in columns.items()}
        with zipfile.ZipFile("p.npz", "w") as file:  # numpy.savez takes no array 'file'
            for name, values in {"predictions": names_of(PREDICTIONS), **columns}.items():
                file.writestr(f"{name}.npy", npy(values))
        label_columns = {name or "arr_0": values for name, values in label_columns.items()}
    label_columns = {"label": names_of(LABELS), **label_columns}
    write_table("l.csv", {name: values[::-1] for name, values in label_columns.items()})
    status = main([f"a=p.{kind}", "--labels=l.csv", "--frequency=counts.tsv", "--all"])
    text = capsys.readouterr()
    if isinstance(expected, str):
        assert status == 2 and expected.replace("csv and", f"{kind} and") in text.err and text.err.count("\n") == 1
    else:
        assert status == 0 and ("a: Labels are those of l.csv in the order of the rows" in text.out) != expected
        accuracy = np.mean(PREDICTIONS == (LABELS if expected else LABELS[::-1]))
        assert f"{100 * accuracy:.1f} [" in text.out
