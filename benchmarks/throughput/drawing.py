"""What the environment and the atlas cost on top of the bare diffusers pipeline.

The pipeline draws and does not look. Looking is the perception's work, which is no overhead but is
not free either, so it stands beside: the pipeline alone, the pipeline and the bare models, and what
we make of both. Everything is drawn anew in every round, into a new store.
"""

import functools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch

import rldf_gym
from benchmarks.results import Case
from benchmarks.timing import Seconds, Work, in_turn, ratio
from rldf_gym.atlas import Atlas
from rldf_gym.batching import batch_size
from rldf_gym.evaluator import StateEvaluator
from rldf_gym.generation import Generator, make_generator
from rldf_gym.generation.presets import PRESETS
from rldf_gym.grammar import Grammar, load_grammar
from rldf_gym.model_loading import suppress_all_logs
from rldf_gym.perception import Perception, make_perception
from rldf_gym.store import Store

if TYPE_CHECKING:
    from numpy.typing import NDArray

gym.register_envs(rldf_gym)

Pipeline = Callable[[Sequence[str], int], "NDArray[np.uint8]"]
"""Prompts and the batch to draw them in, to pictures."""

PIPELINE = "bare diffusers pipeline"
MODELS = "pipeline and bare perception models"
OWN = "our generator and bare perception models"
ENV = "RLDF-v0"
ATLAS = "Atlas.build"
BATCHES = (1, 16)
"""Of the environments: one of them, and a vector environment's."""
ATLAS_BATCHES = (4, 8, 16, 32)
QUICK_ATLAS_BATCHES = (16,)
ATLAS_STATES, QUICK_ATLAS_STATES = 96, 16
MOST_ROUNDS = 5


def cases(quick: bool) -> list[Case]:
    """One case for each batch of the environments, one for the atlas."""
    states = QUICK_ATLAS_STATES if quick else ATLAS_STATES
    batches = QUICK_ATLAS_BATCHES if quick else ATLAS_BATCHES
    return [
        *({"section": "overhead", "batch": batch} for batch in BATCHES),
        {"section": "atlas", "states": states, "batches": list(batches)},
    ]


def measure_case(case: Case, rounds: int) -> dict[str, Any]:
    """Seconds of every form for the same pictures, each drawn anew."""
    rounds = min(rounds, MOST_ROUNDS)
    grammar, pipeline, models = load_grammar("base"), _bare_pipeline(), make_perception("embedded")
    with tempfile.TemporaryDirectory() as folder:
        if case["section"] == "overhead":
            name, batch = ENV, case["batch"]
            generator = make_generator("embedded", batch_size=batch)
            ours, prompts = _steps(grammar, generator, rounds, Path(folder))
        else:
            name, batch = ATLAS, _best_batch(pipeline, grammar, case["batches"])
            generator = make_generator("embedded")
            ours, prompts = _build(grammar, generator, case["states"], rounds, Path(folder))
        own_batch = batch_size(generator)
        forms: dict[str, Work] = {
            PIPELINE: lambda: _drawn(pipeline, prompts, batch),
            MODELS: lambda: _looked_at(models, pipeline, prompts, batch),
            OWN: lambda: _looked_at(models, _batches_of(generator), prompts, own_batch),
            name: ours,
        }
        seconds = in_turn(forms, rounds)
    return {
        "pictures": len(prompts),
        "pipeline_batch": batch,
        "own_batch": own_batch,
        "seconds": seconds,
    }


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a table of the environments and the atlas."""
    lines = [
        "## Drawing",
        "",
        "Wall clock; every picture is drawn, read and kept anew. The bare pipeline only draws; "
        "beside `Atlas.build`, which uses its defaults, it does so at its best batch.",
        "",
        "| | batch | ms a picture | pictures/s | time, pipeline = 1 | "
        "time, pipeline and models = 1 | time, our generator and models = 1 | bar |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        if row["section"] in ("overhead", "atlas"):
            lines += _lines(row)
    return lines


def _lines(row: dict[str, Any]) -> list[str]:
    seconds: Seconds = row["seconds"]
    bars = {ENV: "≤ 1.03", ATLAS: "≤ 1.05 (0.95 of the pictures/s)"}
    lines = []
    for name in seconds:
        wall = seconds[name]["wall"]
        cost = float(np.median(wall)) / row["pictures"]
        batch = row["pipeline_batch" if name in (PIPELINE, MODELS) else "own_batch"]
        times = [
            "1" if name == other else ratio(wall, seconds[other]["wall"])
            for other in (PIPELINE, MODELS, OWN)
        ]
        lines.append(
            f"| {name} | {batch} | {1e3 * cost:.1f} | {1 / cost:.2f} "
            f"| {' | '.join(times)} | {bars.get(name, '')} |"
        )
    return lines


def _bare_pipeline() -> Pipeline:
    """The embedded preset's model, loaded and called as diffusers' documentation shows."""
    from diffusers import StableDiffusionPipeline

    preset = PRESETS["embedded"]
    with suppress_all_logs():
        pipe = StableDiffusionPipeline.from_pretrained(
            preset.repository,
            torch_dtype=getattr(torch, preset.dtype),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
        ).to("cuda" if torch.cuda.is_available() else "cpu")
    pipe.set_progress_bar_config(disable=True)

    def draw(prompts: Sequence[str], batch: int) -> "NDArray[np.uint8]":
        drawn = []
        for start in range(0, len(prompts), batch):
            some = list(prompts[start : start + batch])
            drawn += pipe(
                some,
                height=preset.height,
                width=preset.width,
                num_inference_steps=preset.steps,
                guidance_scale=preset.guidance_scale,
                generator=[torch.Generator("cpu").manual_seed(0) for _ in some],
            ).images
        return np.stack([np.asarray(image) for image in drawn])

    return draw


def _drawn(pipeline: Pipeline, prompts: Sequence[str], batch: int) -> None:
    pipeline(prompts, batch)


def _looked_at(
    perception: Perception, pipeline: Pipeline, prompts: Sequence[str], batch: int
) -> None:
    for start in range(0, len(prompts), batch):
        pictures = pipeline(prompts[start : start + batch], batch)
        for model in perception.models().values():
            model(pictures)


def _batches_of(generator: Generator) -> Pipeline:
    return lambda prompts, _: generator(prompts, [0] * len(prompts))


def _best_batch(pipeline: Pipeline, grammar: Grammar, batches: Sequence[int]) -> int:
    if len(batches) == 1:
        return batches[0]
    prompts = [grammar.decode(state) for state in grammar.states()[: max(batches)]]
    forms: dict[str, Work] = {
        str(batch): functools.partial(_drawn, pipeline, prompts, batch) for batch in batches
    }
    seconds = in_turn(forms, rounds=2)
    return int(min(seconds, key=lambda batch: min(seconds[batch]["wall"])))


def _steps(
    grammar: Grammar, generator: Generator, rounds: int, folder: Path
) -> tuple[Work, list[str]]:
    """A walk along the nouns, on which every step of every sub-environment sees a new state.

    Environments, one a round, are made and have read their target before the clock starts.
    """
    batch, noun = batch_size(generator), grammar.axis_index("noun")
    n_steps = len(grammar.axis("noun")) - 1 if batch == 1 else 1
    first = grammar.states()[grammar.states()[:, noun] == 0]
    starts = first[np.linspace(0, len(first) - 1, batch).astype(int)]
    shared: dict[str, Any] = {
        "generator": generator,
        "perception": make_perception("embedded"),
    }
    envs = iter(
        [
            gym.make_vec("RLDF-v0", batch, store=folder / f"{batch}-{number}.sqlite", **shared)
            for number in range(rounds + 1)
        ]
    )

    def work() -> None:
        env = next(envs)
        env.reset(options={"state": starts})
        for _ in range(n_steps):
            env.step(np.array([[noun, 1]] * batch))
        env.close()

    prompts = []
    for step in range(n_steps + 1):
        starts_moved = starts.copy()
        starts_moved[:, noun] = step
        prompts += [grammar.decode(state) for state in starts_moved]
    return work, prompts


def _build(
    grammar: Grammar, generator: Generator, n_states: int, rounds: int, folder: Path
) -> tuple[Work, list[str]]:
    """The atlas of a sample of states, with models that are loaded when the clock starts."""
    perception = make_perception("embedded")
    numbers = iter(range(rounds + 1))

    def work() -> None:
        number = next(numbers)
        world = StateEvaluator(
            grammar, generator, perception, Store.open(folder / f"{number}.sqlite")
        )
        Atlas.build(world, folder / f"{number}.safetensors", sample=n_states)
        world.store.close()

    drawn = np.sort(np.random.default_rng(0).choice(grammar.n_states, n_states, replace=False))
    return work, [grammar.decode(grammar.state(index)) for index in drawn]
