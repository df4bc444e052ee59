"""Logarithmic axes say their numbers in full, and a legend has the room that it needs."""

import plotly.graph_objects as go

from producer.report.charts.layout import TOP, error_bars, layout, logarithmic
from producer.report.charts.theme import SIZE


def test_a_logarithmic_axis_has_marks_at_one_two_and_five():
    axis = logarithmic()
    labels = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert [labels[value] for value in (0.001, 0.5, 20.0, 1000.0)] == ["0.001", "0.5", "20", "1,000"]


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


def test_error_bars_reach_from_the_low_to_the_high_of_each_value():
    bars = error_bars([4.0, 10.0], [3.0, 10.0], [6.5, 12.0], "red")
    assert (bars["arrayminus"], bars["array"]) == ([1.0, 0.0], [2.5, 2.0])
