"""Joins the labels of one file with the predictions of another, by file name or else by row."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.host.errors import UserError
from cliptail_jax.predictions.classes import text_of

# Columns of file names, the likeliest first.
KEYS = ("filename", "filepath", "path", "image_path", "image", "file", "name")


class Labels(NamedTuple):
    """The labels of examples, from a separate file.

    Attributes:
        path: the file.
        values: the label of each example, by name or number.
        columns: the file's other columns of texts or whole numbers, by name.
    """

    path: str
    values: Sequence[Any]
    columns: Mapping[str, Sequence[Any]] = {}

    def join(self, path: str, columns: Mapping[str, Sequence[Any]]) -> tuple[Sequence[Any], str]:
        """The labels of the examples of a file with these columns, joined by file name; by row if these are unknown.

        Returns:
            the labels, and the path of this file if they are joined by row; else ''.

        Raises:
            UserError: an example has no label here, or two; or file names are unknown, and both files have another column that
                may identify the examples.
        """
        keys, label_keys = keys_of(columns), keys_of(self.columns)
        if not keys or not label_keys:
            check_no_shared_column(path, columns, self.path, self.columns)
            return self.values, self.path
        common_names = [name for name in keys if name in label_keys]
        name, label_name = (common_names or [*keys])[0], (common_names or [*label_keys])[0]
        label_of = dict(zip(label_keys[label_name], self.values))
        if len(label_of) < len(self.values):
            raise UserError(
                f"{self.path} has a file name more than once in '{label_name}': give each example one label, or rename that "
                "column if it has no file names"
            )
        if missing_keys := [key for key in keys[name] if key not in label_of]:
            raise UserError(
                f"{self.path} has no label of {missing_keys[0]}, and of {len(missing_keys) - 1:,} more: add them"
            )
        return [label_of[key] for key in keys[name]], ""


def keys_of(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[str]]:
    """The columns that have a file name for each example, the likeliest first."""
    names = [name for name in KEYS if name in columns and None not in columns[name]]
    return {name: [*map(text_of, columns[name])] for name in names}


def likeliest_keys(columns: Mapping[str, Sequence[Any]]) -> list[str] | None:
    """The file names of the examples; None if they are unknown."""
    return next(iter(keys_of(columns).values()), None)


def check_no_shared_column(
    path: str, columns: Mapping[str, Sequence[Any]], other_path: str, other_columns: Mapping[str, Sequence[Any]]
) -> None:
    """Raise UserError if two files have a column by which their examples may have to be joined.

    Such a column has a different text for each example, or the same numbers in another order.
    """
    for name in columns:
        values, other_values = ([*map(text_of, file.get(name, ()))] for file in (columns, other_columns))
        are_distinct = all(len({*texts}) == len(texts) > 1 for texts in (values, other_values))
        are_numbers = all(map(is_number, (*values, *other_values)))
        if are_distinct and (not are_numbers or values != other_values and {*values} == {*other_values}):
            raise UserError(
                f"{path} and {other_path} both have the column '{name}', by which labels may have to be joined: name it "
                "'filename' in both, with one in each row; or leave it out, and labels are joined by row"
            )


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
