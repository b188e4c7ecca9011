"""The figure of class frequencies, from the command line."""

import numpy as np
import pytest

from cliptail_jax.figures.__main__ import main
from cliptail_jax.figures.class_frequency import labels
from cliptail_jax.plotting.class_frequency import draw_class_frequency


def write_table(path, counts):
    path.write_text("".join(f"{name}\t{count}\n" for name, count in counts.items()))
    return str(path)


@pytest.fixture
def tables(tmp_path):
    """Two corpora that agree but for the order of their tables, their names' form, and one empty class."""
    rng = np.random.default_rng(0)
    first = {f"big Cat {i}": int(1e6 / (i + 1) ** 2) + 1 for i in range(60)}
    second = {name.lower().replace(" ", "_"): count // 7 for name, count in first.items()}
    shuffled = dict(rng.permutation(list(second.items())).tolist())
    return write_table(tmp_path / "freq_one_x.tsv", first), write_table(tmp_path / "freq_two_x.tsv", shuffled)


def test_figure_is_drawn_and_its_numbers_printed(tables, tmp_path, capsys):
    output = tmp_path / "pictures" / "frequency.png"
    assert main(["class_frequency", "--frequencies", *tables, "--rank-by", tables[0], "--output", str(output)]) == 0
    header, one, two, written = capsys.readouterr().out.splitlines()
    assert header.split() == ["corpus", "hits", "empty", "max/min", "Gini", "ρ", "1", "ρ", "2"]
    assert one.split()[:2] == ["1", "one"] and one.split()[3] == "0" and one.split()[-2:] == ["1.00", "1.00"]
    assert two.split()[:2] == ["2", "two"]
    assert written == f"wrote {output}"


@pytest.mark.parametrize(
    "content, complaint",
    [
        ("big cat 1\t3\n", "lacks 59 of the classes, such as 'big cat 0'"),
        ("no table", "is not a frequency table"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(content, complaint, tables, tmp_path, capsys):
    other = tmp_path / "other.tsv"
    other.write_text(content)
    arguments = ["--frequencies", tables[0], str(other), "--output", str(tmp_path / "f.png")]
    assert main(["class_frequency", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_labels_are_what_tells_the_tables_apart(tmp_path):
    paths = [tmp_path / f"class_frequency_{name}_ori.txt" for name in ("laion", "cc12m_cls")]
    assert labels(paths) == ["laion", "cc12m_cls"]
    assert labels(paths[:1]) == ["class_frequency_laion_ori"]
    assert labels([tmp_path / "a.tsv", tmp_path / "a_b.tsv"]) == ["a", "a_b"]


def test_linear_panel_has_each_corpuss_shares_in_falling_order():
    frequency = {"one": np.array([1, 6, 3]), "two": np.array([0, 0, 5]), "none": np.array([0, 0, 0])}
    figure = draw_class_frequency(frequency, ranking=frequency["one"])
    linear = next(axes for axes in figure.axes if axes.get_ylabel() == "share of all hits (%)")
    drawn = [line.get_ydata().tolist() for line in linear.lines]
    assert drawn == [pytest.approx([60, 30, 10]), [100, 0, 0], [0, 0, 0]]
