"""Tent and EATA against torch-ttt (PyPI), the same rule on the same batches: results, CPU time, and defaults.

torch-ttt 0.0.2 has nine engines; of our methods it has Tent and EATA. Both know BatchNorm2d alone, step with Adam and
predict after the step. As its documentation uses them (`engine.eval()`), batch norms read the source's statistics,
which is our `batch_statistics=False`; its EATA masks, and its `compute_fishers` ends in a TypeError, so that what runs
is ETA. Ours are set to do just this (`predict="after"`), and the largest difference of logits is printed beside the
ratio. "online" keeps the adapted model (`copy_model=False`); "fresh" starts each batch from the source with three
steps, the engine's default, for which it copies the engine while ours writes the norms back (`episodic=True`). EATA's
margins let every sample through: the engine takes a step of Adam even where nothing is selected, ours does not. Its
EATA is compared online only: its fresh one keeps the average of another copy.
The peer's registry imports every engine, and one of them torchvision, which is not installed here and which neither
method uses: an empty registry stands in for it.
Both take each batch in turn, in one process with one torch; of each batch the least over the rounds counts. Limit: 1.
Run: python -m benchmarks.adapt_peers [folder with torch_ttt, from pip install --no-deps --target] (about 40 s)
"""

from __future__ import annotations

import copy
import importlib
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ponder import adapt
from ponder.adapt._reference_models import reference_model
from ponder.models.convert import cache_directory
from ponder.tasks.corruptions import corrupt
from ponder.tasks.pictures import shapes

PINNED, LR, ROUNDS, BATCHES = "torch-ttt==0.0.2", 1e-3, 5, 20
Maker = Callable[[Any], Callable[[torch.Tensor], torch.Tensor]]


def folder() -> str:
    """Return a folder that holds torch_ttt; install it, without the torch that is here already, where it is not.

    Raises:
        CalledProcessError: pip failed.
    """
    if len(sys.argv) > 1:
        return sys.argv[1]
    home: Path = cache_directory() / "peers" / PINNED
    if not (home / "torch_ttt").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(home), PINNED]
        subprocess.run(pip, check=True)
    return str(home)


def peer(name: str, **settings: Any) -> Maker:
    """Return a maker of the peer's adapter."""
    module = importlib.import_module(f"torch_ttt.engine.{name.lower()}_engine")
    optimisation = {"optimizer_name": "adam", "lr": LR, **settings.pop("optimisation")}

    def make(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
        engine = getattr(module, f"{name.title()}Engine")(model, optimization_parameters=optimisation, **settings)
        engine.eval()
        return lambda x: engine(x)[0]

    return make


def ours(kind: Any, **settings: Any) -> Maker:
    """Return a maker of our adapter."""
    return lambda model: kind(model, lr=LR, optimizer="adam", predict="after", batch_statistics=False, **settings)


def main() -> None:
    """Measure and print."""
    sys.path.append(folder())
    registry: Any = types.ModuleType("torch_ttt.engine_registry")
    registry.EngineRegistry = types.SimpleNamespace(register=lambda name: lambda kind: kind)
    sys.modules[registry.__name__] = registry
    torch.set_num_threads(1)
    online, fresh = {"num_steps": 1, "copy_model": False}, {"num_steps": 3, "copy_model": True}
    wide: dict[str, Any] = {"margin": 2.4, "similarity": 2.0, "backward": "masked"}
    cases: dict[str, tuple[Maker, Maker]] = {
        "tent, online": (ours(adapt.Tent), peer("tent", optimisation=online)),
        "tent, fresh": (ours(adapt.Tent, steps=3, episodic=True), peer("tent", optimisation=fresh)),
        "eta, online": (ours(adapt.ETA, **wide), peer("eata", optimisation=online, e_margin=2.4, d_margin=2.0)),
    }
    model = reference_model("conv_bn").model
    batches = corrupt(shapes(64 * BATCHES, seed=5).x, "gaussian_noise", 4).split(64)
    for name, makers in cases.items():
        least = [[float("inf")] * BATCHES for _ in makers]
        apart = 0.0
        for _ in range(ROUNDS):
            both = [make(copy.deepcopy(model)) for make in makers]
            for at, x in enumerate(batches):
                found = []
                for run, row in zip(both, least, strict=True):
                    began = time.process_time()
                    found.append(run(x).detach())
                    row[at] = min(row[at], time.process_time() - began)
                apart = max(apart, float((found[0] - found[1]).abs().max()))
        mine, theirs = (sum(row) for row in least)
        print(
            f"{name}: ponder {1e3 * mine / BATCHES:.2f} ms, torch-ttt {1e3 * theirs / BATCHES:.2f} ms of CPU a batch; "
            f"ponder / torch-ttt: {mine / theirs:.3f} (limit 1), logits within {apart:.1e}"
        )


if __name__ == "__main__":
    main()
