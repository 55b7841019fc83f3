"""Categories of CIFAR-100: their names, their superclasses, and subsets of them."""

import difflib
from collections import Counter
from collections.abc import Iterable

import numpy as np

_TABLE = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
SUPERCLASSES = {coarse: tuple(members.split()) for coarse, members in _TABLE.items()}
# The official label of a superclass or category is its position in alphabetical order.
COARSE_NAMES = tuple(sorted(SUPERCLASSES))
FINE_NAMES = tuple(sorted(name for members in SUPERCLASSES.values() for name in members))
# For each category, in the order of the official labels, the label of its superclass.
COARSE_OF_FINE = np.array(
    [
        next(i for i, coarse in enumerate(COARSE_NAMES) if fine in SUPERCLASSES[coarse])
        for fine in FINE_NAMES
    ],
    dtype=np.int64,
)

# Living things, forests and mountains: a subset used in courses for ecologists.
_ECOLOGY = """
    beaver dolphin otter seal whale flatfish ray shark trout orchid poppy sunflower tulip mushroom
    bee beetle butterfly caterpillar cockroach bear leopard lion tiger wolf forest mountain
    camel cattle chimpanzee elephant kangaroo fox porcupine possum raccoon skunk
    crab lobster snail spider worm baby boy girl man woman crocodile dinosaur lizard snake turtle
    hamster mouse rabbit shrew squirrel maple_tree oak_tree palm_tree pine_tree willow_tree
"""
ECOLOGY_CATEGORIES = tuple(sorted(_ECOLOGY.split()))
PRESETS = {
    "ecology": ECOLOGY_CATEGORIES,
    "ecology56": tuple(name for name in ECOLOGY_CATEGORIES if name not in SUPERCLASSES["people"]),
}


def chosen_labels(categories: str | Iterable[object]) -> list[int]:
    """Return the official labels of the chosen categories, ascending, or raise a ValueError."""
    start = "The 'categories' parameter of fetch_cifar100"
    if isinstance(categories, str):
        if categories not in PRESETS:
            message = (
                f"{start} must be 'ecology', 'ecology56', a list of category names or None. "
                f"Got {categories!r} instead."
            )
            if categories in FINE_NAMES:
                message += f" To fetch this category alone, pass [{categories!r}]."
            raise ValueError(message + _hint(categories, {*FINE_NAMES, *PRESETS}))
        categories = PRESETS[categories]
    names = list(categories)
    if not names:
        raise ValueError(
            f"{start} is empty. Expected at least one category name, or None to fetch all."
        )
    unknown = [name for name in names if not isinstance(name, str) or name not in FINE_NAMES]
    if unknown:
        listed = ", ".join(repr(name) + _hint(name, set(FINE_NAMES)) for name in unknown)
        raise ValueError(
            f"{start} contains unknown names: {listed}. The categories of CIFAR-100 are: "
            f"{', '.join(FINE_NAMES)}."
        )
    repeated = [name for name, count in Counter(map(str, names)).items() if count > 1]
    if repeated:
        raise ValueError(f"{start} repeats {repeated}. Expected each category name once.")
    return sorted(FINE_NAMES.index(str(name)) for name in names)


def _hint(name: object, known: set[str]) -> str:
    """Return what the user may have meant by a wrong name, in parentheses, or nothing."""
    if not isinstance(name, str) or name in known:
        return ""
    tidy = "_".join(name.lower().split())
    if tidy in SUPERCLASSES:
        members = ", ".join(map(repr, SUPERCLASSES[tidy]))
        return f" (a superclass; its categories are {members})"
    close = difflib.get_close_matches(tidy, sorted(known), n=3)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
