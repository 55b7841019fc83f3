"""Run the example on real photographs and record its output: python docs/record_run.py DIR

Runs examples/cifar100_ecology.py on the images in DIR, and writes its output and its pictures to
docs/recorded/, for the page recorded_run.md. With --epochs 6 this takes about six minutes on two
cores. How long the training took is left out: recipes.md has times that were measured with care.
"""

import argparse
import datetime
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "benchmarks"))

from reporting import describe_machine, versions  # noqa: E402

# Pictures in the order of the page, with their captions.
PICTURES = {
    "imagegrid": "Training images",
    "channels": "One image and its channels",
    "history": "Training history",
    "predictions": "Predictions for randomly chosen test images",
    "confusion": "Confusion matrix",
}


def main() -> None:
    """Run the example and write its output and pictures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("data", type=Path, help="folder that holds, or will hold, CIFAR-100")
    arguments.add_argument("--epochs", type=int, help="fewer, for a shorter run")
    options = arguments.parse_args()
    folder = DOCS / "recorded"
    folder.mkdir(exist_ok=True)
    command = ["examples/cifar100_ecology.py", "--data", str(options.data)]
    shown = "python examples/cifar100_ecology.py"
    if options.epochs:
        command += ["--epochs", str(options.epochs)]
        shown += f" --epochs {options.epochs}"
    with tempfile.TemporaryDirectory() as scratch:
        run = subprocess.run(
            [sys.executable, *command, "--pictures", scratch],
            cwd=DOCS.parent,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in PICTURES:
            picture = Image.open(Path(scratch, f"cifar100_ecology_{name}.png")).convert("RGB")
            picture.save(folder / f"{name}.webp", quality=80, method=6)
    output = re.sub(r"^(picture:|training took) .*\n", "", run.stdout, flags=re.MULTILINE)
    packages = ", ".join(f"{name} {v.partition('+')[0]}" for name, v in versions().items())
    lines = [
        f"`{shown}`, run on {datetime.date.today():%d %B %Y} on {describe_machine('cpu')}, with "
        f"{packages}. The time of the training and the names of the pictures are left out:",
        "",
        "```text",
        output.strip(),
        "```",
    ]
    for name, title in PICTURES.items():
        lines += ["", f"**{title}**", "", f"![{title}](recorded/{name}.webp)"]
    (folder / "run.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
