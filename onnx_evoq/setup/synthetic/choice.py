"""What to try for the inputs of a model, in one layout of their axes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from onnx_evoq.data import InputPlan, Noise, Values
from onnx_evoq.errors import DataError
from onnx_evoq.model import ShapeInference, SizeDemands, pooled_tensors
from onnx_evoq.setup.axes import (
    Alternative,
    Layout,
    demanded_sizes,
    image_axes,
    is_image,
    sizes_to_try,
    text_line,
)
from onnx_evoq.setup.ranges import scaled_range
from onnx_evoq.setup.synthetic.combinations import Shapes, plans_to_try, shapes_to_try
from onnx_evoq.setup.synthetic.facts import Facts
from onnx_evoq.setup.synthetic.values import Around, noise_of, values_of_role, within_limits
from onnx_evoq.signature import TensorSpec

_SHORT_SIDE = 64  # pixels, which are not halved


class Choice:
    """What to try for the inputs.

    Args:
        facts: what is known of the model's inputs.
        limits: the lowest and the highest value that the user wants; None for the usual ones.
        layout: the axes of the inputs.

    Attributes:
        with_role: the names of the inputs whose uses say what they hold.
        limits: as above.
        scaled: the names of the inputs whose range the model's first nodes say.
    """

    def __init__(
        self,
        facts: Facts,
        limits: tuple[float, float] | None,
        layout: Layout,
    ) -> None:
        self.with_role: set[str] = set()
        self.scaled: set[str] = set()
        self._facts, self._specs, self.limits = facts, facts.specs, limits
        self._layout, self._inference = layout, ShapeInference(facts.model)

    def plans(self) -> Iterator[list[InputPlan]]:
        """Plans of all inputs, the likeliest first."""
        groups = sizes_to_try(self._layout, self._specs, [])
        first = {name: size for group in groups for name, size in group[0].items()}
        return self._plans_of(self._known_sizes(first))

    def smaller(self, plans: Sequence[InputPlan]) -> Iterator[list[InputPlan]]:
        """Plans in which the open sides of images are half as long, as far as they are not short.

        Args:
            plans: of all inputs.
        """
        sizes: dict[str, int] = {}
        for spec, plan in zip(self._specs, plans, strict=True):
            if is_image(spec):
                first = len(spec.shape or ()) - len(plan.shape)  # axis of a sample
                for side in image_axes(spec)[1]:
                    name = self._layout.axes[spec.name][side]
                    if isinstance(name, str):
                        sizes[name] = plan.shape[side - first]
        halved = {n: -(-size // 2) if size > _SHORT_SIDE else size for n, size in sizes.items()}
        return self._plans_of([halved]) if halved != sizes else iter(())

    def _plans_of(self, known: Sequence[Alternative]) -> Iterator[list[InputPlan]]:
        groups = sizes_to_try(self._layout, self._specs, known)
        shapes = shapes_to_try(self._layout, groups, self._contradicted)
        return plans_to_try(self._specs, shapes, self._values)

    def _known_sizes(self, first: Alternative) -> list[Alternative]:
        """Sizes that the model's constants and strides suggest."""
        sizes = {name: size for name, size in first.items() if isinstance(size, int)}
        if not sizes:
            return []
        images = self._sides_of_images(sizes)
        demands = SizeDemands(self._facts.model)
        found = demanded_sizes(sizes, images, lambda tried: demands.at(self._shapes_at(tried)))
        pooled = pooled_tensors(self._facts.model)
        for sides in images:
            if len({*sides}) == 2 and not (found and set(sides) & set(found[0])):

                def shapes_at(tried: Mapping[str, int]) -> Mapping[str, tuple[int | None, ...]]:
                    return self._shapes_at({**sizes, **tried})

                line = text_line(*sides, shapes_at, pooled)
                found = [{**each, **line} for each in found or [{}]] if line else found
        return list(found)

    def _sides_of_images(self, sizes: Mapping[str, int]) -> list[tuple[str, str]]:
        """The names of the height and the width of each image of which both are open."""
        found = []
        for spec in filter(is_image, self._specs):
            height, width = (self._layout.axes[spec.name][axis] for axis in image_axes(spec)[1])
            if height in sizes and width in sizes:
                found.append((str(height), str(width)))
        return found

    def _shapes_at(self, sizes: Mapping[str, int]) -> Mapping[str, tuple[int | None, ...]]:
        """The shapes of all tensors for some sizes of open axes."""
        shapes = self._layout.shapes(sizes)
        return {} if shapes is None else self._inference.shapes(self._full(shapes))

    def _contradicted(self, shapes: Shapes) -> bool:
        return self._inference.contradicted(self._full(shapes))

    def _values(self, spec: TensorSpec, shapes: Shapes) -> list[Values]:
        """Values to try for an input."""
        uses = self._facts.uses[spec.name]
        tensors = self._inference.shapes(self._full(shapes)) if uses.rows else {}
        around = Around(shapes[spec.name], tensors, _lengths_around(spec, shapes))
        of_role = values_of_role(spec, uses, around)
        if of_role:
            self.with_role.add(spec.name)
            return of_role
        axes = len(spec.shape or ())
        (channel_axis,) = image_axes(spec)[0] if is_image(spec) else (axes - 1,)
        usual = noise_of(spec, is_image(spec), channel_axis - max(1, axes))
        if self.limits is None:
            return self._scaled(spec, usual)
        ranged = within_limits(spec, usual[0], self.limits)
        if ranged is None:
            low, high = self.limits
            raise DataError(
                f"input_range {low:g} to {high:g} holds no value of input {spec.name!r}, which is "
                f"{spec.dtype}: give another range."
            )
        return [ranged]

    def _scaled(self, spec: TensorSpec, usual: list[Values]) -> list[Values]:
        """The same in the range that the model's first nodes expect, if they say one."""
        scaling = self._facts.scalings[spec.name]
        noise = usual[0] if isinstance(usual[0], Noise) else Noise()
        found = scaled_range(noise, scaling, spec.dtype, len(spec.shape or ()))
        if found is None or spec.dtype.kind == "b":
            return usual
        self.scaled.add(spec.name)
        return [found, *usual]

    def _full(self, shapes: Shapes) -> dict[str, tuple[int, ...]]:
        """The shapes of a feed of one sample."""
        if self._layout.whole:
            return dict(shapes)
        return {
            spec.name: (spec.shape[0] or 1, *shapes[spec.name]) if spec.shape else ()
            for spec in self._specs
        }


def _lengths_around(spec: TensorSpec, shapes: Shapes) -> tuple[int, ...]:
    """The sizes of the other inputs, and their sums."""
    others = [shape for name, shape in shapes.items() if name != spec.name]
    sizes = dict.fromkeys(size for shape in others for size in shape if size > 1)
    return tuple(dict.fromkeys([*sizes, *(a + b for a, b in combinations(sizes, 2))]))
