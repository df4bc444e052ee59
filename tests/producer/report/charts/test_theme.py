"""Lanes differ by more than colour, labels are text, and logarithmic axes say their numbers in full."""

import plotly.graph_objects as go

from producer.report.charts.theme import LOOKS, SIZE, TOP, escaped, lane_of, layout, logarithmic, style_of


def test_lanes_differ_in_colour_mark_dash_and_pattern():
    for field in ("colour", "symbol", "dash", "pattern"):
        assert len({getattr(each, field) for each in LOOKS}) == len(LOOKS)


def test_a_lane_looks_the_same_wherever_it_stands_at_its_place():
    assert style_of(["prefork", "threads"], "threads") is LOOKS[1]
    assert style_of([str(n) for n in range(9)], "7") is LOOKS[7 - len(LOOKS)]


def test_what_looks_like_a_tag_is_text():
    assert escaped("<b>x</b>&") == "&lt;b&gt;x&lt;/b&gt;&amp;"


def test_a_logarithmic_axis_has_marks_at_one_two_and_five():
    axis = logarithmic()
    labels = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert [labels[value] for value in (0.001, 0.5, 20.0, 1000.0)] == ["0.001", "0.5", "20", "1,000"]


def test_a_lane_of_a_sweep_is_the_one_that_it_varies():
    summary = {"settings": {"points": [{"lanes": {"threads-c2": "threads"}}, {"lanes": {"threads-c4": "threads"}}]}}
    assert [lane_of(summary, key) for key in ("threads-c4", "prefork")] == ["threads", "prefork"]
    assert lane_of({"settings": {}}, "prefork") == "prefork"


def test_names_of_axes_are_no_larger_than_other_words():
    figure = layout(go.Figure(go.Bar(x=[1], y=[1])), x="slots", y="jobs/s")
    assert figure.layout.xaxis.title.to_plotly_json() == {"text": "slots", "font": {"size": SIZE}}
    assert figure.layout.yaxis.title.to_plotly_json() == {"text": "jobs/s", "font": {"size": SIZE}}


def above(*names, **trace):
    """Room above a figure with these names in its legend, and its height."""
    figure = layout(go.Figure([go.Bar(x=[1], y=[1], name=name, **trace) for name in names]), x="", y="", height=400)
    return figure.layout.margin.t, figure.layout.height


def test_a_legend_of_one_row_leaves_no_gap_above_the_chart_which_keeps_its_size():
    room, height = above("prefork", "threads")
    assert room < TOP
    assert 400 - height == TOP - room


def test_a_legend_that_may_need_a_second_row_on_a_phone_has_room_for_it():
    assert above("prefork: sojourn", "prefork: sojourn from sent", "threads: sojourn") == (TOP, 400)


def test_a_chart_without_a_legend_is_as_high_as_it_was_asked_to_be():
    assert above("prefork", showlegend=False) == (TOP, 400)
