"""Attribution methods by name; every one is called the same way (`method.py`).

Guided backpropagation (guided.py) is not among them: it is kept to show that the randomisation test can fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from raiaudit.audit.explanations.methods.cam import GradCAM, LayerCAM
from raiaudit.audit.explanations.methods.gradient import InputTimesGradient, Saliency
from raiaudit.audit.explanations.methods.method import Method
from raiaudit.audit.explanations.methods.occlusion import Occlusion
from raiaudit.audit.explanations.methods.path import ExpectedGradients, IntegratedGradients
from raiaudit.audit.explanations.methods.rollout import AttentionRollout, GradientRollout
from raiaudit.audit.explanations.methods.shapley import ExactShapley, KernelSHAP
from raiaudit.audit.explanations.methods.smooth import SmoothGrad
from raiaudit.errors import UnknownNameError

if TYPE_CHECKING:
    from raiaudit.audit.subject import Subject

__all__ = ["METHODS", "find_method", "obstacle"]

METHODS: dict[str, Callable[..., Method]] = {
    "saliency": Saliency,
    "input_x_gradient": InputTimesGradient,
    "smoothgrad": SmoothGrad,
    "integrated_gradients": IntegratedGradients,
    "expected_gradients": ExpectedGradients,
    "grad_cam": GradCAM,
    "layer_cam": LayerCAM,
    "occlusion": Occlusion,
    "kernel_shap": KernelSHAP,
    "shapley": ExactShapley,
    "attention_rollout": AttentionRollout,
    "gradient_rollout": GradientRollout,
}


def find_method(name: str, **settings: Any) -> Method:
    """The method called `name`, with its usual settings but for those given and known to it (`layer`, say).

    Raises `UnknownNameError`.
    """
    if name not in METHODS:
        raise UnknownNameError("attribution method", name, METHODS)
    known = inspect.signature(METHODS[name]).parameters
    return METHODS[name](**{option: value for option, value in settings.items() if option in known})


def obstacle(method: Method, subject: Subject) -> str | None:
    """Why a method cannot be asked of a subject at all, or None; what it finds inside, `explain` says."""
    if subject.dataset.modality not in method.modalities:
        return f"{method.name} is not defined for {subject.dataset.modality} data"
    if lacking := sorted(method.needs - subject.capabilities):
        return f"{method.name} needs what the subject does not offer: no {', no '.join(lacking)}"
    return None
