"""The kinds of data that published studies are on, as pages name them."""

CHARACTERS, PHOTOGRAPHS, ICONS = "characters", "photographs", "icons"
# By the end of the name of a study's results. The others are on characters.
ENDS = {"cifar100": PHOTOGRAPHS, "cifar100_lt": PHOTOGRAPHS, "icons": ICONS, "natural": ICONS, "": CHARACTERS}


def data_of(study: str) -> str:
    """The data of a study, by the name of its results.

    >>> data_of("forecast_cifar100"), data_of("doses")
    ('photographs', 'characters')
    """
    return next(data for end, data in ENDS.items() if study.endswith(end))
