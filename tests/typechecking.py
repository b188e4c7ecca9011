"""The type checker that jaxtyping's import hook applies to the package in the tests."""

import pathlib

from beartype import BeartypeConf, BeartypeHintOverrides, beartype
from etils import epath

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        # Paths are local or on a bucket; etils' class for both is no pathlib.Path.
        hint_overrides=BeartypeHintOverrides({pathlib.Path: pathlib.Path | epath.Path}),
    )
)
