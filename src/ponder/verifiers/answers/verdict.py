"""Verdicts on pairs: [[A]] or [[B]], the last one that a judgement gives.

Source: the card of Chan et al. 2025, arXiv:2505.11875 (J1, card 08): only the last verdict behind the end of thinking
counts, for thoughts name both letters. Canonical form: the letter.
Differs: a thought between tags is left out here as well, where a server has not parted it from the answer.
Cost: no model call. Needs: nothing beyond the base install.
"""

from __future__ import annotations

from dataclasses import dataclass

from ponder.core.registry import answer_types
from ponder.engines.replies import unthought
from ponder.numerics.judging import read_letter
from ponder.verifiers.answers.equality import CanonicalEquality

__all__ = ["VerdictAnswer"]


@answer_types("verdict", card=8, paper="arXiv:2505.11875", fidelity="reconstructed")
@dataclass(frozen=True, kw_only=True)
class VerdictAnswer(CanonicalEquality):
    """A or B."""

    def extract(self, text: str) -> str | None:
        """Return the letter, or None."""
        return read_letter(unthought(text).rpartition("</think>")[2])
