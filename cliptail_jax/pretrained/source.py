"""The files of a published model, in a folder or a repository of the Hugging Face Hub."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_digests, digest_of, digest_of_file
from cliptail_jax.input.huggingface_tokenizer import SETTINGS
from cliptail_jax.pretrained import hub

CONFIG, TOKENIZER = "open_clip_config.json", "tokenizer.json"
CONVERT = "; scripts/convert_pytorch_weights.py converts pytorch_model.bin"  # pickles may run any program


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model, and the commit if they are from the Hub."""

    weights: Path
    config: Path | None
    tokenizer: Path | None
    revision: str | None = None


def find(name: str, config_file: str, weights_files: list[str]) -> ModelFiles:
    """The files of the model `name`.

    Args:
        name: 'hf-hub:OWNER/NAME', perhaps with '@REVISION', or the path of a folder, its configuration or a weights file.
        config_file: the name of the configuration.
        weights_files: names of weights files; the first that exists is used.

    Raises:
        UserError: there are no weights, or a file does not match the `sha256.json` beside it.
    """
    if name.startswith(hub.PREFIX):
        repository, revision = hub.split(name)
        config = hub.fetch(repository, [config_file], revision)
        commit = hub.commit(config)
        weights = hub.fetch(repository, weights_files, commit, remedy=CONVERT)
        tokenizer = None
        with contextlib.suppress(UserError):  # some repositories have none
            tokenizer = fetch_tokenizer(repository, commit)
        return ModelFiles(weights, config, tokenizer, commit)
    path = Path(name)
    if path.is_dir() or path.name == config_file:
        folder = path if path.is_dir() else path.parent
        weights = next((folder / file for file in weights_files if (folder / file).is_file()), None)
        if weights is None:
            raise UserError(f"{folder} has no weights: none of {', '.join(weights_files)}{CONVERT}")
    elif path.is_file():
        if path.suffix != ".safetensors":
            raise UserError(f"{path} is not a .safetensors file{CONVERT}")
        folder, weights = path.parent, path
    else:
        raise UserError(f"no model '{name}': give hf-hub:OWNER/NAME, a folder or a .safetensors file that exists")
    check_digests(folder)
    config, tokenizer = (file if file.is_file() else None for file in (folder / config_file, folder / TOKENIZER))
    return ModelFiles(weights, config, tokenizer)


def settings_digest(name: str) -> str:
    """The SHA-256 of a folder's files beside the weights: configurations and tokenizer. '' for repositories of the Hub.

    `name` is as for `find`. Files that cannot be read are left out; opening the model reports them.
    """
    if name.startswith(hub.PREFIX):
        return ""
    folder = Path(name) if Path(name).is_dir() else Path(name).parent
    contents = []
    for file in sorted(folder.iterdir() if folder.is_dir() else ()):
        with contextlib.suppress(OSError):
            if file.suffix in (".json", ".txt"):
                contents += [f"{file.name} {file.stat().st_size}\n".encode(), file.read_bytes()]
    return digest_of(contents)


def fetch_tokenizer(repository: str, revision: str | None) -> Path:
    """Fetches a repository's tokenizer.json, and tokenizer_config.json beside it. Raises UserError if there is none."""
    path = hub.fetch(repository, [TOKENIZER], revision)
    with contextlib.suppress(UserError):  # not every tokenizer needs one
        hub.fetch(repository, [SETTINGS], hub.commit(path))
    return path


def checked_digest(source: ModelFiles) -> str:
    """SHA-256 of the weights. Raises UserError if it differs from the one in the Hub's cache."""
    digest = digest_of_file(source.weights)
    blob = source.weights.resolve().name
    if source.revision is not None and len(blob) == len(digest) and blob != digest:
        raise UserError(
            f"{source.weights} is corrupt: its SHA-256 is not the Hub's; delete it and load the model again"
        )
    return digest
