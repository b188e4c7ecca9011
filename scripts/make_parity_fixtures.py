"""Writes the references of the tests: outputs of torch, torchvision, transformers, open_clip and others.

Needs the extra `parity`, which the tests themselves do not need. From the root of the repository:

    python scripts/make_parity_fixtures.py [NAME ...]    # names from MAKERS below; all by default

Made with torch 2.13, torchvision 0.28, timm 1.0.31, transformers 5.24, open_clip 3.3.0 and clip-benchmark 1.6.2. In each
module of parity/, `references(folder)` returns the contents of files by name: arrays, or a text. `folder` has the files made
before.
"""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "tests" / "data"
MAKERS = "input model tokenizer pretrained encoder positions siglip view dino architecture retrieval open_clip".split()


def main(names: list[str]) -> None:
    for name in names or MAKERS:
        for file, content in import_module(f"parity.{name}_fixtures").references(DATA).items():
            path = DATA / file
            if isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                np.savez_compressed(path, **content)
            print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
