"""Objectives of users, in files or packages of their own."""

import contextlib
import functools
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from cliptail_jax.config.command_line import failure
from cliptail_jax.host.errors import UserError
from cliptail_jax.training.objective import Objective

PACKAGE_NAME = __name__.partition(".")[0]
PACKAGE = Path(__file__).parents[1]


@functools.cache
def own_objective(name: str) -> type[Objective]:
    """The class that 'FILE.py:CLASS' or 'MODULE:CLASS' names.

    Its effective log-prior is unknown if it or a class below the package's has a loss of its own, unless it states its prior there
    or in a class derived from that.

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
    if has_unknown_prior(objective):
        objective.effective_log_prior = classmethod(Objective.effective_log_prior.__func__)
    return objective


def has_unknown_prior(objective: type[Objective]) -> bool:
    """Whether a class outside of the package, this one or one that it inherits from, changes the loss, and none after it the prior."""
    for kind in objective.__mro__:
        if kind.__module__.partition(".")[0] == PACKAGE_NAME or "effective_log_prior" in vars(kind):
            return False
        if "loss" in vars(kind):
            return True
    return False


@contextlib.contextmanager
def exits_are_errors() -> Iterator[None]:
    """Raise UserError, which names the file, if code that is not the package's calls sys.exit in this context."""
    try:
        yield
    except SystemExit as cause:
        frame = traceback.extract_tb(cause.__traceback__)[-1]
        if Path(frame.filename).is_relative_to(PACKAGE):  # after SIGTERM
            raise
        raise UserError(
            f"{frame.filename}, line {frame.lineno}, ends the program: leave out its call of sys.exit"
        ) from None


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
        folder = str(path.parent.absolute())  # where Python finds what a program imports from beside it
        if folder not in sys.path:
            sys.path.append(folder)
        name = f"own_objective_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # where dataclasses look their annotations up
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as cause:  # whatever the file's own code raises
        if isinstance(cause, ModuleNotFoundError) and cause.name == origin.partition(".")[0]:
            raise UserError(
                f"there is no module {origin}: install it, or name its file, as in {origin}.py:CLASS"
            ) from None
        raise UserError(f"{origin}{failure(cause, path)}") from None
    return module
