"""Tests of the run folder work in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
