"""The course page in a browser: the launch in its frame, and Canvas' messages."""

import pytest

ASK = """([frame, origin, message]) => new Promise((resolve) => {
  window.addEventListener("message", (event) => resolve({...event.data, origin: event.origin}), {once: true});
  (frame ? window.parent.frames[frame] : window.parent).postMessage(message, origin);
  setTimeout(() => resolve(null), 1000);
})"""


@pytest.fixture(scope="module")
def browser(playwright):
    running = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
    yield running
    running.close()


def open_course(talk, browser):
    teacher = talk.lms.people(talk.course, "instructor")[0]
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(f"{talk.lms.browser_root}/course/{talk.course.number}?tool={talk.tool.client_id}&as={teacher.id}")
    page.frame_locator("iframe[name=tool]").locator("#launched").wait_for()
    frame = page.frame(name="tool")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    origin = talk.lms.browser_root.rsplit("/", 1)[0]
    return page, lambda target, **message: frame.evaluate(ASK, [target, origin, message])


def test_a_launch_ends_in_the_frame(any_mood, browser):
    launched = len(any_mood.fake.launches)
    page, _ = open_course(any_mood, browser)
    assert set(any_mood.fake.launches[launched]) >= {"id_token", "state"}
    page.close()


def test_canvas_keeps_data_for_the_tool_and_resizes_its_frame(canvas, browser):
    page, ask = open_course(canvas, browser)
    offered = ask(None, subject="lti.capabilities", message_id="1")["supported_messages"]
    assert {"subject": "lti.put_data", "frame": "post_message_forwarding"} in offered
    put = ask("post_message_forwarding", subject="lti.put_data", message_id="2", key="state-1", value="yes")
    assert put["origin"] == canvas.lms.auth_url.split("/canvas/")[0]
    for target in ("post_message_forwarding", None):
        assert ask(target, subject="lti.get_data", message_id="3", key="state-1")["value"] == "yes"
    assert ask(None, subject="lti.put_data", key="no id")["error"]["code"] == "bad_request"
    assert ask(None, subject="lti.put_data", message_id="5", key="long", value="x" * 4096)["error"]["code"] == (
        "storage_exhaustion"
    )
    forgotten = ask(None, subject="lti.put_data", message_id="6", key="state-1")
    assert forgotten["key"] == "state-1" and "value" not in forgotten
    assert ask(None, subject="lti.get_data", message_id="7", key="state-1")["value"] is None
    assert ask(None, subject="lti.somethingElse", message_id="8")["error"] == {"code": "unsupported_subject"}
    ask(None, subject="lti.frameResize", message_id="4", height=1234)
    assert page.locator("iframe[name=tool]").evaluate("frame => frame.clientHeight") == 1234
    page.close()


def test_moodle_answers_no_messages(moodle, browser):
    page, ask = open_course(moodle, browser)
    assert ask(None, subject="lti.capabilities", message_id="1") is None
    page.close()
