"""Tasks of the Flask app."""

from celery import shared_task
from flask import current_app, render_template_string


@shared_task(ignore_result=False)
def greet(name):
    """Greet in the words of the configuration."""
    return f"{current_app.config['GREETING']} {name}"


@shared_task
def render(items):
    """Render a template."""
    template = "<ul>{% for item in items %}<li>{{ item }}</li>{% endfor %}</ul>"
    return len(render_template_string(template, items=items))
