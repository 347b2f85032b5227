"""What reconstruction needs to know of a layer with a closed form."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from onnx_evoq.quantize import Activation, Linear


@dataclass(frozen=True)
class Product:
    """Another product that the node of a layer adds to its own.

    Attributes:
        weight: the initializer that holds the weight.
        linear: how the weight becomes a matrix.
        input: the tensor that the weight is multiplied with.
        channels: for each channel of the layer, whether the product is added to it.
    """

    weight: str
    linear: Linear
    input: str
    channels: tuple[bool, ...]


@dataclass(frozen=True)
class HalfBias:
    """A bias that is half of what its initializer holds, (directions, 2, rows).

    Attributes:
        half: which half is the layer's own.
        both: for each channel of the layer, whether the other half is added, too.
    """

    half: int
    both: tuple[bool, ...]


@dataclass(frozen=True)
class Layer:
    """A layer with a closed form.

    Attributes:
        weight: the name of its weight.
        linear: how the weight becomes a matrix.
        input: the tensor that the weight is multiplied with.
        output: the layer's output, its bias included; None if it is no tensor of the model, since
            the node goes on with it.
        bias: the initializer that holds its bias; None if it has none of its own.
        sum: the sum of a residual branch that alone reads the output; None if there is none, or if
            it is no tensor.
        other: the other term of that sum.
        activation: the activation that alone reads the output, or the sum; None if it depends on
            its input everywhere, or if there is none.
        float_names: the names of `read` in the float model, where activations are integers; empty
            if they are the same.
        beside: the product that the node adds to an output that is no tensor; None for none.
        half_bias: which part of its initializer the bias is; None for all of it.
        tied: the other layers with this weight, if it becomes the same matrix there.
        gives_scores: whether a Sigmoid at the end of the model makes scores of the output, or of
            the sum.
    """

    weight: str
    linear: Linear
    input: str
    output: str | None
    bias: str | None
    sum: str | None = None
    other: str | None = None
    activation: Activation | None = None
    float_names: tuple[str, ...] = ()
    beside: Product | None = None
    half_bias: HalfBias | None = None
    tied: tuple["Layer", ...] = ()
    gives_scores: bool = False

    @property
    def uses(self) -> tuple["Layer", ...]:
        """All layers with this weight, this one first."""
        return (self, *self.tied)

    @property
    def has_one_bias(self) -> bool:
        """Whether the layer alone has this weight, and a bias that is all of an initializer."""
        return self.bias is not None and self.half_bias is None and not self.tied

    def each(self, change: Callable[["Layer"], "Layer"]) -> "Layer":
        """This layer with a change to all that it is tied to, too."""
        return replace(change(self), tied=tuple(change(layer) for layer in self.tied))

    @property
    def without_activations(self) -> "Layer":
        """The layers with this weight as if nothing hid their errors."""
        return self.each(lambda layer: replace(layer, activation=None))

    @property
    def read_by_all(self) -> list[str]:
        """The tensors that all layers with this weight read."""
        return list(dict.fromkeys(name for layer in self.uses for name in layer.read))

    @property
    def given_by_all(self) -> list[str]:
        """The tensors that the targets of all layers with this weight come from."""
        return list(dict.fromkeys(name for layer in self.uses for name in layer.given))

    @property
    def read(self) -> list[str]:
        """The tensors that the layer's columns and other terms of a sum come from."""
        others = [self.other, None if self.beside is None else self.beside.input]
        return [self.input, *(name for name in others if name is not None)]

    @property
    def given(self) -> list[str]:
        """The tensors that the targets come from: its output, or what gives it, and the sum."""
        if self.output is None:
            return list(self.float_names) or self.read
        return [self.output] if self.sum is None else [self.output, self.sum]
