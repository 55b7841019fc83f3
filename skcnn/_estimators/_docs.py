"""Documentation that the estimators share, written once and filled into their docstrings.

A docstring of a decorated class, or of its methods, may have lines that hold nothing but names
in braces:

- ``{lr}`` or ``{lr, max_epochs}`` becomes the entries of these parameters or attributes;
- ``{description of augment}`` becomes the text below the first line of an entry, where an
  estimator has a default of its own;
- ``{references}`` becomes the list of the sources that the text cites by a name in brackets,
  numbered as they are first cited.

The parameters of `ConvBlocks` have the entries of its docstring, but for `normalization` and
`global_pool`, whose text is shorter for the estimators.
"""

import re
from inspect import cleandoc
from textwrap import dedent, indent
from typing import TypeVar

from skcnn._estimators._parameters import NETWORK_PARAMETERS
from skcnn.networks import ConvBlocks

Class = TypeVar("Class", bound=type)

_ENTRIES = """
image_shape : sequence of (height, width) or (height, width, channels), default=None
    Shape that image files get, in pixels, and that flattened images had. If the channels are
    left out, files are read in gray (1) if all are gray, else in RGB (3), and rows in the one
    that their number of values fits. None keeps the size of files if they all have the same
    and no side is longer than 128 pixels, and makes others 96x96; and it reads rows of a
    square number of values as square grayscale images, of three times a square number as
    square RGB images, and any others as images one pixel high.
augment : str, Augmentation, callable, torch.nn.Module, sequence of these, or None
    Random changes to each training image in each epoch, in this order: "flip", "shift",
    "cutout", "color", "mixup", "cutmix", or an object with a strength of your choice, such
    as ``Cutout(0.5)``, see `skcnn.augmentation`; a single one is searched as
    ``augment__fraction``. A torch module takes float images (n, channels, height, width) of
    0 to 1, as kornia's do; any other callable takes uint8 or float32 images (n, height,
    width, channels) and a torch.Generator. Both return images of the same shape, type and
    range of values.
lr : float, default=0.1
    Learning rate; with a schedule, the highest one.
max_epochs : int or "auto", default="auto"
    Number of passes over the training images. "auto" takes fewer, the more images there are:
    75 for up to 100 images, 40 for 500, 30 for 1,000, 19 for 3,000, 12 for 10,000, and 8 from
    27,000 on. `n_iter_` says how many there were.
early_stopping : bool, default=False
    Whether to hold out images for validation, to end training when the loss on them no longer
    falls, and to restore the weights of the best epoch. `max_epochs` is then a limit that may be
    set too high. With a learning-rate schedule, training does not stop at once: the learning
    rate falls to zero first, over ``2 * n_iter_no_change`` epochs.
random_state : int, RandomState instance or None, default=None
    Decides initial weights, order of the images, augmentation, dropout and the images held
    out. The same number gives the same network, bit for bit, on the CPU of one machine.
normalization : {"batch", "ghost"}, None, or a sequence of these, default="batch"
    Batch normalization [ioffe2015]_ between convolution and activation, or none. "ghost"
    normalizes each 32 images of a training batch by themselves, for batches of several hundred
    images, see `skcnn.networks.ConvBlocks`.
data_format : {"auto", "channels_last", "channels_first"}, default="auto"
    Whether images come as (n, height, width, channels) or (n, channels, height, width).
    "auto" reads channels last, and raises an error where that looks wrong.
resize : {"crop", "pad", "stretch"}, default="pad"
    How image files of other proportions get the shape of all. "pad" keeps the whole image and
    its proportions, and fills the rest with the mean color of the edges. "stretch" keeps the
    whole image, and changes its proportions. "crop" takes the middle, and loses two opposite
    edges.
on_error : {"raise", "skip"}, default="raise"
    What is done with image files that cannot be read: a single error that names the first
    ten, or training without them, with a warning and the attribute `skipped_`. Skipped files
    get no prediction: their probabilities, logits and features are NaN, and their label is
    None, in an array of objects.
cache_dir : str or PathLike, default=None
    Folder where decoded image files are kept, for later fits and predictions, in this process or
    others. Changed files are decoded again. The folder also keeps the features that the frozen
    stages of a `skcnn.networks.Backbone` compute, from files or arrays. It grows to about
    50 GB, or to the number in the environment variable SKCNN_CACHE_GB; then what was not used
    for longest is deleted. `skcnn.clear_image_cache` empties it. If the folder cannot be
    written to, `fit` raises an error, and `predict` gives a warning.
progressive_resizing : sequence of float, default=None
    Fractions in (0, 1] of their sides that training images are reduced to, the epochs spread
    evenly over them [touvron2019]_: ``(0.625, 0.75, 1)`` trains on images of 32x32 pixels at
    20x20, 24x24 and then in full, in little more than half the time. Not with
    ``global_pool=None``, which takes images of one size only.
test_time_flip : bool, default=False
    Whether to average predictions over each image and its mirror image: the outputs of the
    network, such as logits, from which probabilities and numbers follow. `ConvNetSegmenter`
    averages probabilities. Doubles the prediction time; use it only where flips are valid.
optimizer : {"sgd", "rmsprop", "adam", "adamw", "muon"}, specification of \
            `skcnn.optimizers`, or torch.optim.Optimizer class or a partial of one, \
            default="muon"
    "sgd" has Nesterov momentum 0.9, "rmsprop" the settings of Keras. "muon" takes
    orthogonalized steps for the filters of convolutions [muon2024]_ and the steps of "sgd" for
    everything else, both at the learning rate `lr`. Options are those of a specification,
    such as ``SGD(momentum=0.8)``, searched as ``optimizer__momentum``.
bias_lr_factor : float, default=1.0
    Multiplier on `lr` for biases and normalization layers [jordan2024]_. 4 speeds up early
    training; 16 adds little and hurts on small data sets.
lr_schedule : {"onecycle", "cosine"} or None, default="onecycle"
    Learning-rate schedule over the batches of one call of `fit`: up for a fifth of them and
    down to zero [smith2018]_, down along half a cosine [loshchilov2017]_, or constant. With
    `early_stopping`, the way up takes at most 5 epochs, and the way down is shortened when the
    validation loss no longer falls [hagele2024]_.
weight_decay : float, default=5e-4
    Decay of the weights, but not of biases and normalization layers. "muon" keeps the filters
    of `skcnn.networks.ConvBlocks` at one size in place of it, so that it acts on dense layers
    and the head alone.
weight_averaging : float, default=0.0
    Fraction in [0, 1] of the batches of one call of `fit`, the last ones, over which the
    weights are averaged at the end [izmailov2018]_: 0.25 averages over the last quarter. A
    training that stops early with ``lr_schedule=None`` does without.
batch_size : int or "auto", default="auto"
    Images per step of the optimizer. "auto" takes 16 for fewer than 500 images, 32 for fewer
    than 3,840, 64 for fewer than 7,680, and 128 for more: small data sets need small batches
    to take enough steps. Where a batch is too large for the memory of the device, each step is
    computed in parts, with a warning.
n_iter_no_change : int, default=10
    Epochs without improvement after which early stopping ends the training: at once with
    ``lr_schedule=None``; otherwise the learning rate falls to zero over twice as many epochs.
tol : float, default=1e-4
    Smallest decrease of the validation loss that counts as an improvement.
warm_start : bool, default=False
    Whether another call of `fit` continues from the fitted weights.
checkpoint_dir : str, PathLike or joblib.Memory, default=None
    Folder for training checkpoints: the state after each epoch, in files without code. If a
    fit is interrupted, even by a power failure, the same call resumes from there, with
    bit-identical results on a CPU. With a constant learning rate, ``lr_schedule=None``, and
    without `early_stopping`, `progressive_resizing` and `weight_averaging`, a later fit with
    more epochs resumes as well: successive halving, for example. All that needs a number for
    `random_state`, and no `callbacks` or functions of your own; otherwise a warning names the
    obstacle, and training begins from the start. A damaged checkpoint is named in a warning,
    and its epochs are trained again. Each fit leaves one checkpoint, which takes two to four
    times the memory of the weights. Writing takes at most a twentieth of the time: states of
    very short epochs are left out. Checkpoints are never deleted automatically.
callbacks : list of skorch callbacks, default=None
    Classes, instances or (name, callback) pairs, see `skorch.callbacks`. A callback that
    sets the learning rate needs ``lr_schedule=None``.
device : str or torch.device, default="auto"
    "auto" takes the first of "cuda", "xpu", "mps" and "cpu" that is available.
precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
    Floating-point type of training and of validation during training [micikevicius2018]_.
    "auto" is bfloat16 where the hardware multiplies it fast (AMD CPUs with avx512_bf16, Intel
    CPUs with AMX, CUDA GPUs from compute capability 8.0), float16 on GPUs from 7.0, and
    float32 elsewhere. Weights are stored, and predictions made, in float32.
compile : bool, default=False
    Whether to train through `torch.compile`, which needs a C++ compiler and takes a minute or
    more for each size of images. The fitted network is the uncompiled one.
deterministic : bool, default=False
    Whether a GPU, too, gives the same network bit for bit for the same `random_state`, at
    the cost of speed.
verbose : int, default=0
    0 is silent, 1 shows a progress bar with the figures of the epoch.
n_features_in_ : int
    Values per image: height * width * channels.
feature_names_in_ : ndarray of shape (n_features,)
    Names of the pixels, if X was a DataFrame.
image_shape_ : tuple of (height, width, channels)
    Shape of one image.
skipped_ : DataFrame
    The image files that the last fit left out: `argument` ("X" or "X_val"), `row`, `path` and
    `reason`. Only if image files were fitted with ``on_error="skip"``.
net_ : skorch.NeuralNet
    The fitted skorch net.
device_ : torch.device
    Device the network is on.
loss_curve_ : list of float
    The training loss of each epoch.
n_iter_ : int
    Number of epochs trained.
best_epoch_ : int
    The epoch whose weights were restored, counted from 1: the one with the lowest validation
    loss. Where a schedule has come to its end, it is the last epoch, unless its loss is higher by
    more than two standard errors of the difference. Only with `early_stopping`.
global_pool : {"average", "max", "average_max"} or None, default="average"
    Pooling of the last block's feature maps into features: the average or the maximum of each
    channel, or a quarter of the sum of both (global pooling [lin2014]_). None flattens the
    maps: each pixel of each channel is a feature.
X : array-like of images, or paths of image files
    Images in one of these forms, of any real dtype: (n, height, width, channels), or
    (n, channels, height, width) with ``data_format="channels_first"``; grayscale images
    (n, height, width); flattened images (n, n_pixels), also as a DataFrame. Torch
    tensors and memory maps are read as arrays of their shape; a memory map is never
    loaded as a whole.

    Paths (str or PathLike) in a list, an array, a Series or a DataFrame. A DataFrame is
    read as paths if it has a column `path`, or just one column of text. The columns
    `box_x`, `box_y`, `box_width` and `box_height` beside it are the part of each image to
    use, in fractions of it (0 to 1) from its top left corner, or missing for the whole
    image.

    Other columns of a DataFrame with paths, or with arrays of images in a column `image`
    as `skcnn.datasets.make_images_and_covariates` makes it, are covariates, which the
    network takes beside the features of the image: numbers and booleans, standardized by
    the training rows and with the mean in place of missing values, and columns of dtype
    "category", with an input of 0 or 1 per category. Other text is an error.
sample_weight : array-like of shape (n,), default=None
    Weights of the images in the loss, from 0. None weights all images equally.
groups : array-like of shape (n,), default=None
    Images of the same group, such as one site or one burst of a camera trap, stay
    together when images are held out.
"""

_REFERENCES = """
caruana1997
   Caruana: Multitask learning. Machine Learning 28, 1997.
ronneberger2015
   Ronneberger, Fischer, Brox: U-Net: convolutional networks for biomedical image segmentation.
   MICCAI 2015.
milletari2016
   Milletari, Navab, Ahmadi: V-Net: fully convolutional neural networks for volumetric medical
   image segmentation. 3DV 2016.
lempitsky2010
   Lempitsky, Zisserman: Learning to count objects in images. NIPS 2010.
ioffe2015
   Ioffe, Szegedy: Batch normalization. ICML 2015.
he2016
   He, Zhang, Ren, Sun: Deep residual learning for image recognition. CVPR 2016.
srivastava2014
   Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov: Dropout. JMLR 15, 2014.
lin2014
   Lin, Chen, Yan: Network in network. ICLR 2014.
touvron2019
   Touvron, Vedaldi, Douze, Jegou: Fixing the train-test resolution discrepancy.
   NeurIPS 2019.
muon2024
   Jordan et al.: Muon: an optimizer for hidden layers in neural networks. 2024,
   https://kellerjordan.github.io/posts/muon/.
jordan2024
   Jordan: 94% on CIFAR-10 in 3.29 seconds on a single GPU. 2024, arXiv:2404.00498.
smith2018
   Smith, Topin: Super-convergence: very fast training of neural networks using large
   learning rates. 2018, arXiv:1708.07120.
loshchilov2017
   Loshchilov, Hutter: SGDR: stochastic gradient descent with warm restarts. ICLR 2017.
hagele2024
   Hägele, Bakouch, Kosson, Ben Allal, Von Werra, Jaggi: Scaling laws and compute-optimal
   training beyond fixed training durations. NeurIPS 2024.
izmailov2018
   Izmailov, Podoprikhin, Garipov, Vetrov, Wilson: Averaging weights leads to wider optima
   and better generalization. UAI 2018.
szegedy2016
   Szegedy, Vanhoucke, Ioffe, Shlens, Wojna: Rethinking the Inception architecture for
   computer vision. CVPR 2016.
micikevicius2018
   Micikevicius et al.: Mixed precision training. ICLR 2018.
"""

#: Names of the sources that `ConvBlocks` cites by numbers, for the parameters shared with it.
NAMES_OF_SOURCES = {"4": "he2016", "6": "srivastava2014"}

_PLACEHOLDER = re.compile(
    r"^( *)\{(?!references)(description of )?(\w+(?:, \w+)*)\}$", re.MULTILINE
)
_LIST = re.compile(r"^( *)\{references\}$", re.MULTILINE)
_CITATION = re.compile(r"\[([a-z]\w*)\]_")
_NUMBER = re.compile(r"\[(\d+)\]_")


def documented(cls: Class) -> Class:
    """Fill the shared documentation into the docstrings of a class and of its methods."""
    methods = [member for member in vars(cls).values() if callable(member)]
    for documentable in (cls, *methods):
        # Without docstrings (python -OO) there is nothing to fill.
        if documentable.__doc__ is not None:
            documentable.__doc__ = fill(documentable.__doc__)
    return cls


def fill(docstring: str) -> str:
    """Replace the names in braces in a docstring, and number its citations.

    Raises
    ------
    KeyError
        If there is no entry of that name.

    Examples
    --------
    >>> print(fill("{lr}"))
    lr : float, default=0.1
        Learning rate; with a schedule, the highest one.
    """
    text = _PLACEHOLDER.sub(_entries_of, docstring)
    numbers = {name: n for n, name in enumerate(dict.fromkeys(_CITATION.findall(text)), start=1)}
    text = _CITATION.sub(lambda cited: f"[{numbers[cited[1]]}]_", text)
    sources = "\n".join(f".. [{n}] {REFERENCES[name]}" for name, n in numbers.items())
    return _LIST.sub(lambda found: indent(sources, found[1]), text)


def _entries_of(found: re.Match[str]) -> str:
    margin, only_description, names = found.groups()
    texts = [ENTRIES[name] for name in names.split(", ")]
    if only_description:
        texts = [dedent(text.partition("\n")[2]) for text in texts]
    return indent("\n".join(texts), margin)


def _parse(text: str) -> dict[str, str]:
    """Split a text into entries, each a line that begins with a name and the lines below it."""
    entries = re.split(r"\n(?=\w)", text.strip())
    return {re.split(" : |\n", entry)[0]: entry for entry in entries}


def _read_entries() -> dict[str, str]:
    """Return all entries: those of `ConvBlocks` for its parameters, and those of this module."""
    # Without docstrings (python -OO) there are none.
    text = cleandoc(ConvBlocks.__doc__ or "").partition("Parameters\n----------\n")[2]
    network = _parse(text.partition("\n\n")[0])
    own = _parse(_ENTRIES)
    for name in set(NETWORK_PARAMETERS) & network.keys() - own.keys():
        own[name] = _NUMBER.sub(lambda found: f"[{NAMES_OF_SOURCES[found[1]]}]_", network[name])
    return own


ENTRIES = _read_entries()
REFERENCES = {name: text.partition("\n   ")[2] for name, text in _parse(_REFERENCES).items()}
