"""The three attacks on tables beside each other, at equal budgets, on a multilayer perceptron.

    python benchmarks/table_attacks.py [--data compas adult] [--examples 500] [--json]

Prints for each data set, norm and radius: accuracy without an attack, with each attack, and with the best of
the three; forwards per example; and whether every adversarial row keeps to the schema. The models are
trained here (COMPAS 20 epochs of 64 hidden units, Adult 5 epochs on 10,000 rows), which takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from common import machine, versions

from raiaudit.attacks.evasion import EVASION
from raiaudit.attacks.evasion.tables.feasible import violations
from raiaudit.attacks.spaces import TableSchema
from raiaudit.attacks.threats import Norm, ThreatModel
from raiaudit.models.data import load_dataset
from raiaudit.models.recipe import Recipe
from raiaudit.models.training.train import train

RECIPES = {
    "compas": Recipe(architecture="mlp", options={"hidden": 64}, epochs=20),
    "adult": Recipe(architecture="mlp", options={"hidden": 64}, epochs=5, train_limit=10_000),
}
THREATS: tuple[tuple[Norm, float], ...] = (
    ("l1", 0.05),
    ("l1", 0.1),
    ("l1", 0.3),
    ("l1", 1.0),
    ("linf", 0.05),
    ("linf", 0.1),
    ("l0", 1),
    ("l0", 2),
)
ATTACKS = ("table", "projected_table", "greedy_table")


def measured(name: str, examples: int, seed: int) -> list[dict[str, Any]]:
    """One row for each threat and attack."""
    dataset = load_dataset(name)
    space = dataset.space
    assert isinstance(space, TableSchema)
    model = train(RECIPES[name], dataset, seed=seed, device="cpu").classifier.eval()
    test = dataset.splits["test"].take(slice(0, examples))
    x, y = model.encode(test.inputs), torch.from_numpy(test.labels)
    clean = float((model(x).argmax(1) == y).double().mean())
    found: list[dict[str, Any]] = []
    for norm, eps in THREATS:
        broken = torch.zeros(len(y), dtype=torch.bool)
        for attack in (EVASION[attack]() for attack in ATTACKS):
            if norm not in attack.norms:
                continue
            began = time.process_time()
            result = attack(model, x, y, ThreatModel(norm, eps), space=space, seed=seed)
            broken |= result.broken_B
            found.append(
                {
                    "data": name,
                    "norm": norm,
                    "eps": eps,
                    "attack": attack.name,
                    "clean": clean,
                    "robust": 1 - float(result.broken_B.double().mean()),
                    "forwards": float(result.forwards_B.double().mean()),
                    "backwards": float(result.backwards_B.double().mean()),
                    "cpu_seconds": time.process_time() - began,
                    "invalid_rows": int(violations(space, result.adversarial, x).sum()),
                }
            )
        found.append({"data": name, "norm": norm, "eps": eps, "attack": "best of all", "clean": clean})
        found[-1]["robust"] = 1 - float(broken.double().mean())
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", choices=sorted(RECIPES), default=["compas", "adult"])
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [row for name in arguments.data for row in measured(name, arguments.examples, arguments.seed)]
    if arguments.json:
        line = {"name": "table_attacks", "rows": rows, "machine": machine(), "seed": arguments.seed}
        print(json.dumps({**line, "versions": versions(("torch", "raiaudit"))}))
        return
    print(f"table_attacks: {machine()}, {arguments.examples} examples, seed {arguments.seed}")
    for row in rows:
        cost = f"{row['forwards']:>8.0f} F {row['backwards']:>5.0f} B" if "forwards" in row else ""
        seconds = f"{row['cpu_seconds']:>7.1f} s, {row['invalid_rows']} invalid" if "forwards" in row else ""
        threat = f"{row['data']:<8}{row['norm']:<5}{row['eps']:<5g}{row['attack']:<17}"
        print(f"{threat}{100 * row['clean']:>6.1f} → {100 * row['robust']:>5.1f} %{cost}{seconds}")


if __name__ == "__main__":
    main()
