"""Search strategies by ask and tell, in NumPy alone: they know no ONNX, no session and no file.

All three have the shape of `ask_tell.AskTell`.
"""

from onnx_evoq.search.code_mutation import mutate
from onnx_evoq.search.cooperative_coevolution import Coevolution
from onnx_evoq.search.neuroevolution import Neuroevolution
from onnx_evoq.search.nsga2 import NSGA2, survivors
from onnx_evoq.search.pareto import hypervolume, non_dominated_sort

__all__ = [
    "NSGA2",
    "Coevolution",
    "Neuroevolution",
    "hypervolume",
    "mutate",
    "non_dominated_sort",
    "survivors",
]
