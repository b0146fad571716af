"""Options of an architecture that it lacks or cannot take, told with their place in the spec before any work.

Apart from the rest of the spec's mistakes, for only the architectures themselves know: this imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from raiaudit.audit.spec_errors import Mistake, refusal
from raiaudit.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from raiaudit.audit.spec import LoadedSpec

__all__ = ["refuse_wrong_options"]


def refuse_wrong_options(loaded: LoadedSpec, titles: Collection[str]) -> None:
    """Raise one `SpecError` for every option that the recipes of these models cannot have."""
    mistakes = []
    for i, model in enumerate(loaded.spec.subjects):
        if model.title not in titles or model.recipe is None or not model.recipe.options:
            continue
        from raiaudit.models.architectures import family
        from raiaudit.models.architectures.classifier import check_options

        at = ("models", i) if loaded.spec.models else ("model",)
        chosen = family(model.recipe.architecture)
        for name, value in model.recipe.options.items():
            try:
                check_options(chosen, {name: value})
            except UsageError as error:
                mistakes.append(Mistake((*at, "recipe", "options", name), error.problem, error.remedy))
    if mistakes:
        raise refusal(mistakes, loaded.source)
