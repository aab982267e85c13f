from tests.lti.fixtures import *  # noqa: F403
