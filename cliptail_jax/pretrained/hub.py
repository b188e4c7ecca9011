"""Files of Hugging Face repositories, through huggingface_hub's cache and with its progress bar."""

import re
import time
from collections.abc import Iterable
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.runs.console import log_line

PREFIX = "hf-hub:"
CONTACT_SECONDS = 300.0  # how long it is remembered whether the Hub can be reached
_last_contact: tuple[float, bool] | None = None  # time of the last request, and whether the Hub answered


def is_reachable() -> bool:
    """Whether the Hub could be reached within the last five minutes.

    Without it, huggingface_hub would try for 24 seconds to fetch each file that is not in its cache.
    """
    global _last_contact
    if _last_contact is None or time.monotonic() - _last_contact[0] > CONTACT_SECONDS:
        _last_contact = time.monotonic(), _request()
    return _last_contact[1]


def _request() -> bool:
    """Whether the Hub answers now."""
    from huggingface_hub import constants, utils

    if constants.HF_HUB_OFFLINE:
        return False
    for is_last in (False, True):
        try:
            utils.get_session().head(constants.ENDPOINT, timeout=10)
            return True
        except Exception as error:  # of the HTTP library, which differs by the version of huggingface_hub
            if is_last:
                reason = str(error).partition("\n")[0]
                log_line(
                    f"note: the Hugging Face Hub cannot be reached ({reason}); models are read from the cache alone"
                )
            else:
                time.sleep(1)
    return False


def split(name: str) -> tuple[str, str | None]:
    """Repository and revision of 'hf-hub:OWNER/NAME' or 'hf-hub:OWNER/NAME@REVISION'; a folder is returned as it is."""
    repository, _, revision = name.removeprefix(PREFIX).partition("@") if name.startswith(PREFIX) else (name, "", "")
    return repository, revision or None


def slug(name: str) -> str:
    """A model's name as the name of a directory."""
    return re.sub(r"[^\w.+-]+", "_", name.removeprefix(PREFIX)).strip("_")


def directories(names: Iterable[str], folder: Path) -> dict[str, Path]:
    """A directory in `folder` for each model. Raises UserError if two models would share one."""
    directory_of: dict[str, Path] = {}
    for name in dict.fromkeys(names):
        directory = folder / slug(name)
        if not re.search(r"\w", slug(name)):
            raise UserError(f"a model called '{name}' has no directory of its own: give the folder's whole path")
        if other := next((other for other, path in directory_of.items() if path == directory), None):
            raise UserError(
                f"{other} and {name} would share the directory {directory}: give each a --workdir of its own"
            )
        directory_of[name] = directory
    return directory_of


def fetch(repository: str, files: list[str], revision: str | None, remedy: str = "") -> Path:
    """Fetches the first of `files` in the repository, from the cache if there is no network; returns its path.

    The revision is a branch, a tag or a commit; None is the main branch. Raises UserError if huggingface_hub is not
    installed, the repository, revision or file does not exist (with the `remedy`), or there is neither network nor cached
    copy.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise UserError(
            f"{PREFIX}{repository} needs the package huggingface_hub: pip install 'cliptail_jax[pretrained]'"
        ) from None
    source = f"{PREFIX}{repository}" + (f" at revision {revision}" if revision else "")
    unreachable = None
    for file in files:
        try:
            options = {"revision": revision, "local_files_only": unreachable is not None or not is_reachable()}
            return Path(huggingface_hub.hf_hub_download(repository, file, **options))
        except errors.HFValidationError:
            raise UserError(f"{source}: the Hub was not asked, since it names its repositories OWNER/NAME") from None
        except (errors.GatedRepoError, errors.RepositoryNotFoundError):
            raise UserError(f"{source}: the Hub has no such repository, or it requires a login") from None
        except errors.RevisionNotFoundError:
            raise UserError(f"{source}: the repository has no such revision") from None
        except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
            unreachable = error
        except errors.EntryNotFoundError:
            continue
        except (errors.HfHubHTTPError, OSError) as error:
            unreachable = error
    if unreachable is not None:
        raise UserError(f"{source}: {files[0]} is not in the cache, and the Hub cannot be reached") from None
    raise UserError(f"{source} has no {' or '.join(files)}{remedy}")


def commit(path: Path) -> str:
    """The commit of a fetched file."""
    parts = path.parts
    return parts[len(parts) - parts[::-1].index("snapshots")]
