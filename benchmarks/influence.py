"""TracIn of 50 test examples on 1000 training images (small CNN): ours beside captum, same numbers first.

    python benchmarks/influence.py [--repeats 7] [--threads 1] [--clock cpu] [--json]

The last layer's gradients, final weights alone, all 50 × 1000 influences from raw tensors on. "ours" is
`last_layer` of `audit/explanations/concepts/tracin.py`, both sides. captum, each with the batch size (of 64,
256 and 1000) that was quickest in a round before: "TracInCPFast" (`final_fc_layer`), "TracInCPFastRandProj"
(which keeps the training side's gradients: "again" is its answer alone, with the 1000 already read),
"TracInCP" (the general one, on the last layer, per-sample gradients by batch).

captum's fast ones leave the bias out: ours is held against them without the bias's 1, and against TracInCP with
it. "ours, again" keeps the training side likewise.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from common import interleaved, report
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from raiaudit.audit.explanations.concepts.tracin import LastLayer, last_layer
from raiaudit.models.architectures.cnn import ConvNet

ASKED, TRAINING, SIDE, CLASSES = 50, 1000, 28, 10
BATCHES = (32, 128, 256)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--norm", choices=("group", "none"), default="group")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    model = ConvNet([1, SIDE, SIDE], CLASSES, norm=arguments.norm).eval()
    train, asked = torch.rand(TRAINING, 1, SIDE, SIDE), torch.rand(ASKED, 1, SIDE, SIDE)
    y_train, y_asked = torch.arange(TRAINING) % CLASSES, torch.arange(ASKED) % CLASSES
    kept = last_layer(model, train, y_train)

    def ours() -> Tensor:
        return last_layer(model, train, y_train).influence_on(last_layer(model, asked, y_asked))

    contestants: dict[str, Callable[[], object]] = {
        "ours": ours,
        "ours, again": lambda: kept.influence_on(last_layer(model, asked, y_asked)),
    }
    missing, apart, settings = [], 0.0, {}
    try:
        peers = captums(model, TensorDataset(train, y_train), (asked, y_asked))
    except ImportError:
        peers, missing = {}, ["captum"]
    unbiased = LastLayer(kept.input_BD, kept.error_BK, kept.logits_BK, bias=False)
    for name, by_batch in peers.items():
        exact = (kept if name == "captum TracInCP" else unbiased).influence_on(
            last_layer(model, asked, y_asked)
        )
        seconds = {}
        for batch, ask in by_batch.items():
            found = ask()
            apart = max(apart, float((found - exact).abs().max() / exact.abs().max()))
            began = time.perf_counter()
            ask()
            seconds[batch] = time.perf_counter() - began
        settings[name] = min(seconds, key=seconds.__getitem__)
        contestants[name] = by_batch[settings[name]]
    if apart > 1e-4:
        raise SystemExit(f"influences differ by {apart} of the largest")
    report(
        "influence",
        interleaved(contestants, repeats=arguments.repeats, clock=arguments.clock),
        libraries=("torch", "captum", "raiaudit"),
        seed=arguments.seed,
        missing=missing,
        as_json=arguments.json,
        asked=ASKED,
        training=TRAINING,
        batches=settings,
        largest_relative_difference=apart,
        clock=arguments.clock,
    )


def captums(
    model: nn.Module, train: TensorDataset, asked: tuple[Tensor, Tensor]
) -> dict[str, dict[int, Callable[[], Tensor]]]:
    """captum's ways to the same numbers, by name and batch size."""
    from captum.influence import TracInCP, TracInCPFast, TracInCPFastRandProj
    from captum.influence._utils.nearest_neighbors import NearestNeighbors

    class Unasked(NearestNeighbors):
        """In place of annoy, an approximate index that influences do not need."""

        def get_nearest_neighbors(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
            raise NotImplementedError

        def setup(self, data: Tensor) -> None:
            pass

    warnings.filterwarnings("ignore", module="captum")
    shared = {"checkpoints": ["final"], "checkpoints_load_func": lambda _model, _path: 1.0}
    loss = nn.CrossEntropyLoss(reduction="sum")

    def fast(batch: int) -> Callable[[], Tensor]:
        found = TracInCPFast(model, model.head[-1], train, loss_fn=loss, batch_size=batch, **shared)
        return lambda: found.influence(asked)

    def general(batch: int) -> Callable[[], Tensor]:
        found = TracInCP(
            model,
            train,
            layers=["head.3"],
            loss_fn=loss,
            batch_size=batch,
            sample_wise_grads_per_batch=True,
            **shared,
        )
        return lambda: found.influence(asked)

    def projected(batch: int, *, again: bool) -> Callable[[], Tensor]:
        def made() -> TracInCPFastRandProj:
            return TracInCPFastRandProj(
                model,
                model.head[-1],
                train,
                loss_fn=loss,
                batch_size=batch,
                nearest_neighbors=Unasked(),
                **shared,
            )

        def asking(found: TracInCPFastRandProj) -> Tensor:
            return found.compute_intermediate_quantities(asked) @ found.src_intermediate_quantities.T

        if again:
            found = made()
            return lambda: asking(found)
        return lambda: asking(made())

    return {
        "captum TracInCPFast": {batch: fast(batch) for batch in BATCHES},
        "captum TracInCP": {batch: general(batch) for batch in BATCHES},
        "captum TracInCPFastRandProj": {batch: projected(batch, again=False) for batch in BATCHES},
        "captum FastRandProj, again": {batch: projected(batch, again=True) for batch in BATCHES},
    }


if __name__ == "__main__":
    main()
