"""The versions of packages, by the modules that they hold."""

import numpy as np
import pytest

from onnx_evoq.run import installed


def test_the_version_of_an_installed_package_is_its_own() -> None:
    assert installed.version_of("numpy") == np.__version__
    assert installed.package_of("numpy") == "numpy"


def test_a_package_may_have_another_name_than_its_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"no_module": ["a-package"]})
    assert installed.package_of.__wrapped__("no_module") == "a-package"
    assert installed.package_of.__wrapped__("no_other") == "no_other"
