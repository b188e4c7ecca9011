"""The type checker that jaxtyping's import hook applies to the package in the tests."""

import pathlib
import typing

from beartype import BeartypeConf, BeartypeHintOverrides, beartype
from etils import epath
from flax import nnx

check = beartype(
    conf=BeartypeConf(
        is_pep484_tower=True,  # an int is a float
        hint_overrides=BeartypeHintOverrides(
            {
                # Paths are local or on a bucket; etils' class for both is no pathlib.Path.
                pathlib.Path: pathlib.Path | epath.Path,
                # Models without values are built with its substitute, which this module must not import.
                nnx.Rngs: typing.Union[nnx.Rngs, "cliptail_jax.models.build.OneKey"],  # noqa: F821
            }
        ),
    )
)
