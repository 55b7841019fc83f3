"""Organisms of make_organisms: their parameters, and the painting of bodies."""

from functools import cache
from typing import NamedTuple

import numpy as np

from skcnn.datasets._drawing import (
    Floats,
    Grid,
    Indices,
    Outline,
    OutlineTable,
    coverage,
    look_up,
    outline_table,
    paint,
    per_image,
)


class Species(NamedTuple):
    """Properties of a class: shape and pattern, never color, size or pose."""

    outline: Outline
    slenderness: float = 1.0  # factor by which the outline is narrowed across its axis
    core: Outline = Outline(4, 2, 2, 2)  # an organ in the middle; this one is a disc
    core_size: float = 0.0  # 0: no core
    rings: float = 0.0  # growth rings between center and outline
    ribs: float = 0.0  # ribs all around
    striae: float = 0.0  # stripes across the long axis, per half length


# The most dissimilar classes come first, because n_classes takes them in this order. Only append:
# users rely on a class number meaning the same organism in every version.
SPECIES = (
    Species(Outline(5, 2, 7, 7), core=Outline(5, 1, 1, 1), core_size=0.34),  # sea star
    Species(Outline(2, 1, 1, 1), slenderness=1.5, striae=3.5),  # pennate diatom
    Species(Outline(16, 9, 4, 4), core=Outline(8, 0.5, 0.5, 8), core_size=0.62),  # moon jelly
    Species(Outline(3, 4.5, 10, 10), rings=2),  # triangular diatom
    Species(Outline(12, 2.2, 5, 5), core_size=0.36, ribs=12),  # sea anemone
    Species(Outline(4, 2, 8, 8), core=Outline(4, 1, 1, 1), core_size=0.3),  # cross-shaped desmid
    Species(Outline(1, 0.7, 0.7, 0.7), slenderness=1.1, striae=3),  # leaf
    Species(Outline(4, 12, 15, 15), core_size=0.5),  # square diatom
    Species(Outline(8, 0.5, 0.5, 8), core_size=0.24),  # flower with four petals
    Species(Outline(4, 2, 2, 2), core_size=0.3, ribs=14),  # centric diatom
    Species(Outline(6, 3, 8, 8), rings=2),  # six-armed sea star
    Species(Outline(2, 1, 4, 8), rings=1.5),  # kidney-shaped ciliate
    Species(Outline(16, 0.7, 0.8, 0.8), core_size=0.42),  # radiolarian
    Species(Outline(2, 0.6, 0.6, 0.6), core_size=0.5),  # dinoflagellate with two horns
    Species(Outline(8, 2, 3, 3), core=Outline(8, 0.9, 1.1, 1.1), core_size=0.5),  # sea daisy
    Species(Outline(3, 5, 18, 18)),  # three-armed diatom
    Species(Outline(5, 0.5, 0.6, 0.6), core=Outline(5, 2, 7, 7), core_size=0.3),  # brittle star
    Species(Outline(4, 0.6, 0.6, 0.6), rings=2),  # four-pointed desmid
    Species(Outline(24, 2, 3, 3), rings=2.5),  # hydromedusa
    Species(Outline(6, 1, 1, 1), ribs=6),  # pollen grain
)


class Bodies(NamedTuple):
    """Random properties of n bodies: their positions, poses and colors."""

    kind: Indices  # (n,) row in SPECIES
    pose: Floats  # (n, 2, 2) turns image coordinates into body coordinates
    center: Floats  # (n, 2)
    scale: Floats  # (n,) half length
    skin: Floats  # (n, 3)
    organ: Floats  # (n, 3) color of core and pattern


@cache
def _tables() -> tuple[OutlineTable, OutlineTable]:
    """Tabulate outlines and cores of all species, once per process."""
    return outline_table([s.outline for s in SPECIES]), outline_table([s.core for s in SPECIES])


def paint_bodies(canvas: Floats, grid: Grid, bodies: Bodies, light: Floats) -> Floats:
    """Paint one body in each image, in place, lit from the direction `light` (n, 2).

    Returns the fraction of each pixel that the body covers.
    """
    size = canvas.shape[1]
    kind = bodies.kind

    def trait(name: str) -> Floats:
        values = np.array([getattr(species, name) for species in SPECIES], dtype=np.float32)
        return per_image(values[kind])

    x = grid.x - per_image(bodies.center[:, 0])
    y = grid.y - per_image(bodies.center[:, 1])
    pose = bodies.pose / per_image(bodies.scale)
    along = per_image(pose[:, 0, 0]) * x + per_image(pose[:, 0, 1]) * y
    across = per_image(pose[:, 1, 0]) * x + per_image(pose[:, 1, 1]) * y
    across *= trait("slenderness")
    angle, distance = np.arctan2(across, along), np.hypot(along, across)

    outlines, cores = _tables()
    relative, depth = look_up(outlines, kind, angle, distance)
    core_size = trait("core_size")
    # The size is a divisor, so it must not be 0. `present` makes cores of size 0 invisible below.
    present, core_size = core_size > 0, np.maximum(core_size, 0.1)
    core_depth = look_up(cores, kind, angle, distance / core_size)[1] * core_size

    rings, ribs, striae = trait("rings"), trait("ribs"), trait("striae")
    turn = np.float32(2 * np.pi)
    pattern = np.cos(turn * rings * relative) * (rings > 0)
    # Ribs meet in the center, where they are narrower than a pixel, so they fade out there.
    pattern += np.cos(ribs * angle) * np.minimum(2 * relative, 1) * (ribs > 0)
    pattern += np.cos(turn * striae * along) * (striae > 0)

    skin = np.repeat(bodies.skin, size * size, axis=0).reshape(canvas.shape)
    paint(skin, np.clip(0.5 * pattern, 0, 1), bodies.organ)
    scale = per_image(bodies.scale)
    paint(skin, 0.9 * present * coverage(core_depth * scale, size), bodies.organ)
    # Bodies are domed: bright on the side that faces the light, darker towards the rim.
    facing = per_image(light[:, 0]) * x + per_image(light[:, 1]) * y
    skin *= np.clip(1.08 - 0.3 * relative * relative + 1.1 * facing, 0.4, 1.5)[..., None]
    cover = coverage(depth * scale, size)
    paint(canvas, cover, skin)
    return cover
