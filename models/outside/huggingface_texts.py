"""A text classifier of `transformers`, with the tokenizer of its folder, as attacks on texts need it.

The network is always given embeddings: `logits_from(embedding(ids_BL), mask_BL)` is the whole of `forward`,
so what an attack sees between them is what the model answers. At loading, that way is held against the
network's own, one text at a time: a model that minds its padding (a decoder that reads the last token)
is refused.

Shapes: ids_BL int64, padded at the end; mask_BL true where there is a token → logits_BK.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from raiaudit.attacks.spaces import TokenSpace
from raiaudit.errors import ArtifactRefusedError
from raiaudit.models.architectures.classifier import Classifier, space_of
from raiaudit.models.architectures.text_classifier import TextClassifier
from raiaudit.models.outside.huggingface import pretrained
from raiaudit.models.outside.huggingface_files import optional_json

if TYPE_CHECKING:
    from raiaudit.models.data.dataset import Dataset, Inputs

__all__ = ["PretrainedTexts"]

_PROBED = 4
_TOLERANCE = 1e-3
_AFTER_PADDING = ("roberta", "camembert", "mpnet", "longformer", "data2vec", "ibert", "esm")
"""Kinds whose positions begin behind the padding token's."""
_SERVE = "use an encoder (BERT, DistilBERT, RoBERTa, …), or serve the model behind an `endpoint`"


class PretrainedTexts(TextClassifier):
    """The network of a folder; `order` puts its outputs into the data set's order of classes."""

    architecture = "huggingface"

    def __init__(self, folder: Path, order: list[int], dataset: Dataset) -> None:
        Classifier.__init__(self)  # the tokenizer is not one of ours
        space_of(dataset, TokenSpace, type(self))
        self.network = pretrained(folder, "text")
        settings: Any = self.network.config
        self.embedding = self.network.get_input_embeddings()  # type: ignore[operator]  # a method of theirs
        self.padding = settings.pad_token_id or 0
        self.tokenizer = _tokenizer(folder)
        length = _longest(folder, settings)
        self.tokenizer.enable_truncation(length)
        self.tokenizer.enable_padding(pad_id=self.padding)
        if max(self.tokenizer.get_vocab().values(), default=0) >= len(self.embedding.weight):
            raise ArtifactRefusedError(
                "the tokenizer has tokens that the model has no embedding for",
                where=str(folder / "tokenizer.json"),
                remedy="save model and tokenizer together, as they were trained",
            )
        self.classes = len(order)
        self.limits: tuple[str, ...] = ()
        self.config = {
            "architecture": settings.architectures[0],
            "max_length": length,
            "classes": "matched by name" if order != list(range(len(order))) else "in the data set's order",
        }
        self.order: Tensor
        self.register_buffer("order", torch.tensor(order))
        self._refuse_other_answers(dataset.splits["test"].inputs[:_PROBED], folder)

    def encode(self, inputs: Inputs) -> Tensor:
        """Texts to ids_BL; at least one, padding, where no text has a token."""
        ids_BL = super().encode(inputs)
        return ids_BL if ids_BL.shape[-1] else torch.full((len(inputs), 1), self.padding)

    def logits_from(self, embedded_BLD: Tensor, mask_BL: Tensor) -> Tensor:
        """Logits of tokens given as embeddings, logits_BK."""
        logits_BK: Tensor = self.network(inputs_embeds=embedded_BLD, attention_mask=mask_BL.long()).logits
        return logits_BK[:, self.order]

    def pieces(self) -> list[str]:
        """What each token writes; a leading blank begins a word, "" is special or has no text of its own."""
        special = {
            number for number, token in self.tokenizer.get_added_tokens_decoder().items() if token.special
        }
        written = [self.tokenizer.id_to_token(number) or "" for number in range(len(self.embedding.weight))]
        continues = any(token.startswith("##") for token in written)
        return [
            "" if number in special or not token else self._piece(number, token, continues=continues)
            for number, token in enumerate(written)
        ]

    def _piece(self, number: int, token: str, *, continues: bool) -> str:
        if continues:
            return token[2:] if token.startswith("##") else f" {token}"
        if "▁" in token:
            return token.replace("▁", " ")
        return str(self.tokenizer.decode([number], skip_special_tokens=False))

    def _refuse_other_answers(self, texts: Inputs, folder: Path) -> None:
        """Raise unless batched embeddings get the answers that single texts get from the network itself."""
        self.eval()
        texts = [*texts, "a"]  # of another length, so that something is padded
        try:
            with torch.no_grad():
                ours_BK = self(self.encode(texts))
                alone_BK = torch.cat([self.network(input_ids=self.encode([text])).logits for text in texts])
        except Exception as error:  # whatever theirs may raise
            line = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise ArtifactRefusedError(
                f"the model does not take embeddings: {line}", where=str(folder), remedy=_SERVE
            ) from None
        theirs_BK = alone_BK[:, self.order]
        if not bool(ours_BK.isfinite().all()):
            raise ArtifactRefusedError(
                "it answers NaN or infinity to ordinary texts", where=str(folder), remedy="train it again"
            )
        if float((ours_BK - theirs_BK).abs().max()) > _TOLERANCE * max(1.0, float(theirs_BK.abs().max())):
            raise ArtifactRefusedError(
                "its answer about a text depends on the padding of other texts in the batch",
                where=str(folder),
                remedy=_SERVE,
            )


def _tokenizer(folder: Path) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ArtifactRefusedError(
            "no tokenizer.json: nothing says how texts become tokens",
            where=str(folder),
            remedy="save the fast tokenizer there: AutoTokenizer.from_pretrained(…).save_pretrained(FOLDER)",
        )
    try:
        return Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        raise ArtifactRefusedError(
            f"tokenizer.json cannot be read ({str(error)[:160]})", where=str(path), remedy="save it again"
        ) from None


def _longest(folder: Path, settings: Any) -> int:
    """Tokens of a text that the network has positions for."""
    positions = getattr(settings, "max_position_embeddings", None)
    limits = [512]
    if isinstance(positions, int) and positions > 0:
        behind = any(kind in settings.model_type for kind in _AFTER_PADDING)
        limits = [positions - (settings.pad_token_id + 1 if behind else 0)]
    named = (optional_json(folder, "tokenizer_config.json") or {}).get("model_max_length")
    if isinstance(named, int) and named > 0:
        limits.append(named)
    return max(2, min(limits))
