from __future__ import annotations

from xml.etree import ElementTree

from ponder.bench.studies.share_plot import Shares, draw_shares
from ponder.numerics.intervals import Interval

HALF = Interval(0.5, 0.25, 0.75)


def drawn(series, categories=("hard", "easy"), *, joined=True):
    return ElementTree.fromstring(draw_shares(categories, series, title="a < b", axis="x & y", joined=joined))


def test_every_known_share_has_a_mark_and_a_note_and_a_missing_one_has_none():
    picture = drawn([Shares(label="TPR", values=(HALF, None)), Shares(label="TNR", values=(HALF, HALF))])
    notes = [node.text for node in picture.iter("title")]
    assert notes.count("TPR, hard: 50% [25%, 75%]") == 1
    assert sum(note.startswith("TNR") for note in notes) == 2
    assert len([node for node in picture.iter("path") if node.get("class") == "bar"]) == 3


def test_lines_join_what_is_known_where_asked():
    series = [Shares(label="TPR", values=(HALF, HALF)), Shares(label="TNR", values=(None, HALF))]
    assert [len(list(drawn(series, joined=joined).iter("polyline"))) for joined in (True, False)] == [1, 0]


def test_long_names_are_shortened_and_told_in_full():
    name = "a generator <with> a very long name " * 3
    picture = drawn([Shares(label="TPR", values=(HALF,) * 4)], (name, "b", "c", "d"))
    assert name in [node.text for node in picture.iter("title")]
    assert not any(node.text == name for node in picture.iter("text"))


def test_higher_shares_are_drawn_higher():
    low, high = (
        next(drawn([Shares(label="x", values=(Interval(v, v, v),))], ("a",)).iter("circle")).get("cy")
        for v in (0.2, 0.8)
    )
    assert float(str(low)) > float(str(high))
