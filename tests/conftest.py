"""What tests of several folders share."""

import doctest
import inspect

import pytest


@pytest.fixture
def check_session():
    """A function that runs a recorded session, `>>>` lines with their answers, and fails where an answer differs."""

    def check(text, name):
        session = doctest.DocTestParser().get_doctest(inspect.cleandoc(text), {}, name, None, 0)
        assert session.examples
        report = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session, out=report.append)
        assert not report, "".join(report)

    return check
