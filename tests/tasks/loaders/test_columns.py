from __future__ import annotations

import pytest

from ponder.core.errors import BadInput, ConfigError
from ponder.tasks.loaders.columns import Columns, Template
from ponder.tasks.loaders.rows import SourceRow

ROW = SourceRow(
    where="f.csv:7", number=5, values={"q": "How much {is} 2 + 2?", "gold": "4.0", "kind": "number", "k": 12}
)


def test_templates_hold_columns_and_doubled_braces() -> None:
    assert Template("{q} ({{{k}}})").fill(ROW) == "How much {is} 2 + 2? ({12})"
    for wrong in ("{q", "}", "{}", "{q!r}", "{q:>3}"):
        with pytest.raises(ConfigError):
            Template(wrong)
    with pytest.raises(BadInput, match=r"f\.csv:7: no column 'q\.upper'"):
        Template("{q.upper}").fill(ROW)  # names of columns, never attributes


def test_columns_make_a_problem() -> None:
    problem = Columns(prompt="{q} Reply briefly.", reference="gold", answer="{kind}", id="k").problem(ROW)
    assert problem.task.prompt == "How much {is} 2 + 2? Reply briefly."
    assert (problem.task.answer, problem.task.id, problem.reference) == ("number", "12", "4.0")
    assert Columns(prompt="{q}", reference="").problem(ROW).reference is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "{p}"}, "no column 'reference'"),
        ({"prompt": "{p}", "reference": "gold"}, "no column 'p'"),
        ({"prompt": "{q}", "reference": "q", "answer": "choice"}, "column 'q': .* is no answer of type 'choice'"),
        ({"prompt": "{q}", "reference": "gold", "answer": "numbr"}, "no answer type is called 'numbr'"),
        ({"prompt": " ", "reference": "gold"}, "the prompt is empty"),
    ],
)
def test_faults_name_file_row_and_column(settings: dict, message: str) -> None:
    with pytest.raises(BadInput, match=rf"^f\.csv:7: {message}"):
        Columns(**settings).problem(ROW)
