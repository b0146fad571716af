"""What a report says about how the model came to be."""

from typing import Any

import pytest

from raiaudit.models.recipe import Mitigation, Recipe
from raiaudit.reports.content.report import report_content


@pytest.mark.parametrize(
    ("mitigation", "said"),
    [
        (Mitigation(method="reweighing", attribute="sex"), "method reweighing, attribute sex"),
        (
            Mitigation(method="group_dro", attribute="sex", weights_rate=0.05),
            "method group_dro, attribute sex, weights_rate 0.05",
        ),
        (
            Mitigation(method="adversarial_debiasing", attribute="sex", strength=2),
            "method adversarial_debiasing, attribute sex, strength 2",
        ),
    ],
    ids=lambda given: given.method if isinstance(given, Mitigation) else "",
)
def test_the_mitigation_is_named_with_the_setting_it_reads(
    make_run: Any, mitigation: Mitigation, said: str
) -> None:
    subject = make_run(folder="before").results.subject
    recipe = Recipe(kind="fair", architecture="mlp", fairness=mitigation)
    record = subject.record.model_copy(update={"recipe": recipe})
    content = report_content(make_run(subject=subject.model_copy(update={"record": record})))
    assert ["Mitigation", said] in [list(pair) for pair in content["system"]]
