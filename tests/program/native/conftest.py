"""Machine code is kept in a folder of the test run, not in the user's."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_folder(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("code")
    patch.setenv("HOGRAD_CACHE_DIR", str(folder))
    yield folder
    patch.undo()
