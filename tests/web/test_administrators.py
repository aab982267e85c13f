"""Who is administrator: one-time addresses, sessions, invitations, removal."""

from __future__ import annotations

from tests.scene import Scene


def test_an_operator_s_address_makes_an_administrator(scene: Scene) -> None:
    vera = scene.administrator("Vera Lindqvist")
    assert vera.page is not None and vera.page.url == f"{scene.url}/admin/platforms/"
    assert vera.get("/admin/approvals/").status_code == 200
    assert "signed out" in vera.post("/admin/sign-out").text
    assert vera.get("/admin/platforms/").status_code == 401
