"""A byte-pair tokenizer (Sennrich et al., arXiv:1508.07909) trained on the training texts.

It lower-cases, writes a token that begins a word with ▁, and puts [CLS] before every text. Special tokens
come first: [PAD] has the id `PADDING`.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

__all__ = ["PADDING", "SPECIAL", "loaded_tokenizer", "train_tokenizer"]

PADDING = 0  # the id of [PAD]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]"]


def train_tokenizer(texts: Iterable[str], *, vocabulary: int) -> str:
    """A lower-casing byte-pair tokenizer of at most `vocabulary` entries, as JSON; the same every time.

    (The library's WordPiece trainer numbers its "##" pieces in the order of a hash map: another model at
    every start of Python.)
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]"))]
    )
    serialized: str = tokenizer.to_str()
    return serialized


def loaded_tokenizer(serialized: str, *, max_length: int) -> Tokenizer:
    """The tokenizer of a JSON; it truncates to `max_length` tokens and pads to the longest of a batch."""
    tokenizer = Tokenizer.from_str(serialized)
    tokenizer.enable_truncation(max_length)
    tokenizer.enable_padding(pad_id=PADDING, pad_token=SPECIAL[PADDING])
    return tokenizer
