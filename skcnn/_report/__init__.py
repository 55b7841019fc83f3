"""A report of a fitted network as one HTML page."""

from skcnn._report._report import EvaluationReport, report

__all__ = ["EvaluationReport", "report"]
