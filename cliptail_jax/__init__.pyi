"""The public functions with their types, for editors and type checkers: __init__.py imports them on first use."""

from cliptail_jax.config.files import load_config as load_config
from cliptail_jax.jobs.frames import load_results as load_results
from cliptail_jax.metrics.imbalance import adjust as adjust
from cliptail_jax.metrics.recipes import effective_log_prior as effective_log_prior
from cliptail_jax.predictions.forecasts import forecast as forecast
from cliptail_jax.predictions.measured import measure as measure
from cliptail_jax.pretrained.model import open_model as open_model

__version__: str
