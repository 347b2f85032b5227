"""The codes of all weights of a network as one vector, its fitness, and what its moves cost."""

from onnx_evoq.evolve.network_codes.code_fitness import CodeFitness
from onnx_evoq.evolve.network_codes.code_vector import CodeVector
from onnx_evoq.evolve.network_codes.move_costs import move_costs
from onnx_evoq.evolve.network_codes.rounding_choice import choose_roundings, roundings

__all__ = ["CodeFitness", "CodeVector", "choose_roundings", "move_costs", "roundings"]
