"""Data sets of images: files with their labels, CIFAR-100, and images to generate."""

from skcnn.datasets._annotations import load_annotations
from skcnn.datasets._bursts import group_by_time
from skcnn.datasets._camtrap_dp import load_camtrap_dp
from skcnn.datasets._cifar100 import fetch_cifar100
from skcnn.datasets._coco import load_coco
from skcnn.datasets._ecotaxa import load_ecotaxa
from skcnn.datasets._folder import load_image_folder
from skcnn.datasets._images_and_covariates import make_images_and_covariates
from skcnn.datasets._megadetector import load_megadetector
from skcnn.datasets._organisms import make_organisms
from skcnn.datasets._report import Report
from skcnn.datasets._scenes import make_scenes
from skcnn.datasets._table import load_image_table
from skcnn.datasets._write_predictions import write_predictions

__all__ = [
    "Report",
    "fetch_cifar100",
    "group_by_time",
    "load_annotations",
    "load_camtrap_dp",
    "load_coco",
    "load_ecotaxa",
    "load_image_folder",
    "load_image_table",
    "load_megadetector",
    "make_images_and_covariates",
    "make_organisms",
    "make_scenes",
    "write_predictions",
]
