"""All Markdown pages of the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("cliptail_jax", "configs", "scripts", "tests")  # those of colab/runs are results
PATTERNS = ("*.md", "colab/*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
ALL_PAGES = [page for pattern in PATTERNS for page in sorted(ROOT.glob(pattern))]
