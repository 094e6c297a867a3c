"""Output for where changes are reviewed: comments on pull requests, annotations, reports of a pipeline."""
