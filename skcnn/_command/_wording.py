"""Errors as the command line says them: options in place of Python's parameters."""

import errno
import re

# What messages say to who writes Python, and what it is here, in this order.
_IN_PLAIN_WORDS = (
    (r"\bload_image_(?:folder|table): ", ""),
    (r"\buse load_image_table\b", "name the table: --table"),
    (
        r"\bfor images without labels, pass label=None",
        "images without labels are for skcnn predict",
    ),
    (r"\bload_image_(?:folder|table)\b", "skcnn"),
    (r"\b(label|path)= ?", r"--\1 "),
    (r"\bgroup= ?", "--groups "),
    (r"\bskcnn found no training example in\b", "There is no photograph to use in"),
    (r"\bset cache_dir=None\b", "leave out --cache-dir"),
    (r"\bcache_dir=", "--cache-dir "),
    (r"\bdevice=", "--device "),
    (r"\bsource=(.+?) of Backbone\b", r"--pretrained \1"),
    (r"\bimage_shape\b", "--image-size"),
    (r"\bof the labels in y\b", "of the labels of the photographs"),
    (r", as in classes_, of the same type\b", ""),
    (r"The 'label' parameter of skcnn\b", "--label"),
    (r" \((?:keep=.*?|see several_labels=)\)", ""),
    (r"; or pass delimiter=", ""),
    (r", or pass what pandas\.read_excel.* returns\b", ""),
    (r" An archive of GBIF .*", ""),
    (r" Pass it to the predict of a model\.", ""),
    (
        r"y has 'NA' in .* use another name\.",
        "A class is named NA, as R writes a missing value. Give its folder another name.",
    ),
)
# What pip calls modules of other names.
_PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn"}
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def in_plain_words(error: Exception) -> str:
    """Return a message as this command would say it: options in place of Python's parameters."""
    file, text = "", str(error)
    if isinstance(error, OSError) and error.strerror:
        file, text = f"{error.filename}: " if error.filename else "", error.strerror
        if file and error.errno in _DISK_FULL:
            text += ". Free space there, or write to another disk."
    if isinstance(error, MemoryError):
        text = f"The memory of this machine is too small. {text}".rstrip(". ")
        text += ". Set a smaller --image-size."
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        if text == f"No module named {error.name!r}":
            text += f". Install it: pip install {_PACKAGES.get(module, module)}"
    for pattern, said in _IN_PLAIN_WORDS:
        text = re.sub(pattern, said, text)
    return f"{file}{text}"
