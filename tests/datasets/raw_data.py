"""Makes small raw data: images, archives, shards as img2dataset writes them."""

import io
import json
import tarfile

import pyarrow
import pyarrow.parquet
from PIL import Image

STRUCT = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])  # an image of Hugging Face


def jpeg(red, size=(24, 16)):
    """A JPEG whose pixels, and so its bytes, depend on `red`."""
    stream = io.BytesIO()
    Image.new("RGB", size, (red, 80, 160)).save(stream, "JPEG")
    return stream.getvalue()


def archive(files):
    """An uncompressed tar of the given contents by name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def write_shard(path, rows, keep_metadata=True):
    """Writes rows of 'key', 'image' (None = a failed download), 'caption' and more as img2dataset does."""
    files, downloads = {}, []
    for row in rows:
        fields = {name: value for name, value in row.items() if name != "image"}
        fields["status"] = "failed_to_download" if row["image"] is None else "success"
        downloads.append(fields)
        if row["image"] is not None:
            files[f"{row['key']}.jpg"] = row["image"]
            files[f"{row['key']}.txt"] = row["caption"].encode()
            if keep_metadata:
                files[f"{row['key']}.json"] = json.dumps(fields).encode()
    path.write_bytes(archive(files))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(downloads), path.with_suffix(".parquet"))


def write_parquet(path, columns, class_names=None):
    """Writes columns with Hugging Face's metadata: the class names of the column 'label', if there are any."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = {"label": {"names": class_names, "_type": "ClassLabel"}} if class_names else {}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pyarrow.parquet.write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)
    return path
