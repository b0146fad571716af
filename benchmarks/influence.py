"""TracIn of 50 test examples on 1000 training images (small CNN): ours beside captum, numbers compared.

    python benchmarks/influence.py [--part all] [--norm group] [--repeats 5] [--clock cpu] [--json]

All 50 × 1000 influences from raw tensors on, final weights alone. captum is given each batch size of
`BATCHES` in a round before, and the quickest is kept. A peer whose numbers differ by more than 1e-4 of the
largest is left out and named.

`all`: gradients by all parameters. "ours" is `by_all_parameters`; captum's `TracInCP` takes per-example
gradients by batch (`sample_wise_grads_per_batch=True`, ten times as quick as its default).

`last`: gradients of the last layer, where most of the time is the forward pass that all of them share.
"ours" is `last_layer` on both sides; captum's `TracInCPFast` and `TracInCPFastRandProj` (without a
projection) leave the bias out, and are held against ours without it; `TracInCP` is the general one on that
layer. "forward alone" is that pass and nothing else, which no way to these numbers can be quicker than: its
ratio says what of our time is left to save. "channels_last" is a peer given a network and images in that
order of memory, which ours asks for by itself.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from raiaudit.audit.explanations.concepts.all_parameters import by_all_parameters
from raiaudit.audit.explanations.concepts.tracin import last_layer
from raiaudit.models.architectures.cnn import ConvNet

ASKED, TRAINING, SIDE, CLASSES = 50, 1000, 28, 10
BATCHES = (50, 128, 256)
TOLERANCE = 1e-4


def part(name: str, arguments: argparse.Namespace) -> None:
    """Compare, then time."""
    torch.manual_seed(arguments.seed)
    model = ConvNet([1, SIDE, SIDE], CLASSES, norm=arguments.norm).eval()
    x, y = torch.rand(TRAINING, 1, SIDE, SIDE), torch.arange(TRAINING) % CLASSES
    asked = torch.rand(ASKED, 1, SIDE, SIDE), torch.arange(ASKED) % CLASSES

    def ours(*, bias: bool = True) -> Tensor:
        if name == "all":
            return by_all_parameters(model, x, y, *asked)[0]
        learnt = last_layer(model, x, y)
        return replace(learnt, bias=bias).influence_on(last_layer(model, *asked))

    contestants: dict[str, Callable[[], object]] = {"ours": ours}
    if name == "last":
        contestants["forward alone"] = forwards(model, torch.cat([x, asked[0]]))
    missing: list[str] = []
    apart: dict[str, float] = {}
    settings: dict[str, int] = {}
    try:
        peers = captums(name, model, x, y, asked)
    except ImportError:
        peers, missing = {}, ["captum"]
    for peer, by_batch in peers.items():
        exact = ours(bias="Fast" not in peer)
        seconds = {}
        for batch, ask in by_batch.items():
            found = ask()
            apart[peer] = max(apart.get(peer, 0.0), float((found - exact).abs().max() / exact.abs().max()))
            began = time.process_time()
            ask()
            seconds[batch] = time.process_time() - began
        if apart[peer] < TOLERANCE:
            settings[peer] = min(seconds, key=seconds.__getitem__)
            contestants[peer] = by_batch[settings[peer]]
    report(
        f"influence.{name}",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "captum", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        asked=ASKED,
        training=TRAINING,
        norm=arguments.norm,
        batches=settings,
        relative_difference=apart,
        clock=arguments.clock,
    )


def forwards(model: nn.Module, x: Tensor) -> Callable[[], None]:
    """The passes that everybody makes, in the quickest order of memory at the quickest batch size of ours."""
    swapped = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = torch.split(x, 128)

    def ask() -> None:
        with torch.inference_mode():
            for batch in batches:
                swapped(batch.contiguous(memory_format=torch.channels_last))

    return ask


def captums(
    part: str, model: nn.Module, x: Tensor, y: Tensor, asked: tuple[Tensor, Tensor]
) -> dict[str, dict[int, Callable[[], Tensor]]]:
    """captum's ways to the same numbers, by name and batch size."""
    from captum.influence import TracInCP, TracInCPFast, TracInCPFastRandProj
    from captum.influence._utils.nearest_neighbors import NearestNeighbors

    class Unasked(NearestNeighbors):  # type: ignore[misc]  # captum has no types
        """In place of annoy, an approximate index that influences do not need."""

        def get_nearest_neighbors(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
            raise NotImplementedError

        def setup(self, data: Tensor) -> None:
            pass

    warnings.filterwarnings("ignore", module="captum")
    options = {
        "checkpoints": ["final"],
        "checkpoints_load_func": lambda _model, _path: 1.0,
        "loss_fn": nn.CrossEntropyLoss(reduction="sum"),
    }
    train = TensorDataset(x, y)
    swapped = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    swapped_train = TensorDataset(x.contiguous(memory_format=torch.channels_last), y)
    swapped_asked = asked[0].contiguous(memory_format=torch.channels_last), asked[1]

    def general(batch: int) -> Callable[[], Tensor]:
        layers = {} if part == "all" else {"layers": ["head.3"]}
        found = TracInCP(
            model, train, batch_size=batch, sample_wise_grads_per_batch=True, **layers, **options
        )
        return lambda: found.influence(asked)

    def general_swapped(batch: int) -> Callable[[], Tensor]:
        found = TracInCP(
            swapped, swapped_train, batch_size=batch, sample_wise_grads_per_batch=True, **options
        )
        return lambda: found.influence(swapped_asked)

    def fast(batch: int) -> Callable[[], Tensor]:
        found = TracInCPFast(model, model.get_submodule("head.3"), train, batch_size=batch, **options)
        return lambda: found.influence(asked)

    def fast_swapped(batch: int) -> Callable[[], Tensor]:
        found = TracInCPFast(
            swapped, swapped.get_submodule("head.3"), swapped_train, batch_size=batch, **options
        )
        return lambda: found.influence(swapped_asked)

    def projected(batch: int) -> Callable[[], Tensor]:
        def ask() -> Tensor:
            found = TracInCPFastRandProj(
                model,
                model.get_submodule("head.3"),
                train,
                batch_size=batch,
                nearest_neighbors=Unasked(),
                **options,
            )
            influence: Tensor = (
                found.compute_intermediate_quantities(asked) @ found.src_intermediate_quantities.T
            )
            return influence

        return ask

    ways = {"captum TracInCP": general}
    if part == "all":
        ways["captum TracInCP, channels_last"] = general_swapped
    if part == "last":
        ways |= {
            "captum TracInCPFast": fast,
            "captum TracInCPFastRandProj": projected,
            "captum Fast, channels_last": fast_swapped,
        }
    return {name: {batch: way(batch) for batch in BATCHES} for name, way in ways.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=("all", "last", "both"), default="both")
    parser.add_argument("--norm", choices=("none", "group"), default="none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in ("all", "last"):
        if arguments.part in (name, "both"):
            part(name, arguments)


if __name__ == "__main__":
    main()
