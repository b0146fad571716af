"""A classifier from a Hugging Face folder, through the library `transformers`: nothing is downloaded or run.

The library builds the network that config.json names (`trust_remote_code=False`, local files only) and must
find every weight in safetensors. Its preprocessing is rebuilt here, inside the classifier, because the
library's works on pictures and texts and has no gradient.

Classes: where `id2label` holds the data set's names, the answers are put into the data set's order; where it
holds LABEL_0, LABEL_1, …, the order is taken as it is; other names are a contradiction.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raiaudit.errors import ArtifactRefusedError, UsageError
from raiaudit.models.outside.extras import require
from raiaudit.models.outside.huggingface_files import config_of, files_of
from raiaudit.models.outside.records import version_of
from raiaudit.models.version import LoadRecord, ModelVersion

if TYPE_CHECKING:
    from torch import nn

    from raiaudit.models.data.dataset import Dataset
    from raiaudit.models.outside.huggingface_images import PretrainedImages
    from raiaudit.models.outside.huggingface_texts import PretrainedTexts

__all__ = ["class_order", "load_folder", "pretrained"]

_HEADS = {
    "image": ("ForImageClassification", "AutoModelForImageClassification"),
    "text": ("ForSequenceClassification", "AutoModelForSequenceClassification"),
}


def load_folder(
    folder: Path, options: Mapping[str, Any], dataset: Dataset, *, name: str, digest: str
) -> ModelVersion:
    """The model in a folder. Raises `ArtifactRefusedError` for what is unsafe, damaged or does not fit."""
    if options:
        raise UsageError("a Hugging Face folder has no options: its configuration is in its files")
    files_of(folder)
    order = class_order(config_of(folder), dataset.classes, where=folder)
    classifier: PretrainedImages | PretrainedTexts
    if dataset.modality == "image":
        from raiaudit.models.outside.huggingface_images import PretrainedImages as Images

        classifier = Images(folder, order, dataset)
    elif dataset.modality == "text":
        from raiaudit.models.outside.huggingface_texts import PretrainedTexts as Texts

        classifier = Texts(folder, order, dataset)
    else:
        raise UsageError(
            f"a Hugging Face folder holds a model of images or texts, {dataset.name} is {dataset.modality}",
            remedy="give a model of tables as an ONNX graph, or behind an `endpoint`",
        )
    return version_of(
        classifier,
        "huggingface",
        name=name,
        digest=digest,
        loaded=LoadRecord(form="a Hugging Face folder", limits=classifier.limits),
    )


def pretrained(folder: Path, modality: str) -> nn.Module:
    """The network in evaluation mode, as float32. `ArtifactRefusedError` unless every weight was found."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    transformers = require("transformers", extra="huggingface", what="a Hugging Face folder")
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = (
        True  # read from the environment when the package was imported, perhaps long ago
    )
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    head, auto = _HEADS[modality]
    config = config_of(folder)
    named = config.get("architectures") or ["a model without a name"]
    if not str(named[0]).endswith(head):
        raise ArtifactRefusedError(
            f"{str(named[0])[:80]} is no classifier of {modality}s",
            where=str(folder / "config.json"),
            remedy=f"a folder of a model …{head} is needed",
        )
    try:
        network, report = getattr(transformers, auto).from_pretrained(
            str(folder.resolve()),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype="float32",
            attn_implementation="eager",
            output_loading_info=True,
        )
    except Exception as error:  # whatever a hostile or new configuration makes the library raise
        line = (str(error).strip().splitlines() or [""])[0][:200]
        raise ArtifactRefusedError(
            f"transformers cannot load it ({type(error).__name__}: {line})",
            where=str(folder),
            remedy="save it again with the installed version of transformers",
        ) from None
    wrong = {
        "missing": report["missing_keys"],
        "unexpected": report["unexpected_keys"],
        "of another shape": [entry[0] for entry in report["mismatched_keys"]],
    }
    if any(wrong.values()):
        parts = [
            f"{len(keys)} {what} ({', '.join(sorted(keys)[:8])}{'…' if len(keys) > 8 else ''})"
            for what, keys in wrong.items()
            if keys
        ]
        raise ArtifactRefusedError(
            f"the weights do not fit {named[0]}: {'; '.join(parts)}",
            where=str(folder),
            remedy="name the folder of the finished classifier, not of the model it was made from",
        )
    loaded: nn.Module = network.eval()
    return loaded


def class_order(config: Mapping[str, Any], classes: tuple[str, ...], *, where: Path) -> list[int]:
    """For each class of the data set, the model's output that means it."""
    place = str(where / "config.json")
    if config.get("problem_type") not in (None, "single_label_classification"):
        raise ArtifactRefusedError(
            f"a model for {str(config['problem_type'])[:40]}, not for one class an input",
            where=place,
            remedy="audit a classifier that chooses one class",
        )
    labels = config.get("id2label")
    if not isinstance(labels, dict):
        count = config.get("num_labels", 2)  # the library's own default
        labels = {str(i): f"LABEL_{i}" for i in range(count if isinstance(count, int) else 0)}
    if len(labels) != len(classes) or {str(key) for key in labels} != {str(i) for i in range(len(classes))}:
        raise ArtifactRefusedError(
            f"the model answers with {len(labels)} classes, the data set has {len(classes)}",
            where=place,
            remedy="audit it on the data set it was trained for, or list its `classes` in the spec",
        )
    named = [str(labels.get(str(i), labels.get(i))) for i in range(len(classes))]
    if all(re.fullmatch(rf"LABEL_{i}", label) for i, label in enumerate(named)):
        return list(range(len(classes)))
    folded = [label.strip().casefold() for label in named]
    wanted = [name.strip().casefold() for name in classes]
    if len(set(folded)) != len(folded) or set(folded) != set(wanted):
        raise ArtifactRefusedError(
            f"the model's classes ({', '.join(named)[:120]}) are not those of the data set "
            f"({', '.join(classes)[:120]})",
            where=place,
            remedy="if they mean the same, write the data set's names into id2label",
        )
    return [folded.index(name) for name in wanted]
