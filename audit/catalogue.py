"""The checks that exist: ours as a literal table, others through the entry points `raiaudit.checks`."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from raiaudit.audit.check import Check
from raiaudit.audit.explanations.attribution.attribution import Attribution
from raiaudit.audit.explanations.concepts.concepts import Concepts
from raiaudit.audit.explanations.concepts.influence import Influence
from raiaudit.audit.explanations.inside.inside import Inside
from raiaudit.audit.explanations.quality.faithfulness import Faithfulness
from raiaudit.audit.explanations.quality.randomisation import Randomisation
from raiaudit.audit.explanations.stability.stability import Stability
from raiaudit.audit.fairness.by_group.groups import Groups
from raiaudit.audit.fairness.counterfactual.counterfactual import Counterfactual
from raiaudit.audit.fairness.profiles.profiles import Profiles
from raiaudit.audit.fairness.subgroups.subgroups import Subgroups
from raiaudit.audit.performance.accuracy import Accuracy
from raiaudit.audit.privacy.epsilon.accounting import Accounting
from raiaudit.audit.privacy.epsilon.canaries import CanaryAudit
from raiaudit.audit.privacy.inference.attribute_inference import AttributeInference
from raiaudit.audit.privacy.inference.label_only import LabelOnly
from raiaudit.audit.privacy.inference.membership import Membership
from raiaudit.audit.privacy.risk.at_risk import AtRisk
from raiaudit.audit.reliability.calibration import Calibration
from raiaudit.audit.robustness.certified import CertifiedRobustness
from raiaudit.audit.robustness.character_noise import CharacterNoise
from raiaudit.audit.robustness.corruption import Corruption
from raiaudit.audit.robustness.evasion import Evasion
from raiaudit.audit.robustness.reliability import Reliability
from raiaudit.errors import UnknownNameError, UsageError

__all__ = ["CHECKS", "all_checks", "find_check"]

CHECKS: dict[str, Check] = {
    "performance.accuracy": Accuracy(),
    "robustness.evasion": Evasion(),
    "robustness.reliability": Reliability(),
    "robustness.corruption": Corruption(),
    "robustness.certified": CertifiedRobustness(),
    "robustness.character_noise": CharacterNoise(),
    "privacy.membership": Membership(),
    "privacy.label_only": LabelOnly(),
    "privacy.attribute_inference": AttributeInference(),
    "privacy.at_risk": AtRisk(),
    "privacy.accounting": Accounting(),
    "privacy.canaries": CanaryAudit(),
    "fairness.groups": Groups(),
    "fairness.subgroups": Subgroups(),
    "fairness.profiles": Profiles(),
    "fairness.counterfactual": Counterfactual(),
    "explanations.attribution": Attribution(),
    "explanations.concepts": Concepts(),
    "explanations.influence": Influence(),
    "explanations.stability": Stability(),
    "explanations.faithfulness": Faithfulness(),
    "explanations.randomisation": Randomisation(),
    "explanations.inside": Inside(),
    "reliability.calibration": Calibration(),
}


@cache
def all_checks() -> dict[str, Check]:
    """Ours and those of installed plug-ins, which are loaded when they are first asked for.

    Raises `UsageError` for a plug-in that reuses a name, cannot be imported or is no check.
    """
    found = dict(CHECKS)
    for entry in entry_points(group="raiaudit.checks"):
        if entry.name in found:
            raise UsageError(
                f"two checks are called {entry.name!r}",
                where=f"plug-in {entry.value}",
                remedy="rename the check in the plug-in, or uninstall it",
            )
        found[entry.name] = _plugged_in(entry)
    return found


def _plugged_in(entry: EntryPoint) -> Check:
    """A plug-in runs code of an installed package: whatever that raises is its own fault, and is named so."""
    where = f"plug-in {entry.value}"
    try:
        check = entry.load()()
    except Exception as error:
        raise UsageError(
            f"the check {entry.name!r} cannot be loaded ({type(error).__name__}: {error})",
            where=where,
            remedy="mend the plug-in, or uninstall it",
        ) from error
    if not isinstance(check, Check) or check.id != entry.name:
        raise UsageError(
            f"{entry.name!r} is no check of that id",
            where=where,
            remedy="a check has id (the name of the entry point), version, question, needs, modalities, "
            "Config, tasks, execute, summarise and evidence: mend the plug-in, or uninstall it",
        )
    return check


def find_check(name: str) -> Check:
    """The check called `name`. Raises `UnknownNameError`."""
    checks = all_checks()
    if name not in checks:
        raise UnknownNameError("check", name, checks)
    return checks[name]
