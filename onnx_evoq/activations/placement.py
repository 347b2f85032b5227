"""Where a model's activations are quantized, and the values that their grids give its initializers.

The places are those of `score.placed`. Tensors that share a scale (a pool's input and its output,
for example) have one grid.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from onnx_evoq.array_types import Array, Float32Array, Float64Array
from onnx_evoq.model import (
    PRODUCTS,
    Layer,
    Model,
    Network,
    QuantizedActivation,
    Weight,
    as_network,
    drop_added_shapes,
    find_layers,
    in_order,
    join_limits,
    leave_outputs_float,
    limit_codes,
    quantized_activations,
    simulated,
    tensor_names,
    to_model,
    unshare_means,
)
from onnx_evoq.quantize import ActivationGrid, FixedPoint, at_scale, dequantize, fit, nearest
from onnx_evoq.score import IntegerTensor, placed
from onnx_evoq.targets import ONNXRUNTIME, Target

_BIAS_BITS = 8  # of targets with narrow biases


@dataclass(frozen=True, eq=False)
class Activations:
    """A model with quantized activations, whose weights are floats.

    Attributes:
        float_model: the same model with float activations.
        simulated: the model with QuantizeLinear and DequantizeLinear around its activations.
        tensors: the activations, in the graph's order.
        grids: by the initializer that holds the scale.
        float_nodes: names of nodes that stay float.
        target: what the runtime takes.
        seen: some values of each activation in the float model, (n,) by name.
    """

    float_model: Model
    simulated: Model
    tensors: tuple[QuantizedActivation, ...]
    grids: Mapping[str, ActivationGrid]
    float_nodes: tuple[str, ...] = ()
    target: Target = ONNXRUNTIME
    seen: Mapping[str, Float32Array] = field(default_factory=dict)

    def layers(self, weights: Sequence[Weight]) -> dict[str, Layer]:
        """The layers of the float model, with the inputs that they have in the simulated one.

        Args:
            weights: the weights whose layers to find.
        """
        read = {tensor.name: tensor.dequantized for tensor in self.tensors}

        def renamed(layer: Layer) -> Layer:
            return replace(
                layer,
                input=read.get(layer.input, layer.input),
                other=None if layer.other is None else read.get(layer.other, layer.other),
                float_names=tuple(layer.read),
            )

        layers = find_layers(self.float_model, weights)
        return {name: layer.each(renamed) for name, layer in layers.items()}

    def rounded_bias(
        self, layer: Layer, bias: Float32Array, step: Float32Array | Float64Array | float
    ) -> Float32Array:
        """A bias as the target adds it: in units of ``s_x s_w``, or of 8 bits.

        A float is in these units, too, since ONNX Runtime makes an integer of it.

        Args:
            layer: one of `layers`.
            bias: (channels,).
            step: s_w of its weight, one number or (channels,).

        Returns:
            The bias itself if the layer reads floats, or if a float operator adds it.
        """
        scale = next((t.scale for t in self.tensors if t.dequantized == layer.input), None)
        reader = next((n for n in self.float_model.graph.node if layer.bias in n.input), None)
        if scale is None or reader is None or reader.op_type not in PRODUCTS:
            return bias
        if self.target.biases == "int8":
            grid = bias_grid(bias)
            return dequantize(nearest(bias, grid), grid)
        unit = self.grids[scale].scale * np.asarray(step, np.float64).reshape(-1)
        return np.asarray(unit * np.rint(bias / unit), np.float32)

    @property
    def network(self) -> Network:
        """The simulated model with the grids that there are now."""
        return as_network(self.simulated).with_values(self.values(self.grids))

    def values(self, grids: Mapping[str, ActivationGrid]) -> dict[str, Array]:
        """What some grids give the initializers of the simulated model.

        Args:
            grids: by the initializer that holds the scale.
        """
        values: dict[str, Array] = {}
        for tensor in self.tensors:
            if tensor.scale in grids:
                grid = grids[tensor.scale]
                values[tensor.scale] = np.array(grid.scale, np.float32)
                values[tensor.zero_point] = np.array(grid.zero_point, grid.dtype)
                if tensor.low is not None and tensor.high is not None:
                    values[tensor.low] = np.array(grid.zero_point + grid.low)
                    values[tensor.high] = np.array(grid.zero_point + grid.high)
        return values

    @property
    def first_of_each_scale(self) -> dict[str, str]:
        """The scales by the first tensor, in the graph's order, that has it."""
        first = {tensor.scale: tensor.name for tensor in reversed(self.tensors)}
        return {name: scale for scale, name in first.items() if scale in self.grids}

    def with_scales(self, scales: Mapping[str, float]) -> "Activations":
        """The same with other scales for some activations.

        Args:
            scales: by the first tensor that has the scale; those of others have no effect.
        """
        return self.with_grids(
            {
                scale: self.at_scale(scale, scales[name])
                for name, scale in self.first_of_each_scale.items()
                if name in scales
            }
        )

    def at_scale(self, name: str, scale: float) -> ActivationGrid:
        """A grid with another scale, and the zero point that suits it.

        Args:
            name: the initializer that holds the scale.
            scale: the scale.
        """
        values = [
            self.seen[t.name] for t in self.tensors if t.scale == name and t.name in self.seen
        ]
        return at_scale(self.grids[name], scale, values)

    def factors_from(self, other: "Activations") -> dict[str, float]:
        """By which each scale is larger than that of others for the same model, by scale."""
        return {name: self.grids[name].scale / grid.scale for name, grid in other.grids.items()}

    def with_grids(self, grids: Mapping[str, ActivationGrid]) -> "Activations":
        """The same with other grids for some activations."""
        return replace(self, grids={**self.grids, **grids})


def bias_grid(bias: Float32Array) -> FixedPoint:
    """The grid of a bias of 8 bits, (channels,), with one step that is a power of two.

    All values have codes, so that the grid of a rounded bias holds it.
    """
    grid = fit(bias, _BIAS_BITS)
    largest = float(np.abs(bias).max(initial=0.0))
    return (
        grid if largest <= float(grid.step) * int(grid.high) else replace(grid, step=2 * grid.step)
    )


def integer_tensor(grid: ActivationGrid) -> IntegerTensor:
    """An activation's scale and zero point, in the type of its codes."""
    zero_point = np.array(grid.zero_point, grid.dtype)
    return IntegerTensor(np.array(grid.scale, np.float32), zero_point)


def place(
    model: Model,
    grids: Mapping[str, ActivationGrid],
    weights: Mapping[str, IntegerTensor],
    float_nodes: Collection[str],
    target: Target = ONNXRUNTIME,
    *,
    float_outputs: bool = True,
) -> Model:
    """A copy of a model with QuantizeLinear and DequantizeLinear, and with clipped codes.

    Args:
        model: the float model, prepared.
        grids: by the tensor; others have a scale of 1.
        weights: by name; others have the tool's own scales.
        float_nodes: names of nodes that stay float.
        target: what the runtime takes.
        float_outputs: whether outputs stay float where the last operator can give them.
    """
    activations = {name: integer_tensor(grid) for name, grid in grids.items()}
    copy = to_model(as_network(model))
    symmetric = target.code_type == "symmetric"
    found: Model = placed(
        copy, tensor_names(model), activations, weights, float_nodes,
        symmetric=symmetric, float_biases=target.biases != "int32",
    )  # fmt: skip
    drop_added_shapes(found, model)
    in_order(found)
    if symmetric:
        join_limits(found)
    if float_outputs:
        leave_outputs_float(found, model)
    unshare_means(
        found, model, {n: (each.scale, each.zero_point) for n, each in activations.items()}
    )
    limits = {}
    for tensor in quantized_activations(found):
        grid = grids.get(tensor.name)
        if grid is not None and grid.leaves_codes:
            ends = grid.zero_point + grid.low, grid.zero_point + grid.high
            limits[tensor.codes] = (*ends, grid.dtype)
    limit_codes(found, limits)
    return found


def with_float_weights(
    model: Model,
    grids: Mapping[str, ActivationGrid],
    names: Collection[str],
    float_nodes: Collection[str],
    target: Target = ONNXRUNTIME,
) -> Activations:
    """The model with quantized activations, and with its weights as floats.

    Args:
        model: the float model, prepared.
        grids: by the tensor.
        names: of the weights and biases that stay floats.
        float_nodes: names of nodes that stay float.
        target: what the runtime takes.
    """
    found = simulated(place(model, grids, {}, float_nodes, target), model, names)
    tensors = tuple(quantized_activations(found))
    by_scale = {t.scale: grids[t.name] for t in reversed(tensors) if t.name in grids}
    return Activations(model, found, tensors, by_scale, tuple(float_nodes), target)
