"""Tables of counts by class, joined by the names of classes."""

import gzip
import re

import pytest

from cliptail_jax.concepts.templates import templates
from cliptail_jax.formats.frequency_tables import frequency_of, read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path


def test_classes_are_joined_by_normalized_name_unless_they_share_one(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text("A\t3\nb_c\t5\na\t7\n", encoding="utf-8")
    assert frequency_of(("a", "A"), path).tolist() == [7, 3]
    assert frequency_of(("B-c",), path).tolist() == [5]
    with pytest.raises(UserError, match="lists 'a' more than once"):  # either could be meant
        frequency_of(("a", "b c"), path)
    with pytest.raises(UserError, match="lacks 1 of the classes, such as 'D'"):
        frequency_of(("D",), path)


def test_a_byte_order_mark_and_line_ends_of_any_system_are_no_part_of_a_name(tmp_path):
    (tmp_path / "counts.tsv").write_bytes("\ufeffcat\t3\r\ndog\t5\r".encode())
    assert frequency_of(("dog", "cat"), work_path(str(tmp_path / "counts.tsv"))).tolist() == [5, 3]
    (tmp_path / "prompts.txt").write_bytes("\ufeffa {}\r\nthe {}\n".encode())
    assert templates(str(tmp_path / "prompts.txt")) == ("a {}", "the {}")


@pytest.mark.parametrize(
    "line",
    ["cat\tnan", "cat\tNone", "cat\tN/A", "name\tinf", "cat\tmany", "count\tlabel", "cat", "cat\t1.5", "cat\t1e9"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_a_line_without_a_count_is_named_unless_it_has_titles(tmp_path, line, place):
    lines = ["dog\t5", "owl\t2"]
    (tmp_path / "counts.tsv").write_text("\n".join([*lines[:place], line, *lines[place:]]), encoding="utf-8")
    with pytest.raises(
        UserError, match=f"counts.tsv is not a frequency table: .*, and it has the line {re.escape(repr(line))}"
    ):
        read_frequency(tmp_path / "counts.tsv")


def test_a_gzipped_table_is_no_table(tmp_path):
    (tmp_path / "counts.tsv").write_bytes(gzip.compress(b"cat\t5\n"))
    with pytest.raises(UserError, match="counts.tsv is not a frequency table: it is gzipped: decompress it"):
        read_frequency(tmp_path / "counts.tsv")
