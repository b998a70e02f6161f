"""What a notebook calls to make a page."""

from helpers.base import door

HOMES = {
    "controls": "panel",
    "page": "BANNER BUNDLE Page",
    "parameters": "check_parameters",
}
__getattr__, __all__ = door(__name__, HOMES)
