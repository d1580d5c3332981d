"""What a back-end lets you do, declared and refused before anything is spent."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Access"]


class Access(StrEnum):
    """One level of access to a model; a method lists the ones that it needs, a back-end those that it gives."""

    TEXT = "text"  # sample text for a chat or raw prompt
    PREFIX = "prefix"  # continue exactly from a given partial answer
    LOGPROBS = "logprobs"  # log-probability of each sampled token
    TOP_LOGPROBS = "top_logprobs"  # the k most likely tokens at each step
    LOGITS = "logits"  # the whole next-token law, or statistics of it
    SCORE = "score"  # log-probabilities of a given text
    HIDDEN = "hidden"  # hidden states
    ATTENTION = "attention"  # attention maps
    GRADIENTS = "gradients"  # derivatives with respect to inputs or latents
    WEIGHTS = "weights"  # change the parameters
    EMBED = "embed"  # text embeddings
    SEED = "seed"  # sampling follows a seed
    N = "n"  # several choices in one request
    SCHEMA = "schema"  # output constrained by a JSON schema
