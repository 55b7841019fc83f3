"""Run the example on real photographs and keep what came of it: python docs/record_run.py DIR

Runs examples/cifar100_ecology.py on the images in DIR, and writes its output and its pictures to
docs/recorded/, which the page recorded_run.md shows: about six minutes on two cores.
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

# In the order of the page, with what stands above them.
PICTURES = {
    "imagegrid": "Some of the training images",
    "channels": "One of them, and its channels",
    "history": "The course of the training",
    "predictions": "Test images, drawn by chance, and what they are taken for",
    "confusion": "Which categories are taken for which",
}


def main() -> None:
    """Run, and write."""
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
    output = re.sub(r"^picture: .*\n", "", run.stdout, flags=re.MULTILINE)
    packages = ", ".join(f"{name} {v.partition('+')[0]}" for name, v in versions().items())
    lines = [
        f"`{shown}`, run on {datetime.date.today():%d %B %Y} on {describe_machine('cpu')}, with "
        f"{packages}:",
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
