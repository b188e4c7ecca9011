"""What the tests of figures share: a folder of runs, and a command that draws a sheet's figure and looks at the picture."""

import matplotlib.image
import pytest

from tests.commands import figures as main
from tests.figures.synthetic_runs import write_run, write_sheet


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """A folder of runs, from hardly biased (run_0) to biased (run_5), each evaluated on two sets; run_5 has a twin."""
    folder = tmp_path_factory.mktemp("birds")
    for i in range(6):
        write_run(folder / f"run_{i}", slope=0.1 + 0.12 * i, seed=i, sets=("birds:test", "birds_v2"))
    write_run(folder / "twin", slope=0.7, seed=9)
    return folder


def check_picture(path):
    """Nothing reaches the edges of the .png."""
    image = matplotlib.image.imread(path)[..., :3]
    assert image.shape[1] > 700 and image.min() < 0.2
    for edge in (image[:1], image[-1:], image[:, :1], image[:, -1:]):
        assert edge.min() == 1


@pytest.fixture
def draw(birds, tmp_path, capsys):
    """A function that writes a sheet into the folder of runs, draws a figure of it, and checks that nothing reaches its edges.

    It returns what was complained of, '' for nothing.
    """

    def draw(figure, columns, *rows, flags=()):
        path, picture = write_sheet(birds / f"{figure}.tsv", columns, *rows), tmp_path / "pictures" / f"{figure}.png"
        status = main([figure, "--runs", str(path), *map(str, flags), "--output", str(picture)])
        printed, complaint = capsys.readouterr()
        assert status == (2 if complaint else 0) and complaint.count("\n") <= 1
        if not complaint:
            assert printed == f"wrote {picture}\n"
            check_picture(picture)
        return complaint

    return draw
