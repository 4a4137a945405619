"""What is computed: arrays in, arrays out. Nothing here waits, reads a clock or a file, or draws a random number."""

from __future__ import annotations

from . import generalized_linear, neighbors, probit, similarity, sound, trees, vector_machines
from .bounds import check_elements
from .compiled import AXES, BINDS, Assembly, Border, Packed, Program, View, can_run, linger
from .fused import FUSED_CONVOLUTION
from .image import (
    ChannelOrder,
    channel_biases,
    chw_to_hwc,
    chw_to_image,
    gray_to_rgb,
    hwc_to_chw,
    image_to_chw,
    resize,
    rgb_to_gray,
    scale_and_bias,
    subtract_mean,
)
from .jit import HAVE_NUMBA
from .layers.boxes import kept_boxes
from .losses import (
    categorical_cross_entropy,
    categorical_cross_entropy_gradient,
    mean_squared_error,
    mean_squared_error_gradient,
    softmax_cross_entropy_gradient,
)
from .neighbors import nearest, votes
from .norms import Norm, normalized
from .op import Array, Attributes, Decode, Op, Reading, Shape
from .optimizers import SGD, Adam, Optimizer
from .registry import OPS
from .warm import warm_up

__all__ = [
    "AXES",
    "BINDS",
    "FUSED_CONVOLUTION",
    "HAVE_NUMBA",
    "OPS",
    "SGD",
    "Adam",
    "Array",
    "Assembly",
    "Attributes",
    "Border",
    "ChannelOrder",
    "Decode",
    "Norm",
    "Op",
    "Optimizer",
    "Packed",
    "Program",
    "Reading",
    "Shape",
    "View",
    "can_run",
    "categorical_cross_entropy",
    "categorical_cross_entropy_gradient",
    "channel_biases",
    "check_elements",
    "chw_to_hwc",
    "chw_to_image",
    "generalized_linear",
    "gray_to_rgb",
    "hwc_to_chw",
    "image_to_chw",
    "kept_boxes",
    "linger",
    "mean_squared_error",
    "mean_squared_error_gradient",
    "nearest",
    "neighbors",
    "normalized",
    "probit",
    "resize",
    "rgb_to_gray",
    "scale_and_bias",
    "similarity",
    "softmax_cross_entropy_gradient",
    "sound",
    "subtract_mean",
    "trees",
    "vector_machines",
    "votes",
    "warm_up",
]
