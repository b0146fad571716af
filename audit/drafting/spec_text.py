"""The drafted file: the `data:` that was found, a model to train, and the checks, each with a remark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raiaudit.audit.drafting.guesses import Guess, printable
from raiaudit.audit.drafting.recipes import Shape, draft_checks, draft_recipe
from raiaudit.audit.drafting.writing import comment, entry, flow

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Described", "spec_text"]


@dataclass(frozen=True, slots=True)
class Described:
    """The `data:` section as (key, value, comment), what else is to be said of it, and its shape."""

    name: str
    entries: list[tuple[str, Any, str]]
    shape: Shape
    guesses: tuple[Guess, ...] = ()
    remarks: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def spec_text(data: Described, target: Path) -> str:
    """The whole file, to be written to `target`."""
    recipe, why = draft_recipe(data.shape)
    model = f"{data.name}-{recipe['architecture']}".replace("_", "-")[:80]
    lines = [
        f"# An audit of {printable(data.name)}, drafted by `raiaudit init`. Read it, correct it, then:",
        f"#   raiaudit validate {printable(target.name)}   what will run, what cannot, how long it takes",
        f"#   raiaudit run {printable(target.name)}",
        "# Guesses are explained where they stand. `raiaudit checks list` names every check and option.",
        "apiVersion: raiaudit/v1",
        "kind: Audit",
    ]
    for remark in data.remarks:
        lines += comment(remark)
    lines.append("data:")
    for key, value, why_so in data.entries:
        lines += entry(key, value, why_so, indent=2)
    lines += [
        "models:",
        *comment(
            "Trained here. Your own instead: `path: net.onnx`, `ref: registry:NAME`, `endpoint: {url: …}`.",
            indent=2,
        ),
        *entry("name", model, indent=2, first="- "),
        *entry("recipe", recipe, why, indent=4),
        "context: # for the first page of the report",
        *entry("purpose", "What the model is for, and who is affected by it", indent=2),
        *entry("owner", "you@example.org", indent=2),
        *entry("risk_class", "", "your own words: minimal, annex-iii, …", indent=2),
        "run: {seed: 7}",
        "# A gate passes only if its whole confidence interval clears the threshold. Those below are places",
        "# to start from: SET YOUR OWN THRESHOLDS before a verdict is to mean anything.",
        "checks:",
    ]
    for check in draft_checks(data.shape):
        lines += comment(check.why, indent=2)
        lines += entry("use", check.use, indent=2, first="- ")
        if check.options:
            lines += entry("with", check.options, indent=4)
        if check.gates:
            lines.append("    gate:")
            for gate, basis in check.gates:
                lines += comment(f"set your own threshold: {basis}", indent=6)
                lines.append(f"      - {flow(gate)}")
    return "\n".join(lines) + "\n"
