"""The pool that plays the cases of a test file."""

import pytest

import deadwire

from stage import Pool

deadwire.enter()  # before there are threads


@pytest.fixture(scope="module")
def pool(request):
    """Plays the chosen cases of this file side by side; make_stage is the file's."""
    chosen = [item.callspec.params["case"] for item in request.session.items
              if item.module is request.module and "case" in getattr(item, "callspec").params]
    pool = Pool(request.module.make_stage, chosen)
    yield pool
    pool.done()
