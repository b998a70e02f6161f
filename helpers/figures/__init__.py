"""Figures for the pages: each draws, and carries its alt text and its data."""

from helpers.base import door

HOMES = {
    "forest_plot": "forest",
    "lines": "bars curves histogram histories labels regression reliability schedule",
    "grids": "architecture confusion Drawing heatmap images patches",
}
__getattr__, __all__ = door(__name__, HOMES)
