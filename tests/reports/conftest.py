"""Fixtures of the tests that look at pages."""

from tests.reports.browser import browser, open_page

__all__ = ["browser", "open_page"]
