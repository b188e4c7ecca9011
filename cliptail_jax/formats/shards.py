"""Shards of image-text pairs in WebDataset's format: archives in which files of the same name form a sample.

The .txt of a sample is its 'caption'; the .json has further fields.
"""

import itertools
import re
import tarfile
from collections.abc import Callable, Iterator

MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)", re.DOTALL)  # a sample's key, and the kind of one of its files


def samples_in(
    archive: tarfile.TarFile, on_link: Callable[[str], None] = lambda name: None
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """The key of each sample, and its files by kind. Links are skipped; `on_link` receives their names.

    Raises:
        tarfile.TarError: The archive is damaged or truncated, which tarfile itself does not detect; or the files of a sample
            are not next to each other, or two of them have one kind.
    """
    keys = set()
    for key, files in itertools.groupby(_files_in(archive, on_link), key=lambda file: file[0]):
        if key in keys:
            raise tarfile.ReadError(f"the files of {key!r} are not next to each other (pack them with tar --sort=name)")
        keys.add(key)
        members = {}
        for _, kind, member in files:
            if kind in members:
                raise tarfile.ReadError(f"the sample {key!r} has two files {member.name!r}")
            members[kind] = member
        yield key, members


def _files_in(archive: tarfile.TarFile, on_link: Callable[[str], None]) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    name = ""
    for member in archive:
        name = member.name
        if match := MEMBER.fullmatch(name):
            if member.isfile():
                yield match[1], match[2].lower(), member
            elif not member.isdir():
                on_link(name)
    archive.fileobj.seek(archive.offset)
    end = archive.fileobj.read(2 * tarfile.RECORDSIZE)  # where the next of several concatenated archives would begin
    if len(end) < tarfile.BLOCKSIZE or end.strip(b"\0"):
        raise tarfile.ReadError(f"it does not end after {name!r}, its last file that can be read")
