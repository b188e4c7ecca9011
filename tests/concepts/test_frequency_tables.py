"""Tables of counts by class, joined by the names of classes."""

import pytest

from cliptail_jax.concepts.frequency_tables import frequency_of
from cliptail_jax.errors import UserError


def test_classes_are_joined_by_normalized_name_unless_they_share_one(tmp_path):
    path = tmp_path / "counts.tsv"
    path.write_text("A\t3\nb_c\t5\na\t7\n", encoding="utf-8")
    assert frequency_of(("a", "A"), path).tolist() == [7, 3]
    assert frequency_of(("B-c",), path).tolist() == [5]
    with pytest.raises(UserError, match="lists 'a' more than once"):  # either could be meant
        frequency_of(("a", "b c"), path)
    with pytest.raises(UserError, match="lacks 1 of the classes, such as 'D'"):
        frequency_of(("D",), path)
