"""The worked example of card 47."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["CARD", "FIRST_WEIGHT", "ROWS", "SECOND_WEIGHT", "rows", "worked"]

ROWS = [[3.0, 0, 1], [0, 2, -1], [1, -2, 1], [-1, 0, 4]]
CARD: dict[str, Any] = {"margin": 0.5 * math.log(3), "lr": 0.1, "momentum": 0.9, "rho": 0.05, "reset_below": 0.0}
FIRST_WEIGHT = [1.0254332, 1.0261633, 1.0265014]
SECOND_WEIGHT = [1.0730568, 1.0750723, 1.0760648]


def rows(values: Any) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float64)


def worked() -> Any:
    import torch

    head = torch.nn.Linear(3, 3, bias=False)
    head.weight.data = torch.tensor([[1.0, -0.5, 0], [0, 1, -0.5], [-0.5, 0, 1]])
    return torch.nn.Sequential(torch.nn.LayerNorm(3, eps=1e-5), head).double()
