"""Makes small files of icons as Iconify publishes them; the drawings are rectangles."""

import gzip
import json

from tests.datasets.raw_data import archive


def rectangle(left, top, width, height, colour="currentColor"):
    return {"body": f'<path fill="{colour}" d="M{left} {top}h{width}v{height}h-{width}z"/>'}


def icon_set(prefix, icons, author="", license="MIT", category="", **fields):
    info = dict(
        name=prefix.upper(), author=dict(name=author or prefix, url=f"https://github.com/{author or prefix}/icons")
    )
    info |= dict(license=dict(title=license, spdx=license), palette=False, category=category)
    return dict(prefix=prefix, info=info, icons=icons, width=8, height=8) | fields


def write_iconify(path, *sets, **files):
    """Writes the sets, and files by name, as the npm package has them."""
    contents = {f"json/{icons['prefix']}.json": json.dumps(icons) for icons in sets} | files
    path.write_bytes(gzip.compress(archive({f"package/{name}": text.encode() for name, text in contents.items()})))
    return path
