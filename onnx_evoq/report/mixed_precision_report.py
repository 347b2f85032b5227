"""The result of a search for widths, of the choice of a point, and of its optimization."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnx_evoq.errors import OptionError
from onnx_evoq.mixed_precision import ParetoPoint, Policy
from onnx_evoq.output_file import write_file
from onnx_evoq.report.results import Result
from onnx_evoq.report.search_report import Search


@dataclass(frozen=True)
class MixedPrecision:
    """A search for a width for each layer, the chosen point, and the optimized model.

    Attributes:
        search: the search with its Pareto front; None if a policy was given instead.
        chosen: the point or the policy that was optimized; None if nothing was chosen.
        result: the optimized model; None if nothing was chosen.
        notes: sentences that a user should read.
    """

    search: Search | None
    chosen: Policy | ParetoPoint | None
    result: Result | None
    notes: tuple[str, ...]

    def policy_json(self) -> bytes:
        """The chosen point as the content of a JSON file, which `optimize` takes as its policy.

        Raises:
            OptionError: nothing was chosen.
        """
        if self.chosen is None:
            raise OptionError("nothing was chosen: give a budget, an allowed drop, or a policy.")
        return json.dumps(self.chosen.to_dict(), indent=1).encode()

    def save_policy(self, path: str | Path) -> None:
        """Write the chosen point as a JSON file, which `optimize` takes as its policy.

        Args:
            path: the file to write.

        Raises:
            OptionError: nothing was chosen.
            OutputError: the file cannot be written.
        """
        write_file(path, self.policy_json())

    def to_dict(self, output: str | Path | None = None) -> dict[str, Any]:
        """The search, the chosen point and the model as plain values for JSON.

        Args:
            output: the path that the optimized model was written to.
        """
        values = {} if self.search is None else self.search.to_dict()
        if self.chosen is not None and self.result is not None:
            values["chosen"] = self.chosen.to_dict()
            values["optimized"] = self.result.to_dict(output)
        return {**values, "notes": list(self.notes)}
