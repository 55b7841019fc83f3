"""Network specifications, for `module=`, and the networks that they build."""

from skcnn.networks._backbone import Backbone
from skcnn.networks._conv_blocks import ConvBlocks
from skcnn.networks._image_network import ImageNetwork
from skcnn.networks._spec import NetworkSpec
from skcnn.networks._transformer import CompactTransformer
from skcnn.networks._unet import UNet

__all__ = ["Backbone", "CompactTransformer", "ConvBlocks", "ImageNetwork", "NetworkSpec", "UNet"]
