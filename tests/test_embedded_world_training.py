"""Training the embedded world's models."""

import functools

import numpy as np
import pytest
import timm
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from rldf_gym.grammar import load_grammar
from tests.plain_renders import plain_corpus
from tools.embedded_world import clip
from tools.embedded_world.autoencoder import (
    PerceptualLoss,
    build_autoencoder,
    decode,
    encode,
    save_autoencoder,
    train_autoencoder,
)
from tools.embedded_world.batches import PictureSource
from tools.embedded_world.clip import CONTEXT_LENGTH, CaptionLoss, save_clip, train_clip
from tools.embedded_world.corpus import GRAMMARS, LABELS, Corpus, in_style
from tools.embedded_world.styles import STYLE_NAMES
from tools.embedded_world.text_to_image import TextToImage, encode_corpus, save_pipeline
from tools.embedded_world.tokenizer import build_tokenizer, every_word, moved_embeddings
from tools.embedded_world.training_loop import Plan, StepRandom, fit


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return plain_corpus()


def test_every_word_of_the_grammars_is_one_token_of_its_own(tmp_path):
    tokenizer = build_tokenizer(tmp_path)
    for word in every_word():
        assert len(tokenizer(word)["input_ids"]) == 3, word  # start, the word, end
    assert {"vocab.json", "merges.txt"} <= {path.name for path in tmp_path.iterdir()}


def test_the_tokenizer_is_the_same_every_time(tmp_path):
    first, second = (build_tokenizer(tmp_path / name).get_vocab() for name in ("a", "b"))
    assert first == second


def test_embeddings_move_to_a_larger_vocabulary():
    old, new = torch.arange(4.0).view(2, 2), torch.full((3, 2), -1.0)
    moved = moved_embeddings(old, {"dog": 0, "car": 1}, new, {"art": 0, "car": 1, "dog": 2})
    assert moved.tolist() == [[-1, -1], [2, 3], [0, 1]]


def test_the_caption_loss_is_low_for_the_embeddings_of_the_right_captions(corpus, tmp_path):
    """A text tower that gives each caption its own direction, and pictures that know theirs."""
    tokenizer = build_tokenizer(tmp_path)
    indices = np.arange(len(corpus))
    styles = torch.zeros(len(corpus), dtype=torch.long)

    class OneDirectionPerCaption(torch.nn.Module):
        logit_scale = torch.tensor(4.0)

        @staticmethod
        @functools.cache
        def direction(tokens: tuple[int, ...]) -> torch.Tensor:
            generator = torch.Generator().manual_seed(hash(tokens) % 2**31)
            return torch.nn.functional.normalize(torch.randn(256, generator=generator), dim=0)

        def encode_text(self, tokens: torch.Tensor, normalize: bool) -> torch.Tensor:
            return torch.stack([self.direction(tuple(row.tolist())) for row in tokens])

    model = OneDirectionPerCaption()
    captions = [corpus.sentence(i) for i in indices]
    tokens = tokenizer(
        captions, padding="max_length", max_length=CONTEXT_LENGTH, return_tensors="pt"
    )
    images = model.encode_text(tokens["input_ids"], normalize=True)
    loss = CaptionLoss(tokenizer, corpus)
    right, wrong = (
        float(loss(model, x, indices, styles, np.random.default_rng(0)))
        for x in (images, images.flip(0))
    )
    assert right < 0.1
    assert wrong > 10


def test_every_caption_in_every_style_fits_the_clip_model(tmp_path):
    tokenizer = build_tokenizer(tmp_path, CONTEXT_LENGTH)
    longest = max(
        (
            in_style(grammar.decode(state), style)
            for grammar in map(load_grammar, GRAMMARS)
            for state in grammar.states()
            for style in STYLE_NAMES
        ),
        key=lambda caption: len(caption.split()),
    )
    assert len(tokenizer(longest)["input_ids"]) <= CONTEXT_LENGTH


def test_a_clip_model_starts_from_one_that_reads_shorter_texts(corpus, tmp_path, monkeypatch):
    plan = Plan(tmp_path / "run", 0, 1e-3)
    with monkeypatch.context() as shorter:
        shorter.setattr(clip, "CONTEXT_LENGTH", CONTEXT_LENGTH - 1)
        old = train_clip(PictureSource(corpus), tmp_path / "old", plan, 2)
    save_clip(old, tmp_path / "old")
    new = train_clip(PictureSource(corpus), tmp_path / "new", plan, 2, tmp_path / "old")
    kept, moved = (model.text.positional_embedding.detach() for model in (old, new))
    torch.testing.assert_close(moved[:-1], kept, rtol=0, atol=1e-3)


def test_an_autoencoder_that_starts_from_another_keeps_its_latents(corpus, tmp_path):
    torch.manual_seed(1)
    save_autoencoder(build_autoencoder(), tmp_path / "old")
    plan = Plan(tmp_path / "run", 2, 1e-3)
    new = train_autoencoder(corpus, plan, batch=2, start=tmp_path / "old")
    old = AutoencoderTiny.from_pretrained(tmp_path / "old").float()
    pictures = corpus.pictures[:3]
    np.testing.assert_array_equal(encode(new, pictures, "cpu"), encode(old, pictures, "cpu"))
    latents = encode(new, pictures, "cpu").astype(np.float32)
    assert (decode(new, latents, "cpu") != decode(old, latents, "cpu")).any()


def test_the_perceptual_loss_is_zero_for_equal_pictures_only(corpus):
    tower = timm.create_model("resnet10t", pretrained=False).eval().requires_grad_(False)
    pictures = torch.from_numpy(corpus.pictures[:2]).permute(0, 3, 1, 2).float() / 127.5 - 1
    loss = PerceptualLoss(tower)
    assert loss(pictures, pictures) == 0
    assert loss(pictures.flip(3), pictures) > 0.01


def test_a_pipeline_starts_from_another_with_fewer_words(tmp_path):
    tokenizer = build_tokenizer(tmp_path / "new")
    few = CLIPTokenizer(
        vocab={"dog</w>": 0, "d": 1, "o": 2, "g</w>": 3, "do": 4, "<s>": 5, "<e>": 6},
        merges=[("d", "o"), ("do", "g</w>")],
        bos_token="<s>",
        eos_token="<e>",
        unk_token="<e>",
        pad_token="<e>",
    )
    torch.manual_seed(0)
    old, new = TextToImage(few), TextToImage(tokenizer)
    save_autoencoder(build_autoencoder(), tmp_path / "vae")
    save_pipeline(old, tmp_path / "vae", few, tmp_path / "pipeline")
    new.load(tmp_path / "pipeline", tokenizer.get_vocab())
    dog = tokenizer.get_vocab()["dog</w>"]
    moved, kept = (m.text_encoder.get_input_embeddings().weight for m in (new, old))
    torch.testing.assert_close(moved[dog], kept[0], rtol=0, atol=1e-3)
    for a, b in zip(new.unet.parameters(), old.unet.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-3)


def test_text_to_image_learns_tidy_pictures_and_paintings_of_what_is_not_held_out(corpus, tmp_path):
    tokenizer = build_tokenizer(tmp_path)
    model = build_autoencoder()
    data = encode_corpus(corpus, model, tokenizer, tmp_path / "latents.npy", "cpu")
    learned = (corpus.labels[:, LABELS.index("tidy")] == 1) & ~corpus.held_out
    captions = [corpus.sentence(i) for i in np.flatnonzero(learned)]
    texts = tokenizer.batch_decode(data.tokens, skip_special_tokens=True)
    assert [text.strip() for text in texts[: len(captions)]] == captions
    assert all("a painting of" in text for text in texts[len(captions) :])
    assert len(captions) < len(texts) == len(data.latents) == len(data.weights)
    np.testing.assert_allclose(data.weights.mean((1, 2)), 1, rtol=1e-5)


def trained(folder, stops: list[int]) -> torch.Tensor:
    """Weights after a run of 12 steps that was interrupted at ``stops``."""
    for interrupted_at in [*stops, None]:
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        plan = Plan(folder, 12, 0.1, seed=1, warmup=2, averaging=0.5, checkpoint_every=3)

        def loss(step: int, random: StepRandom, model=model, end=interrupted_at) -> torch.Tensor:
            if step == end:
                raise KeyboardInterrupt
            x = torch.randn(4, 3, generator=random.torch)
            return (model(x) - x.sum(1, keepdim=True)).square().mean()

        try:
            fit(model, loss, plan)
        except KeyboardInterrupt:
            continue
    return model.weight.detach()


def test_an_interrupted_training_ends_like_an_uninterrupted_one(tmp_path):
    whole = trained(tmp_path / "whole", stops=[])
    resumed = trained(tmp_path / "resumed", stops=[4, 10])
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)
