"""Dask, an optional package that runs programs on a cluster."""

import importlib.util

from cliptail_jax.host.errors import UserError


def check_dask() -> None:
    """Raise UserError if Dask is not installed."""
    if not importlib.util.find_spec("distributed"):
        raise UserError("--runner=dask: Dask is not installed: pip install 'cliptail_jax[dask]'")
