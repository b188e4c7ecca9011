"""Writes the references of the tests: outputs of torch, torchvision, transformers and open_clip for small inputs.

Needs the extra `parity`, which the tests themselves do not need. From the root of the repository:

    python scripts/make_parity_fixtures.py [NAME ...]    # names from MAKERS below; all by default

Made with torch 2.13, torchvision 0.28, timm 1.0.31, transformers 5.24 and open_clip 3.3.0.
"""

import sys
from importlib import import_module
from pathlib import Path

DATA = Path(__file__).parents[1] / "tests" / "data"
MAKERS = (
    "input",
    "model",
    "preprocess",
    "tokenizer",
    "pretrained",
    "encoder",
    "positions",
    "sizes",
    "siglip",
    "view",
    "dino",
    "architecture",
)


def main(names: list[str]) -> None:
    for name in names or MAKERS:
        import_module(f"parity.{name}_fixtures").main(DATA)


if __name__ == "__main__":
    main(sys.argv[1:])
