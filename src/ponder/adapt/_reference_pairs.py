"""Two small models that adapters for image-text models and for merging are tried on, trained here in a minute or two.

`two_towers`: a CLIP of transformers, 64 patches an image, on the shapes pictures, told apart by captions.
`two_experts`: a generalist trained on few pictures of many kinds, and the same net fine-tuned on many of one kind.
Source: our own. Cost: training once, then reading a file from the user's cache. Needs: the extra `torch`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ponder.adapt._reference_files import kept_weights
from ponder.adapt._reference_models import ConvNet, Reference, pictures
from ponder.core.seeds import derive_seed
from ponder.tasks.corruptions import corrupt

__all__ = ["Experts", "Pairs", "caption_ids", "two_experts", "two_towers"]

_VERSION = 1
_LENGTH, _END = 6, 1
HOME = ("gaussian_noise", 4)  # what the expert has trained on
SEEN = ("defocus_blur", "contrast", "brightness", "fog", "frost", "pixelate")  # what the generalist has too, with HOME


@dataclass(frozen=True, kw_only=True)
class Pairs(Reference):
    """The two-tower model; `model` is transformers' CLIPModel.

    Attributes:
        classes: unit text embedding of each class, (C, d).
    """

    classes: Tensor

    @staticmethod
    def view(x: Tensor) -> Tensor:
        """Return pictures (N, 1, 16, 16) as the model takes them: around 0."""
        return (x - 0.3) / 0.3


@dataclass(frozen=True, kw_only=True)
class Experts(Reference):
    """`model` is the generalist; `train` are its pictures of all kinds, `test` are plain ones.

    Attributes:
        accuracy: of the generalist at home, in [0, 1].
        expert: the same net, fine-tuned at home.
        expert_accuracy: of the expert at home.
    """

    expert: nn.Module
    expert_accuracy: float

    @staticmethod
    def at_home(x: Tensor, *, seed: int = 0) -> Tensor:
        """Return plain pictures as they look at home."""
        return corrupt(x, *HOME, seed=seed)


def caption_ids(label: int) -> list[int]:
    """Return the tokens of "picture of <class>": begin, two words, the class, end, padding."""
    return [0, 2, 3, 4 + label, _END, _END]


def two_towers(*, seed: int = 0) -> Pairs:
    """Return the two-tower model in evaluation mode, a fresh copy each time."""
    import transformers

    train, test = pictures("shapes")
    classes = int(train.y.max()) + 1
    small: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={
            **small,
            "num_hidden_layers": 2,
            "vocab_size": 4 + classes,
            "max_position_embeddings": _LENGTH,
            "bos_token_id": 0,
            "eos_token_id": _END,
            "pad_token_id": _END,
        },
        vision_config={**small, "num_hidden_layers": 4, "image_size": 16, "patch_size": 2, "num_channels": 1},
        projection_dim=32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "reference", "two towers"))
        model = transformers.CLIPModel(config)
    tokens = torch.tensor([caption_ids(label) for label in range(classes)])

    def embedded() -> Tensor:
        return nn.functional.normalize(_pooled(model.get_text_features(input_ids=tokens)), dim=-1)

    def logits(x: Tensor) -> Tensor:
        features = nn.functional.normalize(_pooled(model.get_image_features(pixel_values=Pairs.view(x))), dim=-1)
        return model.logit_scale.exp() * features @ embedded().T

    _fit(_name("two_towers", seed), model, logits, train, seed, epochs=6, lr=5e-3)
    with torch.no_grad():
        text = embedded()
        right = torch.cat([logits(part).argmax(1) for part in test.x.split(256)]) == test.y
    return Pairs(model=model, train=train, test=test, accuracy=float(right.float().mean()), classes=text)


def two_experts(*, seed: int = 0) -> Experts:
    """Return generalist and expert in evaluation mode, fresh copies each time."""
    train, test = pictures("shapes")
    kinds = [(name, 4) for name in SEEN] + [HOME, ("jpeg", 1)]
    few = 2000 // len(kinds)
    parts = [corrupt(train.x[few * at : few * (at + 1)], *kind) for at, kind in enumerate(kinds)]
    many = type(train)(torch.cat(parts), train.y[: few * len(kinds)])
    home = type(train)(corrupt(train.x, *HOME, seed=1), train.y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "reference", "generalist"))
        generalist, expert = ConvNet("group", width=8), ConvNet("group", width=8)
    _fit(_name("generalist", seed, 2), generalist, generalist, many, seed, epochs=10, lr=4e-3)
    expert.load_state_dict(generalist.state_dict())
    _fit(_name("expert", seed, 2), expert, expert, home, seed, epochs=4, lr=2e-3)
    seen = Experts.at_home(test.x)

    def right(model: nn.Module) -> float:
        with torch.no_grad():
            guesses = torch.cat([model(part).argmax(1) for part in seen.split(256)])
        return float((guesses == test.y).float().mean())

    return Experts(
        model=generalist,
        train=many,
        test=test,
        accuracy=right(generalist),
        expert=expert,
        expert_accuracy=right(expert),
    )


def _fit(
    name: str, model: Any, logits: Callable[[Tensor], Tensor], train: Any, seed: int, *, epochs: int, lr: float
) -> None:
    """Read the weights kept under a name, or train and keep them; leave the model in evaluation mode."""
    kept_weights(name, model, partial(_train, name, model, logits, train, seed, epochs=epochs, lr=lr))


def _train(
    name: str, model: Any, logits: Callable[[Tensor], Tensor], train: Any, seed: int, *, epochs: int, lr: float
) -> None:
    generator = torch.Generator().manual_seed(derive_seed(seed, "reference", name))
    with torch.inference_mode(mode=False), torch.enable_grad():
        model.train()
        steps = epochs * (len(train.x) // 64)
        optimizer = torch.optim.AdamW(model.parameters(), lr=lr / 2, weight_decay=0.01)
        schedule: Any = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
        for _ in range(epochs):
            order = torch.randperm(len(train.x), generator=generator)
            for at in range(0, 64 * (len(order) // 64), 64):
                rows = order[at : at + 64]
                loss = nn.functional.cross_entropy(logits(train.x[rows]), train.y[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()


def _pooled(out: Any) -> Tensor:
    """Return projected features, whether the library returns them bare or in an output."""
    found: Tensor = getattr(out, "pooler_output", out)
    return found


def _name(name: str, seed: int, version: int = _VERSION) -> str:
    return f"{name}-{seed}-v{version}"
