"""Label images: how well they agree, and what is in them in numbers.

`iou_score` and `dice_score` compare label images, `mask_scorer` makes of them what searches and
`cross_val_score` take as `scoring`, and `measure` returns areas, counts and shapes as a table.
"""

from skcnn.masks._measure import measure
from skcnn.masks._scores import MaskScorer, dice_score, iou_score, mask_scorer

__all__ = ["MaskScorer", "dice_score", "iou_score", "mask_scorer", "measure"]
