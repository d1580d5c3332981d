"""Code session: programs that follow each other in one namespace, each run in the sandbox.

Source: our own; card 57 (GenPRM) wants the variables of one step's check to be there for the next one's.
Every run starts a fresh sandbox and first runs the earlier programs again with their output dropped, so that nothing
lives on between two runs and a program that does not end takes only itself away. What hangs, dies or passes a limit is
not run again.
Differs from a live interpreter: an earlier program that reads the clock gives another value the second time.
Cost: the time of all earlier programs, each time. Needs: what `sandbox` needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ponder.verifiers.sandbox import Confinement, Limits, Outcome, run

__all__ = ["CodeSession"]

# In a function, so that no name of ours is left among the programs' own.
_REPLAY = """
def __replay__():
    import contextlib, io
    for __text__ in {earlier!r}:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                exec(__text__, globals())
            except BaseException:
                pass
__replay__()
del __replay__
exec({code!r}, globals())
"""


@dataclass(kw_only=True, eq=False)
class CodeSession:
    """The programs so far.

    Attributes:
        limits: of each run, the earlier programs included.
        packages: folders that can be imported from.
        confinement: see `sandbox`.
        earlier: texts of the programs that ended by themselves, in order.
    """

    limits: Limits = field(default_factory=Limits)
    packages: Sequence[str] = ()
    confinement: Confinement = "bubblewrap"
    earlier: list[str] = field(default_factory=list)

    async def run(self, code: str) -> Outcome:
        """Run `code` after what ran before, and remember it.

        Raises:
            MissingExtra: no sandbox can be had here.
        """
        text = _REPLAY.format(earlier=self.earlier, code=code) if self.earlier else code
        outcome = await run(text, limits=self.limits, packages=self.packages, confinement=self.confinement)
        if outcome.status in ("ok", "error"):
            self.earlier.append(code)
        return outcome
