"""The folders of prepared data sets: DATA_DIR/NAME[/CONFIG]/VERSION."""

import json
import os
import pathlib
import re

from cliptail_jax.datasets.known_sources import BUILDERS
from cliptail_jax.errors import UserError
from cliptail_jax.files import is_remote, work_path

VERSION = re.compile(r"\d+\.\d+\.\d+")


def resolve_data_dir(data_dir: str) -> pathlib.Path:
    """The root folder of prepared data sets; for '', the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    root = work_path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    return root if is_remote(root) else pathlib.Path(root).expanduser()  # builders write to local folders


def split_name(name: str) -> tuple[str, str]:
    """Splits 'set', 'set/config', 'set:1.0.0' or 'set/config:1.0.0' into the path below the root and the version or ''."""
    path, _, version = name.partition(":")
    if not re.fullmatch(r"\w+(/[^/]+)?", path) or (version and not VERSION.fullmatch(version)):
        raise UserError(f"data set name {name!r} is not of the form 'set', 'set/config' or 'set/config:1.0.0'")
    return path, version


def prepared_versions(folder: pathlib.Path) -> list[pathlib.Path]:
    """The version folders in `folder`, oldest first. TFDS names a folder by its version when it is complete."""
    versions = [info.parent for info in folder.glob("*/dataset_info.json") if VERSION.fullmatch(info.parent.name)]
    return sorted(versions, key=lambda version: [int(number) for number in version.name.split(".")])


def find_prepared(name: str, data_dir: str) -> pathlib.Path | None:
    """The folder of the named or else the latest version of a prepared data set; None where there is none."""
    path, version = split_name(name)
    versions = prepared_versions(resolve_data_dir(data_dir) / path)
    matching = [folder for folder in versions if version in ("", folder.name)]
    return matching[-1] if matching else None


def prepared_names(root: pathlib.Path) -> list[str]:
    """The names of all data sets that are prepared below a root folder, as `find_prepared` takes them."""
    folders = [folder for depth in ("*", "*/*") for parent in root.glob(depth) for folder in prepared_versions(parent)]
    return sorted(f"{folder.parent.relative_to(root).as_posix()}:{folder.name}" for folder in folders)


def require_prepared(name: str, data_dir: str) -> pathlib.Path:
    """The folder of a data set that is prepared in ArrayRecord.

    Raises:
        UserError: The data set is not prepared, or it is in another file format.
    """
    folder, root = find_prepared(name, data_dir), resolve_data_dir(data_dir)
    advice = f"prepare it by {preparation_command(name, root)}"
    if folder is None:
        there = ", ".join(prepared_names(root)) or "no data set"
        raise UserError(f"data set {name!r} is not prepared below {root} (there: {there}); {advice}")
    file_format = json.loads((folder / "dataset_info.json").read_text()).get("fileFormat", "tfrecord")
    if file_format != "array_record":
        needed = f"is prepared as {file_format!r}, and file_format='array_record' is needed"
        raise UserError(f"data set {name!r} in {folder} {needed}; remove it, then {advice}")
    return folder


def preparation_command(name: str, root: pathlib.Path) -> str:
    """The command or the code that prepares a data set below a root folder."""
    path = name.partition(":")[0]
    if path.partition("/")[0] in BUILDERS:
        return f"python -m cliptail_jax.datasets.build {path} --data_dir={root} --raw=PATH"
    return (
        f"tfds.builder({name!r}, data_dir='{root}', file_format='array_record').download_and_prepare() in Python, "
        "with tensorflow_datasets as tfds, and most of its sets with TensorFlow installed (pip install tensorflow-cpu)"
    )
