"""All Markdown pages of the repository, and the tables of a page."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("cliptail_jax", "configs", "scripts", "tests")  # those of colab/runs are results
PATTERNS = ("*.md", "colab/*.md", *(f"{folder}/**/*.md" for folder in FOLDERS))
ALL_PAGES = [page for pattern in PATTERNS for page in sorted(ROOT.glob(pattern))]


def rows_by_name(text: str, first: str) -> dict[str, dict[str, str]]:
    """The rows of `table_rows` by their names."""
    return {row[first]: row for row in table_rows(text, first)}


def table_rows(text: str, first: str) -> list[dict[str, str]]:
    """The cells of the tables whose first heading is `first`, by headings, without emphasis."""
    rows, header = [], []
    for line in text.splitlines():
        if not line.startswith("| "):
            header = []
            continue
        cells = [cell.strip() for cell in line.replace("**", "").strip("|").split("|")]
        header = header or cells
        if header[0] == first and cells != header and cells[0] != "---":
            rows.append(dict(zip(header, cells, strict=True)))
    return rows
