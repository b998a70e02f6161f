"""Figures for the pages: each draws, and carries its alt text and its data."""

from helpers.base import door

HOMES = {
    "forest_plot": "forest",
    "bar_charts": "bars histogram reliability",
    "lines": "curves histories regression schedule",
    "grids": "architecture confusion Drawing heatmap images patches",
}
__getattr__, __all__ = door(__name__, HOMES)
