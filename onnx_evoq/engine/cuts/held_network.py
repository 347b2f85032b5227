"""A network whose parts are held by an executor, so that each value is sent once.

A search changes a few weights at a time. So the values of a network are held one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_evoq.executors import Executor, Memory, Reference
from onnx_evoq.model import Network, without_files


@dataclass(frozen=True, eq=False)
class HeldNetwork:
    """A network in the argument of a task.

    Attributes:
        model: its model.
        values: its values, by name.
    """

    model: Reference[Any]
    values: Mapping[str, Reference[Any]]

    def network(self, memory: Memory) -> Network:
        """The network, from what a worker has."""
        values = {name: memory.value(each) for name, each in self.values.items()}
        return Network(memory.value(self.model), values)


def hold_network(executor: Executor, network: Network) -> HeldNetwork:
    """Let an executor hold a network; values in data files are read.

    Args:
        executor: holds it.
        network: any network.

    Raises:
        ModelError: a data file is gone, or changed.
    """
    network = without_files(network)
    values = {name: executor.hold(value) for name, value in network.values.items()}
    return HeldNetwork(executor.hold(network.model), values)
