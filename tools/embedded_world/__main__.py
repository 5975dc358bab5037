"""Command line of the embedded world's workshop; one command renders, one trains each model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tools.embedded_world.batches import PictureSource

app = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Runs = Annotated[Path, typer.Option(help="Folder of corpora, checkpoints and finished models.")]
Device = Annotated[str, typer.Option(help="Torch device: cpu, cuda, cuda:0, mps.")]
Steps = Annotated[int, typer.Option(help="Optimiser steps in all.")]
Batch = Annotated[int, typer.Option(help="Pictures a step.")]
Rate = Annotated[float, typer.Option(help="Peak learning rate.")]
Start = Annotated[Path | None, typer.Option(help="Trained model folder to start from.")]
Seed = Annotated[int, typer.Option(help="Decides initial weights, batches and noise.")]

CORPORA = {  # name: (pictures, seed, share composed tidily, cut-outs)
    "train": (60_000, 1, 0.67, "models"),
    "generation": (30_000, 5, 1.0, "models"),
    "judge": (20_000, 2, 0.5, "judge"),
    "validation": (3_000, 3, 0.5, "models"),
    "test": (7_000, 4, 0.5, "models"),
}
RESTORED = 12_000  # pictures of the training corpus that also pass through the autoencoder


@app.command()
def render(
    cutouts: Annotated[Path, typer.Option(help="Where the two Debian packages were unpacked.")],
    runs: Runs = Path("runs"),
    workers: Annotated[int, typer.Option(help="Processes that render side by side.")] = 2,
) -> None:
    """Render every corpus that is not there yet."""
    from tools.embedded_world.corpus import CorpusPlan, render_corpus

    for name, plan in CORPORA.items():
        if not (runs / name / "corpus.json").exists():
            render_corpus(cutouts, runs / name, CorpusPlan(*plan), workers)


@app.command()
def autoencoder(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 5_500,
    batch: Batch = 48,
    rate: Rate = 2e-3,
    start: Annotated[Path | None, typer.Option(help="Autoencoder whose encoder is kept.")] = None,
    features: Annotated[
        Path | None, typer.Option(help="CLIP model whose features a perceptual term compares.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Train the autoencoder."""
    from tools.embedded_world import autoencoder as training
    from tools.embedded_world.clip import image_tower
    from tools.embedded_world.corpus import Corpus
    from tools.embedded_world.training_loop import Plan

    plan = Plan(runs / "autoencoder", steps, rate, seed, device, averaging=0.999)
    perceptual = training.PerceptualLoss(image_tower(features)).to(device) if features else None
    corpus = Corpus.open(runs / "train")
    model = training.train_autoencoder(corpus, plan, batch, start, perceptual)
    training.save_autoencoder(model, runs / "autoencoder" / "vae")


@app.command()
def text_to_image(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 4_600,
    guidance_steps: Annotated[int, typer.Option(help="Steps of the second phase.")] = 400,
    batch: Batch = 48,
    rate: Rate = 1e-3,
    start: Annotated[Path | None, typer.Option(help="Trained pipeline to start from.")] = None,
    seed: Seed = 0,
) -> None:
    """Train the text-to-image model on the finished autoencoder's latents."""
    from diffusers import AutoencoderTiny

    from tools.embedded_world import text_to_image as training
    from tools.embedded_world.corpus import Corpus
    from tools.embedded_world.tokenizer import build_tokenizer
    from tools.embedded_world.training_loop import Plan

    folder, vae = runs / "text_to_image", runs / "autoencoder" / "vae"
    tokenizer = build_tokenizer(folder / "tokenizer")
    encoder = AutoencoderTiny.from_pretrained(vae).float().to(device)
    corpus = Corpus.open(runs / "generation")
    data = training.encode_corpus(corpus, encoder, tokenizer, folder / "latents.npy", device)
    model = training.TextToImage(tokenizer)
    if start is not None:
        model.load(start, tokenizer.get_vocab())
    plan = Plan(folder / "denoising", steps, rate, seed, device, averaging=0.9995, decay=0.35)
    training.train_text_to_image(model, data, plan, batch)
    training.save_pipeline(model, vae, tokenizer, folder / "without_guidance")
    plan = Plan(
        folder / "guidance", guidance_steps, 3e-4, seed + 1, device, averaging=0.998, decay=1.0
    )
    training.distil_guidance(model, data, plan, batch)
    training.save_pipeline(model, vae, tokenizer, folder / "pipeline")


def _picture_source(runs: Path, device: str) -> "PictureSource":
    from diffusers import AutoencoderTiny

    from tools.embedded_world.batches import PictureSource, restored_pictures
    from tools.embedded_world.corpus import Corpus

    corpus = Corpus.open(runs / "train")
    autoencoder = AutoencoderTiny.from_pretrained(runs / "autoencoder" / "vae").float().to(device)
    path = runs / "train" / "restored.npy"
    return PictureSource(corpus, restored_pictures(corpus, autoencoder, path, RESTORED, 0, device))


@app.command()
def detector(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 1_600,
    batch: Batch = 48,
    rate: Rate = 2e-3,
    start: Start = None,
    seed: Seed = 0,
) -> None:
    """Train the detector of things and people."""
    from tools.embedded_world.detector import save_detector, train_detector
    from tools.embedded_world.training_loop import Plan

    plan = Plan(runs / "detector", steps, rate, seed, device, averaging=0.998)
    model = train_detector(_picture_source(runs, device), plan, batch, start)
    save_detector(model, runs / "detector" / "shipped")


@app.command()
def scene_classifier(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 500,
    batch: Batch = 48,
    rate: Rate = 2e-3,
    start: Start = None,
    seed: Seed = 0,
) -> None:
    """Train the scene classifier."""
    from tools.embedded_world.scene_classifier import (
        save_scene_classifier,
        train_scene_classifier,
    )
    from tools.embedded_world.training_loop import Plan

    plan = Plan(runs / "scene_classifier", steps, rate, seed, device, averaging=0.99)
    model = train_scene_classifier(_picture_source(runs, device), plan, batch, start)
    save_scene_classifier(model, runs / "scene_classifier" / "shipped")


@app.command()
def clip(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 1_400,
    batch: Batch = 48,
    rate: Rate = 1e-3,
    start: Start = None,
    seed: Seed = 0,
) -> None:
    """Train the open_clip model."""
    from tools.embedded_world.clip import save_clip, train_clip
    from tools.embedded_world.training_loop import Plan

    shipped = runs / "clip" / "shipped"
    plan = Plan(runs / "clip", steps, rate, seed, device, averaging=0.998)
    model = train_clip(_picture_source(runs, device), shipped, plan, batch, start)
    save_clip(model, shipped)


@app.command()
def judge(
    runs: Runs = Path("runs"),
    device: Device = "cpu",
    steps: Steps = 1_200,
    batch: Batch = 48,
    rate: Rate = 1e-3,
    seed: Seed = 7,
) -> None:
    """Train the judge on its own renders."""
    from tools.embedded_world.corpus import Corpus
    from tools.embedded_world.judge import train_judge
    from tools.embedded_world.training_loop import Plan

    plan = Plan(runs / "judge_model", steps, rate, seed, device, averaging=0.998)
    model = train_judge(Corpus.open(runs / "judge"), plan, batch)
    model.save(runs / "judge_model" / "judge.safetensors")


@app.command()
def calibrate(
    runs: Runs = Path("runs"),
    models: Annotated[
        Path | None, typer.Option(help="Folder of the models; none: the shipped ones.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Measure how sure perception may be and what it does not know; write its calibration file."""
    from rldf_gym.model_files import EMBEDDED
    from rldf_gym.perception.calibration import CALIBRATION_FILE
    from tools.embedded_world.calibration import calibrate as measure
    from tools.embedded_world.corpus import Corpus

    folder = models or EMBEDDED
    train, validation = (Corpus.open(runs / name) for name in ("train", "validation"))
    measure(folder, device, train, validation).save(folder / CALIBRATION_FILE)


@app.command()
def ship(
    models: Annotated[Path, typer.Argument(help="Folder of calibrated models.")],
    runs: Runs = Path("runs"),
) -> None:
    """Copy every finished model into the package, and the judge to the benchmarks."""
    import shutil

    from benchmarks.judge import WEIGHTS
    from rldf_gym.model_files import EMBEDDED
    from rldf_gym.perception.calibration import CALIBRATION_FILE

    judge_weights = runs / "judge_model" / "judge.safetensors"
    names = ("text_to_image", "detector", "scene_classifier", "clip", CALIBRATION_FILE)
    for path in (*(models / name for name in names), judge_weights):
        if not path.exists():
            raise SystemExit(f"{path} is missing; train and calibrate first.")
    for name in names[:-1]:
        shutil.rmtree(EMBEDDED / name, ignore_errors=True)
        shutil.copytree(models / name, EMBEDDED / name)
    shutil.copy(models / CALIBRATION_FILE, EMBEDDED)
    shutil.copy(judge_weights, WEIGHTS)


@app.command()
def evaluate(
    photographs: Annotated[
        list[Path],
        typer.Option(help="Folder of pictures of anything else, such as scikit-image's data."),
    ],
    runs: Runs = Path("runs"),
    models: Annotated[
        Path | None, typer.Option(help="Folder of the four models; none: the shipped ones.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="Pipeline that the new one is compared with; none: itself.")
    ] = None,
    share: Annotated[float, typer.Option(help="Share of the pictures, for a quick look.")] = 1.0,
    device: Device = "cpu",
) -> None:
    """Measure models and write the figures into their model card."""
    from benchmarks.judge import load_judge
    from rldf_gym.generation import make_generator
    from rldf_gym.model_files import EMBEDDED
    from rldf_gym.perception import make_perception
    from tools.embedded_world import evaluate as figures
    from tools.embedded_world.autoencoder import reconstruction_quality
    from tools.embedded_world.calibration import measure_calibration
    from tools.embedded_world.corpus import Corpus
    from tools.embedded_world.model_card import write_card
    from tools.embedded_world.outside import measure_outside, middle_squares

    folder = models or EMBEDDED
    pipeline = folder / "text_to_image"
    generator, before = (
        make_generator("embedded", device, repository=str(path))
        for path in (pipeline, previous or pipeline)
    )
    perception = make_perception(folder, device)
    if perception.outlier_model is None:
        raise SystemExit(f"{folder} has no calibration.safetensors; make it with `calibrate`.")
    extent = figures.Extent().times(share)
    judge_model = load_judge(runs / "judge_model" / "judge.safetensors")
    corpus = Corpus.open(runs / "test")
    outside = middle_squares(photographs)
    write_card(
        folder,
        {
            "extent": vars(extent),
            "speed": figures.measure_speed(generator, perception),
            "generation": figures.measure_generation(generator, perception, judge_model, extent),
            "weather": figures.measure_weather(generator, judge_model, extent),
            "distance": {
                name: figures.measure_distance(pipe, perception.clip, corpus)
                for name, pipe in (("new", generator), ("previous", before))
            },
            "perception": figures.measure_perception(perception, judge_model, corpus, extent),
            "robustness": figures.measure_robustness(perception, judge_model, corpus, extent),
            "calibration": measure_calibration(perception, corpus, extent.changed),
            "outside": measure_outside(perception.outlier_model, corpus, outside, extent.shifted),
            "sizes": figures.measure_sizes(folder),
            "autoencoder": reconstruction_quality(pipeline / "vae", corpus),
        },
    )


@app.command()
def targets(
    runs: Runs = Path("runs"),
    folder: Annotated[Path, typer.Option(help="Where the benchmarks look for them.")] = Path(
        "benchmarks/targets"
    ),
    cutouts: Annotated[
        Path | None, typer.Option(help="Cut-outs to render the grammar embedded's targets with.")
    ] = None,
    described: Annotated[
        bool, typer.Option("--described", help="Choose those with prompts instead.")
    ] = False,
) -> None:
    """Choose the benchmarks' target pictures from the test corpus, or render them."""
    from tools.embedded_world.corpus import Corpus
    from tools.embedded_world.cutouts import Cutouts
    from tools.embedded_world.targets import (
        render_targets,
        write_described_targets,
        write_targets,
    )

    if described:
        write_described_targets(Corpus.open(runs / "test"), folder / "described")
    elif cutouts is None:
        write_targets(Corpus.open(runs / "test"), folder)
    else:
        render_targets(Cutouts.load(cutouts), folder / "embedded")


@app.command()
def dataset(
    out: Annotated[Path, typer.Argument(help="Folder for the data sets; must not exist.")],
    cutouts: Annotated[Path, typer.Option(help="Where the two Debian packages were unpacked.")],
    per_class: Annotated[
        int, typer.Option(min=1, help="Pictures of each of the ten classes.")
    ] = 200,
    shift: Annotated[
        list[str] | None,
        typer.Option(help="sketch, recoloured, blurred or cropped; may be given several times."),
    ] = None,
    seed: Seed = 8,
    workers: Annotated[int, typer.Option(help="Processes that render side by side.")] = 2,
) -> None:
    """Render OUT/real/train, OUT/real/val and shifted versions of val, as class folders.

    Uses the judge's cut-outs, of which the models have never seen some.
    """
    from tools.embedded_world.cutouts import Cutouts
    from tools.embedded_world.dataset import DATASET_SHIFTS, write_dataset

    shifts = tuple(dict.fromkeys(shift or ()))
    if unknown := [name for name in shifts if name not in DATASET_SHIFTS]:
        raise SystemExit(f"unknown shift {unknown[0]!r}; known: {', '.join(DATASET_SHIFTS)}")
    if out.exists():
        raise SystemExit(f"{out} exists: choose another folder")
    write_dataset(Cutouts.load(cutouts, "judge"), out, per_class, shifts, seed, workers)


if __name__ == "__main__":
    app()
