"""Objectives of users, in files or packages of their own."""

import functools
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from cliptail_jax.config.command_line import failure
from cliptail_jax.host.errors import UserError
from cliptail_jax.training.objective import Objective


@functools.cache
def own_objective(name: str) -> type[Objective]:
    """The class that 'FILE.py:CLASS' or 'MODULE:CLASS' names.

    Its effective log-prior is unknown if it has a loss of its own, unless it has a prior of its own, too.

    Raises UserError if there is no such class, its code fails, or it is no `Objective`.
    """
    origin, _, class_name = name.rpartition(":")
    module = module_of(origin)
    objective = getattr(module, class_name, None)
    if not (isinstance(objective, type) and issubclass(objective, Objective)):
        classes = [key for key, value in vars(module).items() if is_defined_there(value, module)]
        choice = f"; there are {', '.join(classes)}" if classes else ""
        fault = f"has no class {class_name} that is a cliptail_jax.training.objective.Objective"
        raise UserError(
            f"{origin} {fault if class_name else 'is named without a class'}{choice}: name one, as in "
            f"--config.objective={origin}:CLASS"
        )
    if methods := sorted(objective.__abstractmethods__):
        raise UserError(
            f"{name} has no method {methods[0]}: define it, or begin with a class that has it, such as Supervised"
        )
    if "loss" in vars(objective) and "effective_log_prior" not in vars(objective):
        objective.effective_log_prior = classmethod(Objective.effective_log_prior.__func__)
    return objective


def is_defined_there(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, Objective) and value.__module__ == module.__name__


def module_of(origin: str) -> ModuleType:
    """The module of a file, or of an import name. Raises UserError if there is none, or its code fails."""
    path = Path(origin)
    if not origin:
        raise UserError("config key 'objective' begins with ':': put the file or module of the class before it")
    if path.suffix == ".py" and not path.is_file():
        raise UserError(
            f"there is no file {origin} in {Path.cwd()}, which objective='{origin}:...' names: run where it is"
        )
    try:
        if path.suffix != ".py":
            return importlib.import_module(origin)
        name = f"own_objective_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses look their annotations up
        spec.loader.exec_module(module)
    except Exception as cause:  # whatever the file's own code raises
        if isinstance(cause, ModuleNotFoundError) and cause.name == origin.partition(".")[0]:
            raise UserError(
                f"there is no module {origin}: install it, or name its file, as in {origin}.py:CLASS"
            ) from None
        raise UserError(f"{origin}{failure(cause, path)}") from None
    return module
