r"""Relations: which of six options an answer names: (A) <=, (B) >=, (C) =, (D) <, (E) >, (F) none of these.

Source: Sheng et al. 2025, arXiv:2506.07927 (IneqMath, card 19), the relation task. Order: of the part that states the
answer the last letter in brackets, else a symbol. Canonical form: the letter.
Differs: an answer that cannot be read is none (the released code takes a random option), letters come before symbols,
and a box with a bare letter is read.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.numerics.inequality import OPTIONS, locate, read_relation
from ponder.verifiers.answers._marks import boxed
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["RelationAnswer"]


@answer_types("relation", card=19, paper="arXiv:2506.07927", fidelity="paper")
@dataclass(frozen=True, kw_only=True)
class RelationAnswer(CanonicalEquality):
    """A letter from A to F."""

    def extract(self, text: str) -> str | None:
        """Return the letter, or None."""
        if text.strip() in OPTIONS:
            return text.strip()
        inside = (boxed(text) or "").strip(" ()")
        if inside in OPTIONS:
            return inside
        return read_relation(locate(text))
