"""Labels are text."""

from producer.report.charts.labels import escaped


def test_what_looks_like_a_tag_is_text():
    assert escaped("<b>x</b>&") == "&lt;b&gt;x&lt;/b&gt;&amp;"
