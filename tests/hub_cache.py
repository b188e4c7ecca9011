"""A cache of the Hugging Face Hub as it is after a repository was fetched."""

import hashlib
import shutil

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def put_in_cache(hub, folder, repository):
    """As huggingface_hub lays its cache out."""
    root = hub / f"models--{repository.replace('/', '--')}"
    for part in ("refs", "blobs", f"snapshots/{COMMIT}"):
        (root / part).mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    for file in folder.iterdir():
        blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copy(file, blob)
        (root / "snapshots" / COMMIT / file.name).symlink_to(blob)
    return root
