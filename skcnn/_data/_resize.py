"""Images scaled down on their device."""

from torch import Tensor, nn


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Return height and width of an image at a fraction of its sides, at least one pixel.

    Examples
    --------
    >>> scaled_size((32, 1), 0.625)
    (20, 1)
    """
    height, width = size
    return max(1, round(scale * height)), max(1, round(scale * width))


def resize(images: Tensor, scale: float) -> Tensor:
    """Reduce images (n, height, width, channels) to a fraction of their sides.

    Sides of one pixel stay. Reduced images are float32.
    """
    height, width = images.shape[1:3]
    size = scaled_size((height, width), scale)
    if size == (height, width):
        return images
    pixels = images.float().permute(0, 3, 1, 2)
    reduced = nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return reduced.permute(0, 2, 3, 1)
