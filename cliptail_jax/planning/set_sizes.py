"""The sizes of the study's data sets, for plans where they are not prepared."""

from ml_collections import ConfigDict

# Records of the training split, and classes. Sources: Russakovsky et al. 2015 (arXiv 1409.0575) for ImageNet, Fang et al.
# 2022 (arXiv 2205.01397) for ImageNet-Captions. Of LAIONet, the study's runs say how many they use.
SIZES = {"imagenet2012": (1_281_167, 1000), "imagenet_captions": (448_896, 1000), "laionet": (None, 1000)}


def known_size(data: ConfigDict) -> tuple[int, int] | None:
    """Records and classes that the section `data` selects of a set of the study; None where only the set itself tells."""
    records, classes = SIZES.get(data.name, (None, 0))
    records = data.n or records
    selects = (*data.classes.values(), data.profile.name, data.match.frequency, data.tail.classes)
    if records is None or any(selects) or data.class_match.vocabulary:
        return None
    return int(records * data.fraction), classes
