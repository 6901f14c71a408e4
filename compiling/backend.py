"""The build backend: setuptools', with mypyc beside it where a wheel is compiled: others need not fetch it."""

from __future__ import annotations

from typing import Any

from extensions import REQUIREMENTS, is_wanted
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    build_sdist,
    build_wheel,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What building a wheel needs."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *(REQUIREMENTS if is_wanted() else [])]


def get_requires_for_build_editable(config_settings: Any = None) -> list[str]:
    """What an editable install needs."""
    needed = build_meta.get_requires_for_build_editable(config_settings)
    return [*needed, *(REQUIREMENTS if is_wanted(editable=True) else [])]
