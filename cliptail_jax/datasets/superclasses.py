"""The names of CIFAR-100's superclasses as people write them, for captions such as "a train, a kind of vehicle"."""

KIND_OF = "kind_of"  # the text field

# By the label's name with spaces. People do not distinguish 'vehicles 1' and 'vehicles 2'.
PHRASES = {
    "aquatic mammals": "aquatic mammal",
    "fish": "fish",
    "flowers": "flower",
    "food containers": "food container",
    "fruit and vegetables": "fruit or vegetable",
    "household electrical devices": "electrical device",
    "household furniture": "furniture",
    "insects": "insect",
    "large carnivores": "large predator",
    "large man-made outdoor things": "structure",
    "large natural outdoor scenes": "natural scene",
    "large omnivores and herbivores": "large mammal",
    "medium mammals": "medium-sized mammal",
    "non-insect invertebrates": "invertebrate",
    "people": "person",
    "reptiles": "reptile",
    "small mammals": "small mammal",
    "trees": "tree",
    "vehicles 1": "vehicle",
    "vehicles 2": "vehicle",
}


def kind_of(superclass: str) -> str:
    """The phrase that names a superclass in captions: 'a kind of vehicle'; '' for no superclass."""
    return f"a kind of {PHRASES[superclass]}" if superclass else ""
