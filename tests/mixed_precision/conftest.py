"""Layer tables that several tests read."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from graphs import conv_net, fire, mlp, random, recurrent, task_of

from onnx_evoq.mixed_precision.layer_table import LayerTable, build_layer_table
from onnx_evoq.mixed_precision.search_space import SearchSpaceOptions
from onnx_evoq.model import fold_batch_norm, load
from onnx_evoq.setup import Task


@pytest.fixture(scope="session")
def tabulated() -> Callable[..., tuple[Task, LayerTable]]:
    """A task and its layer table, made once for a model's name and the options of a search."""

    @cache
    def tabulate(name: str, **options: Any) -> tuple[Task, LayerTable]:
        model, x = {
            "mlp": lambda: (load(mlp()), random(24, 4, seed=5)),
            "conv": lambda: (fold_batch_norm(load(conv_net()))[0], random(48, 3, 8, 8, seed=9)),
            "fire": lambda: (load(fire()), random(24, 2, 6, 6, seed=9)),
            "recurrent": lambda: (
                load(recurrent()),
                np.random.default_rng(0).integers(0, 7, size=(16, 5)),
            ),
        }[name]()
        task = task_of(model, x, x[:8])
        return task, build_layer_table(
            task, np.random.default_rng(0), SearchSpaceOptions(**options)
        )

    return tabulate
