"""The report about an evaluation: paired differences between models, and one HTML file."""

from services.evaluation.report.reporting import Reporter as Reporter
