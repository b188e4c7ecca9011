"""Config files and results of studies: the package's by short names, and others by path."""

import importlib.util
from pathlib import Path

from ml_collections import ConfigDict

import cliptail_jax
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import work_path

PACKAGE = Path(cliptail_jax.__file__).parent
ARCHIVE = ".tar.xz"


def known_configs() -> dict[str, Path]:
    """The package's config files by their short names: 'clip', 'quickstart'."""
    return known_files("*.py") | known_files("study/*.py")


def known_files(pattern: str) -> dict[str, Path]:
    """The package's files by their short names."""
    return {file.stem: file for file in sorted(configs_folder().glob(pattern))}


def configs_folder() -> Path:
    """The folder of the package's configs, which a clone has in configs/."""
    folder = PACKAGE / "configs"
    return folder if folder.is_dir() else PACKAGE.parent / "configs"


def find_config(name: str) -> Path:
    """The config file at a path that ends in .py or, for a short name, NAME.py in this folder or else in the package.

    Raises UserError if there is none.
    """
    path, configs = Path(name), known_configs()
    file = path if path.suffix == ".py" else Path(f"{name}.py")
    if file.is_file():
        return file
    if name in configs:
        return configs[name]
    hint = f" (did you mean {path.stem}?)" if path.stem in configs else did_you_mean(path.stem, configs)
    raise UserError(f"config file '{name}' does not exist{hint}; the package's configs are {', '.join(configs)}")


def find_results(name: str) -> Path:
    """The report.json of a study at a path that ends in .json or, for a short name, the results in the package.

    Raises UserError if there is none.
    """
    path, results = work_path(name), known_files("study/results/*.json")
    if path.suffix == ".json" and path.exists():
        return path
    if name in results:
        return results[name]
    raise UserError(
        f"there are no results '{name}'{did_you_mean(name, results)}: give the path of a study's report.json, or one of "
        f"{', '.join(results)}"
    )


def find_table(name: str) -> Path:
    """The table at a path or, for a name such as 'collect/glyphs_16/plan_sl', that of the package's studies."""
    path, package_table = work_path(name), configs_folder() / "study" / f"{name}.tsv"
    return package_table if package_table.is_file() and not path.exists() else path


def known_archives() -> dict[str, Path]:
    """The archives of published studies in the package, by name."""
    return {file.name.removesuffix(ARCHIVE): file for file in known_files(f"study/results/*{ARCHIVE}").values()}


def find_archive(name: str) -> Path:
    """The archive of a published study. Raises UserError if there is none."""
    archives, results = known_archives(), known_files("study/results/*.json")
    if name in archives:
        return archives[name]
    if name in results:
        raise UserError(
            f"{name} has no stored counts, since an earlier version published its results: train it again with "
            "cliptail study"
        )
    hint = f"there are {', '.join(archives)}" if archives else "no study has stored counts yet"
    raise UserError(f"there are no published results '{name}'{did_you_mean(name, archives | results)}: {hint}")


def load_config(string: str) -> ConfigDict:
    """The config of 'NAME:ARGUMENTS', such as 'clip:data=glyphs_lt', with a short name or a path for NAME.

    Raises UserError if there is no such file, and any exception of the file's own code.

    >>> from cliptail_jax import load_config
    >>> config = load_config("sup:data=glyphs_lt,logit_adjustment=1")
    >>> config.data.profile.ratio, config.loss.logit_adjustment
    (100.0, 1.0)
    >>> sorted(load_config("quickstart").runs)
    ['adjusted', 'clip', 'counts', 'sl']
    """
    name, _, arguments = string.partition(":")
    spec = importlib.util.spec_from_file_location("config", find_config(name))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(arguments) if arguments else module.get_config()
