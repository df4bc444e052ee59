"""A Flask app with Celery, by the recipe of Flask's documentation."""

from celery import Celery, Task
from flask import Flask


def create_app():
    """Make the Flask app."""
    app = Flask(__name__)
    app.config.from_mapping(
        GREETING="Hello",
        CELERY={"broker_url": "redis://127.0.0.1:6379/0", "task_ignore_result": True},
    )
    celery_init_app(app)

    @app.get("/")
    def index():
        return app.config["GREETING"]

    return app


def celery_init_app(app):
    """Make the Celery app, whose tasks run within the Flask app's context."""

    class FlaskTask(Task):
        def __call__(self, *args, **kwargs):
            with app.app_context():
                return self.run(*args, **kwargs)

    celery_app = Celery(app.name, task_cls=FlaskTask)
    celery_app.config_from_object(app.config["CELERY"])
    celery_app.set_default()
    app.extensions["celery"] = celery_app
    return celery_app
