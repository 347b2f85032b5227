"""Which version of a package is installed. It is read once per process."""

from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version


@cache
def package_of(module: str) -> str:
    """The installed package that a module is of; ONNX Runtime has one for each kind of GPU."""
    try:
        version(module)
    except PackageNotFoundError:
        return packages_distributions().get(module, [module])[0]  # reads all that is installed
    return module


@cache
def version_of(package: str) -> str:
    """The version of a package; "unknown" for one that is run from its source.

    Example:
        >>> version_of("no-such-package")
        'unknown'
    """
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
