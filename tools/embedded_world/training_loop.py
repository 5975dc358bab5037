"""One training loop for every model of the embedded world: seeded, resumable, with progress.

A step's randomness depends only on (seed, step), so a resumed run continues exactly as an
uninterrupted one would have.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn.

    Attributes:
        folder: where the checkpoint lies.
        steps: optimiser steps in all.
        learning_rate: peak rate; warmed up over ``warmup`` steps, constant, then linear to zero
            over the last ``decay`` share of the steps.
        seed: decides every batch and every noise.
        device: torch device.
        averaging: decay of the exponential moving average of the weights; 0 turns it off.
    """

    folder: Path
    steps: int
    learning_rate: float
    seed: int = 0
    device: str = "cpu"
    warmup: int = 100
    decay: float = 0.4
    averaging: float = 0.0
    weight_decay: float = 0.01
    checkpoint_every: int = 200

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, in 0..learning_rate."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / self.warmup, left)


@dataclass(frozen=True)
class StepRandom:
    """The random generators of one step."""

    numpy: np.random.Generator
    torch: torch.Generator

    @classmethod
    def of(cls, seed: int, step: int) -> "StepRandom":
        """Return generators that depend on (seed, step) alone."""
        rng = np.random.default_rng([seed, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return cls(rng, generator)


def mixed_precision(device: str) -> torch.autocast:
    """Return a context that computes in bfloat16, where the device does that fast.

    Without AVX-512, oneDNN emulates bfloat16 on a CPU ten times slower than float32.
    """
    kind = device.split(":")[0]
    fast = kind != "cpu" or torch.backends.cpu.get_cpu_capability() == "AVX512"
    return torch.autocast(kind, torch.bfloat16, enabled=fast)


def fit(model: nn.Module, loss: Callable[[int, StepRandom], Tensor], plan: Plan) -> nn.Module:
    """Minimise ``loss`` over the parameters of ``model``.

    Args:
        model: learns in place; its state is restored first if a checkpoint exists.
        loss: maps (step, random generators) to a scalar tensor.
        plan: how long, how fast, where to keep the checkpoint.

    Returns:
        The model, holding the averaged weights when averaging is on.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(
        model.parameters(), plan.learning_rate, (0.9, 0.99), weight_decay=plan.weight_decay
    )
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=_warming_average(plan.averaging), use_buffers=True
    )
    start = _restore(plan, model, average, optimizer)
    model.train()
    began, shown = time.monotonic(), math.nan
    with tqdm(total=plan.steps, initial=start, desc=plan.folder.name, mininterval=10) as bar:
        for step in range(start, plan.steps):
            for group in optimizer.param_groups:
                group["lr"] = plan.rate(step)
            value = loss(step, StepRandom.of(plan.seed, step))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if plan.averaging:
                average.update_parameters(model)
            seen = value.item()
            shown = seen if math.isnan(shown) else 0.98 * shown + 0.02 * seen
            bar.set_postfix(
                loss=f"{shown:.4f}", minutes=f"{(time.monotonic() - began) / 60:.1f}", refresh=False
            )
            bar.update()
            if (step + 1) % plan.checkpoint_every == 0 or step + 1 == plan.steps:
                _save(plan, model, average, optimizer, step + 1)
    if plan.averaging:
        model.load_state_dict(average.module.state_dict())
    return model.eval()


def _warming_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """Average that forgets fast at first (decay (1+n)/(10+n)), as diffusers' EMAModel does."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        n = float(count)
        weight = 1 - min(decay, (1 + n) / (10 + n))
        for kept, new in zip(averaged, current, strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, weight)
            else:
                kept.copy_(new)

    return update


def _save(
    plan: Plan,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    state = {
        "step": step,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    partial = plan.folder / "checkpoint.pt.partial"
    torch.save(state, partial)
    partial.replace(plan.folder / "checkpoint.pt")


def _restore(
    plan: Plan, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    path = plan.folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location=plan.device, weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
