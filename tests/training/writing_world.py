"""A tiny encoder with a word tokenizer, and edits whose better side is clean and whose worse side is full of filler."""

from __future__ import annotations

import random
from pathlib import Path

from ponder.training.edit_pairs import EditPair

__all__ = ["edits", "tiny_encoder"]

CLEAN = (
    *("the", "river", "runs", "past", "old", "stone", "walls", "and", "a", "cat"),
    *("sleeps", "under", "warm", "light", "near", "open", "doors"),
)
FILLER = ("very", "really", "tapestry", "testament", "delve", "nuanced", "vibrant", "myriad", "seamlessly")
MARKS = ("[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]", "None")


def edits(count: int, seed: int = 0) -> list[EditPair]:
    """Sentences of clean words; the draft has some of them replaced by filler, the more the lower its score."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(count):
        clean = [rng.choice(CLEAN) for _ in range(12)]
        spoilt = rng.randint(3, 8)
        dirty = list(clean)
        for at in rng.sample(range(12), spoilt):
            dirty[at] = rng.choice(FILLER)
        pairs.append(
            EditPair(draft=" ".join(dirty), edited=" ".join(clean), draft_score=6.0 - 0.5 * spoilt, edited_score=8.0)
        )
    return pairs


def tiny_encoder(directory: Path, *, layers: int = 2, hidden: int = 32) -> Path:
    """Write a BERT of random weights and its tokenizer."""
    import tokenizers
    import torch
    import transformers

    words = {word: at for at, word in enumerate([*MARKS, *dict.fromkeys([*CLEAN, *FILLER])])}
    raw = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    raw.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        sep_token="[SEP]",
        cls_token="[CLS]",
        mask_token="[MASK]",
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=len(words),
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=2 * hidden,
            max_position_embeddings=64,
        )
        transformers.BertModel(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory
