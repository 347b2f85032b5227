"""Print the oldest versions that pyproject.toml allows of what the package needs.

    python tools/lowest_versions.py > lowest.txt

pip takes them as constraints (pip install --constraint lowest.txt).
"""

import argparse
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lowest(dependencies: list[str]) -> list[str]:
    """Each requirement of the form ``name>=version`` as ``name==version``."""
    return [requirement.replace(">=", "==") for requirement in dependencies]


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(lowest(project["dependencies"])))
