"""Data sets of images: CIFAR-100 to download, and images to generate."""

from skcnn.datasets._cifar100 import fetch_cifar100
from skcnn.datasets._organisms import make_organisms

__all__ = ["fetch_cifar100", "make_organisms"]
