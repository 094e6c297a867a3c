"""The state of a site for people: one sentence, what is wrong, what to do about it, and how full everything is."""

from reconciler.render.status.summary import Overview, overview_data, sentence, status_data, status_text

__all__ = ["Overview", "overview_data", "sentence", "status_data", "status_text"]
