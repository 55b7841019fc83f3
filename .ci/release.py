"""Prepare a release.

Usage: python .ci/release.py v1.2.3 https://address/of/the/repository

Refuses a tag that is not the version everywhere, and a version without a section in CHANGELOG.md.
Then writes what depends on where the repository is: addresses in pyproject.toml and CITATION.cff,
and links in README.md, which the page of the package shows by itself.
"""

import re
import sys
import tomllib
from pathlib import Path

# What can be uploaded as a version that pip installs by itself, or with --pre.
_RELEASE = re.compile(r"\d+\.\d+\.\d+(rc\d+)?")


def find_problems(root, tag):
    """Return what speaks against a release of the files in `root` under this tag."""
    version = tomllib.loads(_read(root / "pyproject.toml"))["project"]["version"]
    problems = []
    if tag != f"v{version}":
        problems.append(f"The tag is {tag}, and the version in pyproject.toml {version}.")
    if not _RELEASE.fullmatch(version):
        problems.append(f"{version} is no version of a release, such as 1.2.3 or 1.2.3rc1.")
    if f"\nversion: {version}\n" not in _read(root / "CITATION.cff"):
        problems.append(f"CITATION.cff is not about version {version}.")
    if f'\n  version: "{version}"\n' not in _read(root / "conda" / "recipe.yaml"):
        problems.append(f"conda/recipe.yaml is not about version {version}.")
    if not re.search(rf"^## \[{re.escape(version)}\]", _read(root / "CHANGELOG.md"), re.MULTILINE):
        problems.append(f"CHANGELOG.md has no section [{version}].")
    return problems


def write_addresses(root, tag, repository):
    """Write the addresses of a repository into the files of a release."""
    files = f"{repository}/blob/{tag}"
    urls = {
        "Repository": repository,
        "Documentation": f"{files}/docs/guide.md",
        "Changelog": f"{files}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }
    table = "\n".join(f'{name} = "{url}"' for name, url in urls.items())
    project = root / "pyproject.toml"
    before = "\n[project.optional-dependencies]\n"
    _write(project, _read(project).replace(before, f"\n[project.urls]\n{table}\n{before}", 1))
    citation = root / "CITATION.cff"
    _write(citation, f"{_read(citation)}repository-code: {repository}\n")
    readme = root / "README.md"
    # Pictures first: their links are those with a "!".
    text = re.sub(
        r"!\[([^\]]*)\]\((?![a-z]+:)([^)]+)\)", rf"![\1]({repository}/raw/{tag}/\2)", _read(readme)
    )
    text = re.sub(r"(?<!!)(\[[^\]]*\])\((?![a-z]+:|#)([^)]+)\)", rf"\1({files}/\2)", text)
    _write(readme, text)


def _read(path):
    return path.read_text(encoding="utf-8")


def _write(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")


def main(tag, repository, root=Path(__file__).parents[1]):
    """Check the tag, and write the addresses."""
    problems = find_problems(root, tag)
    if problems:
        sys.exit("\n".join(problems))
    write_addresses(root, tag, repository)


if __name__ == "__main__":
    main(*sys.argv[1:])
