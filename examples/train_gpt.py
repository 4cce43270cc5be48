"""Trains a small GPT on the sources of Python's own library, and goes on after anything that ends it half-way.

    python train_gpt.py --name gpt                     10.9 million parameters
    python train_gpt.py --name gpt --resume            goes on where that one stopped, however it stopped
    python train_gpt.py --config gpt.yaml --lr 0.001   settings from a file, and one from here

All that keeps track of it stands in `train`, in the lines with `run`; the rest is a training as anybody would write it. A run that
was killed and resumed has the same losses and ends with the same weights, to the last bit, as one that never stopped.
"""

from __future__ import annotations

import argparse
import math
import os
import sysconfig
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional

import onyxstore as onyx


@dataclass(frozen=True)
class Settings:
    """All that decides how a training ends; each is a flag, and a key of the file that `--config` names."""

    steps: int = 2000
    batch: int = 16
    block: int = 128
    layers: int = 6
    heads: int = 6
    width: int = 384
    dropout: float = 0.1
    lr: float = 0.001
    warmup: int = 100
    weight_decay: float = 0.1
    seed: int = 1
    checkpoint_every: int = 50


TINY = {"steps": 200, "batch": 4, "block": 32, "layers": 2, "heads": 2, "width": 32, "warmup": 20, "checkpoint_every": 20}
"""What `--tiny` sets: a training of seconds."""

VOCABULARY = 256
"""The text is bytes."""


# ------------------------------------------------------------------------------------------------------------- the model


class Block(nn.Module):
    """Each place looks at those before it, then thinks for itself."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = settings.width
        self.heads = settings.heads
        self.attention_dropout = settings.dropout
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.attention_in = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.thought_norm = nn.LayerNorm(width, bias=False)
        self.thought_in = nn.Linear(width, 4 * width, bias=False)
        self.thought_out = nn.Linear(4 * width, width, bias=False)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """`x` and what comes out are batch, place, width."""
        x = x + self.dropout(self.attend(self.attention_norm(x)))
        thought = functional.gelu(self.thought_in(self.thought_norm(x)))
        return x + self.dropout(self.thought_out(thought))

    def attend(self, x: Tensor) -> Tensor:
        """Causal attention with several heads."""
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.attention_in(x).chunk(3, dim=-1))
        dropout = self.attention_dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        return self.attention_out(seen.transpose(1, 2).flatten(-2))


class GPT(nn.Module):
    """From bytes to the logits of the byte that comes after each."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.bytes = nn.Embedding(VOCABULARY, settings.width)
        self.places = nn.Embedding(settings.block, settings.width)
        self.dropout = nn.Dropout(settings.dropout)
        self.blocks = nn.Sequential(*(Block(settings) for _ in range(settings.layers)))
        self.norm = nn.LayerNorm(settings.width, bias=False)
        self.logits = nn.Linear(settings.width, VOCABULARY, bias=False)

    def forward(self, text: Tensor) -> Tensor:
        """Batch and place in; batch, place and logit out."""
        x = self.bytes(text) + self.places.weight[: text.shape[1]]
        return self.logits(self.norm(self.blocks(self.dropout(x))))


def loss_of(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The mean cross-entropy of a byte, in nats."""
    return functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


# -------------------------------------------------------------------------------------------------------------- the data


def read_text() -> Tensor:
    """The modules of Python's library one after another: real text, some MB of it, on every machine."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    return torch.frombuffer(bytearray(b"".join(file.read_bytes() for file in files)), dtype=torch.uint8)


class Sampler:
    """Batches of blocks of a text, in another order each epoch.

    The order follows from the seed and the epoch, so that two numbers are its whole state: a resumed training goes on with the
    next batch at once, without reading again what it had.
    """

    def __init__(self, text: Tensor, settings: Settings) -> None:
        self.text = text
        self.batch, self.block, self.seed = settings.batch, settings.block, settings.seed
        self.load_state_dict({"epoch": 0, "position": 0})

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Inputs, and as targets the same one byte later: each batch, place."""
        if self.position + self.batch > len(self.order):
            self.load_state_dict({"epoch": self.epoch + 1, "position": 0})
        starts = self.block * self.order[self.position : self.position + self.batch]
        self.position += self.batch
        blocks = self.text[starts[:, None] + torch.arange(self.block + 1)].long()
        return blocks[:, :-1], blocks[:, 1:]

    def state_dict(self) -> dict[str, int]:
        """Where it stands."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Goes to where another stood."""
        self.epoch, self.position = state["epoch"], state["position"]
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        self.order = torch.randperm((len(self.text) - 1) // self.block, generator=generator)


# ---------------------------------------------------------------------------------------------------------- the training


def rate(step: int, settings: Settings) -> float:
    """The learning rate at `step` as a part of the highest: up in a line, then down to a tenth along a cosine."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    progress = min(1.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup))
    return 0.1 + 0.9 * (1 + math.cos(math.pi * progress)) / 2


@torch.no_grad()
def evaluate(model: nn.Module, batches: list[tuple[Tensor, Tensor]], device: str) -> float:
    """The mean loss over `batches`; draws no random numbers, so that evaluating more often changes nothing."""
    model.eval()
    losses = [loss_of(model, inputs.to(device), targets.to(device)) for inputs, targets in batches]
    model.train()
    return torch.stack(losses).mean().item()


def train(settings: Settings, flags: argparse.Namespace) -> None:
    """Trains, and stops early where a signal asks for it."""
    torch.manual_seed(settings.seed)
    model = GPT(settings).to(flags.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, betas=(0.9, 0.95), weight_decay=settings.weight_decay)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, settings))
    live: dict[str, Any] = {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    text = read_text()
    training, validation = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    sampler, held_out = Sampler(training, settings), Sampler(validation, settings)
    validation_batches = [held_out.next_batch() for _ in range(8)]

    configs: dict[str, object] = {"training": settings}
    if flags.config:
        configs[flags.config.stem] = flags.config

    with onyx.start_run(flags.name, configs=configs, best_metric="val_loss", best_mode="min", resume=flags.resume) as run:
        run.track_state("data", sampler)
        run.stop_on_signal()
        first = run.restore(**live)

        for step in range(first, settings.steps):
            began = time.perf_counter()
            inputs, targets = sampler.next_batch()
            loss = loss_of(model, inputs.to(flags.device), targets.to(flags.device))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            grad_norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            metrics = {"loss": loss.item(), "lr": scheduler.get_last_lr()[0], "grad_norm": grad_norm.item()}
            scheduler.step()
            metrics["tokens_per_second"] = inputs.numel() / (time.perf_counter() - began)
            run.log(metrics, step=step, epoch=sampler.epoch)

            stopping = run.stop_requested
            if step % settings.checkpoint_every == 0 or step == settings.steps - 1 or stopping:
                val_loss = evaluate(model, validation_batches, flags.device)
                run.save_checkpoint(**live, metrics={"val_loss": val_loss}, step=step, epoch=sampler.epoch)
                print(f"step {step}: loss {metrics['loss']:.4f}, val_loss {val_loss:.4f}", flush=True)
            if stopping:
                break


# ------------------------------------------------------------------------------------------------------------- the flags


def read_flags() -> tuple[Settings, argparse.Namespace]:
    """The settings (a flag before `--tiny` before the file before the default), and the flags that decide nothing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="gpt", help="what the run is called")
    parser.add_argument("--resume", action="store_true", help="go on from the run's latest checkpoint, if there is one")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="settings, as YAML")
    parser.add_argument("--tiny", action="store_true", help="a model and a training of seconds")
    kinds = {each.name: type(getattr(Settings, each.name)) for each in fields(Settings)}
    for name, kind in kinds.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=None)
    flags = parser.parse_args()

    from_file = yaml.safe_load(flags.config.read_text()) if flags.config else {}
    if unknown := from_file.keys() - kinds.keys():
        parser.error(f"{flags.config} sets what there is not: {', '.join(sorted(unknown))}")
    from_flags = {name: getattr(flags, name) for name in kinds if getattr(flags, name) is not None}
    chosen = from_file | (TINY if flags.tiny else {}) | from_flags
    return Settings(**{name: kinds[name](value) for name, value in chosen.items()}), flags


if __name__ == "__main__":
    # The same operations in the same order each time; on CUDA, cuBLAS needs to be told so before it starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    train(*read_flags())
