"""What a picture has to be like for people to read it."""

import itertools

import matplotlib.image
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def check_picture(path):
    """Nothing reaches the edges of the .png."""
    assert path.with_name(path.name + ".pdf").read_bytes().startswith(b"%PDF")
    image = matplotlib.image.imread(path.with_name(path.name + ".png"))[..., :3]
    assert image.shape[1] > 700 and image.min() < 0.2
    for edge in (image[:1], image[-1:], image[:, :1], image[:, -1:]):
        assert edge.min() == 1


def check_texts(figure):
    """All that is written lies inside the figure, and what is not turned covers no other such text."""
    figure.draw_without_rendering()
    boxes = {text: text.get_window_extent() for text in texts_of(figure)}
    shared = {text: Bbox.intersection(box, figure.bbox) for text, box in boxes.items()}
    outside = [
        text.get_text() for text, box in boxes.items() if not shared[text] or area(shared[text]) < 0.999 * area(box)
    ]
    assert not outside
    straight = [text for text in boxes if text.get_rotation() % 90 == 0]
    pairs = [
        (a.get_text(), b.get_text()) for a, b in itertools.combinations(straight, 2) if boxes[a].overlaps(boxes[b])
    ]
    assert not pairs


def texts_of(figure):
    """Those that are drawn: not the labels of ticks outside the axes' range."""
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            hidden |= {tick.label1 for tick in ticks if not (axes.axison and low <= tick.get_loc() <= high)}
    texts = figure.findobj(
        lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text().strip()
    )
    return [text for text in dict.fromkeys(texts) if text not in hidden]


def area(box):
    return box.width * box.height
