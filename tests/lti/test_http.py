"""The only way out: where it may go, and what it does when the other side fails (E02, E04, F01 to F05, F13, J15)."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import gzip
import http.server
import ipaddress
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from lti_tool.errors import AddressRefused, ServiceBusy, ServiceError, ServiceUnreachable
from lti_tool.http import Http, Response, address_kind, same_origin, throttled


class Server:
    """An HTTP server that answers from a list, its last answer again and again, and notes what it was sent."""

    def __init__(self, *answers, tls=None):
        self.answers = list(answers) or [(200, {}, b"ok")]
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                outer.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if callable(answer):
                    answer(self)
                    self.close_connection = True
                    return
                status, headers, body = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def client(pauses):
    return Http(allow_private=True, timeout=(1, 1), total_timeout=10, sleep=pauses.append)


# Where it may go

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "198.18.0.1",
    "192.0.2.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "fec0::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
]
NEVER = [
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "::",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "ff02::1",
]
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_e02_an_address_that_is_not_public_is_known(address):
    assert address_kind(ipaddress.ip_address(address)) != "public"


@pytest.mark.parametrize("address", NEVER)
def test_e02_some_addresses_are_never_gone_to_even_where_private_ones_are(address):
    assert address_kind(ipaddress.ip_address(address)) == "never"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_known(address):
    assert address_kind(ipaddress.ip_address(address)) == "public"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "127.1",
        "0x7f.1",
        "0",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a00:1]",
        "[fe80::1%25lo]",
        "192.168.0.1",
    ],
)
def test_e02_every_spelling_of_a_private_host_is_refused_and_nothing_is_sent(host):
    strict = Http()
    with pytest.raises((AddressRefused, ServiceUnreachable)) as refusal:
        strict.get(f"https://{host}/")
    if host not in ("localhost.", "a.localhost"):  # not every resolver knows these
        assert isinstance(refusal.value, AddressRefused), refusal.value
    with pytest.raises((AddressRefused, ServiceUnreachable)):
        strict.check(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://example.org",
        "//example.org/",
        "example.org",
        "",
        "https://",
        "https:///x",
        "https://user@example.org/",
        "https://user:pw@example.org/",
        "https://example.org\\@10.0.0.1/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: x",
        "https://example.org:99999/",
        "https://[::1",
        "javascript:alert(1)",
        "https://example.org\x00/",
        f"https://{'a' * 300}.example/",
        "https://a..example/",
        "data:text/html,x",
    ],
)
def test_e01_what_is_no_plain_https_address_is_refused(url):
    for attempt in (Http().get, Http().check):
        with pytest.raises(AddressRefused):
            attempt(url)


def test_e02_the_metadata_service_is_refused_where_private_hosts_are_allowed(client):
    for url in ("http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/"):
        with pytest.raises(AddressRefused):
            client.get(url)


def test_http_goes_to_private_hosts_only_and_only_where_they_are_allowed(client):
    with Server() as server:
        assert client.get(server.url).body == b"ok"
        with pytest.raises(AddressRefused):
            Http().get(server.url)
        assert len(server.seen) == 1
    with pytest.raises(AddressRefused):
        client.get("http://93.184.216.34/")


def answers_of(monkeypatch, *addresses):
    """Have the resolver give these addresses, one list per look-up."""
    asked = []

    def look_up(host, port, *args, **kwargs):
        found = addresses[min(len(asked), len(addresses) - 1)]
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_e02_a_name_with_one_private_answer_is_refused(monkeypatch):
    asked = answers_of(monkeypatch, ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(AddressRefused):
        Http().get("https://rebind.example/")
    assert asked == ["rebind.example"]


def test_e02_a_name_is_looked_up_once_so_that_a_second_answer_leads_nowhere(monkeypatch, client):
    with Server() as server:
        asked = answers_of(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        assert client.get(f"http://rebind.example:{server.port}/").status == 200
        assert asked == ["rebind.example"]
        assert server.seen[0][2]["Host"] == f"rebind.example:{server.port}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate authority, and a server certificate of it for localhost."""
    folder = tmp_path_factory.mktemp("ca")
    now = dt.datetime.now(dt.UTC)

    def certificate(name, issuer, key, signer, is_authority, names=()):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        return builder.sign(signer, hashes.SHA256())

    root_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    root = certificate("Test CA", "Test CA", root_key, root_key, True)
    leaf = certificate("localhost", "Test CA", key, root_key, False, ["localhost"])
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        leaf.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder


def tls_server(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / "server.pem")
    return Server(tls=context)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_certificate_authority_of_the_institution_is_honoured(monkeypatch, authority, variable):
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(authority / "ca.pem"))
    client = Http(allow_private=True)
    with tls_server(authority) as server:
        for _ in range(3):
            assert client.get(server.url).body == b"ok"


def test_a_certificate_that_is_not_trusted_or_of_another_name_is_refused(monkeypatch, authority):
    with tls_server(authority) as server:
        with pytest.raises(ServiceUnreachable) as failure:
            Http(allow_private=True).get(server.url)
        assert failure.value.reason == "tls"  # and at once: another attempt would find the same certificate
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
        with pytest.raises(ServiceUnreachable) as failure:
            Http(allow_private=True).get(server.url.replace("localhost", "127.0.0.1"))
        assert failure.value.reason == "tls"
        assert server.seen == []


def test_proxies_and_netrc_of_the_environment_change_nothing(monkeypatch, client, tmp_path):
    (tmp_path / ".netrc").write_text("machine localhost login a password b")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Server() as server:
        assert client.get(server.url).status == 200
        assert "Authorization" not in server.seen[0][2]


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_e04_a_redirect_is_not_followed(client, status):
    with Server() as other, Server((status, {"Location": other.url}, b"")) as server:
        with pytest.raises(ServiceError) as error:
            client.get(server.url)
        assert error.value.reason == "redirect" and other.seen == []


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/", "http://127.0.0.1:1/", "//evil.example/", "file:///x", "\\\\x"]
)
def test_e04_a_redirect_to_another_host_is_refused_even_where_redirects_are_allowed(client, target):
    with Server((302, {"Location": target}, b"")) as server:
        with pytest.raises(ServiceError) as error:
            client.get(server.url, same_host_redirects=True)
        assert error.value.reason in ("redirect", "address_refused") and len(server.seen) <= 4


def test_a_redirect_within_the_host_is_followed_where_allowed_but_not_for_ever(client):
    with Server((302, {"Location": "/two"}, b""), (200, {}, b"there")) as server:
        answer = client.get(f"{server.url}/one", same_host_redirects=True)
        assert answer.body == b"there" and answer.url.endswith("/two")
    with Server((302, {"Location": "/again"}, b"")) as server:
        with pytest.raises(ServiceError):
            client.get(server.url, same_host_redirects=True)
        assert len(server.seen) == 4


def test_a_post_is_never_redirected(client):
    with Server((307, {"Location": "/two"}, b"")) as server, pytest.raises(ServiceError):
        client.request("POST", server.url, body="x", same_host_redirects=True)


# Size and time


def test_an_answer_larger_than_allowed_is_dropped(client):
    with Server((200, {}, b"x" * 5_000_000)) as server:
        with pytest.raises(ServiceError) as error:
            client.get(server.url, max_bytes=256_000)
        assert error.value.reason == "too_large"


def test_an_answer_that_does_not_say_its_size_is_dropped_when_it_grows_too_large(client):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"x" * 100_000)

    with Server(endless) as server:
        with pytest.raises(ServiceError) as error:
            client.get(server.url, max_bytes=1_000_000)
        assert error.value.reason == "too_large"


def test_an_answer_that_unpacks_to_a_thousand_times_its_size_is_dropped(client):
    packed = gzip.compress(b"\0" * 50_000_000)
    with Server((200, {"Content-Encoding": "gzip"}, packed)) as server:
        with pytest.raises(ServiceError) as error:
            client.get(server.url, max_bytes=1_000_000)
        assert error.value.reason == "too_large"


def test_f02_a_server_that_does_not_answer_is_given_up(pauses):
    client = Http(allow_private=True, timeout=(1, 0.2), sleep=pauses.append)
    with Server(lambda handler: time.sleep(3)) as server:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable) as failure:
            client.get(server.url)
        assert time.monotonic() - began < 2
        assert failure.value.reason == "broken_off" and len(server.seen) == 3


@pytest.mark.parametrize("part", ["headers", "body"])
def test_f02_a_server_that_sends_a_byte_now_and_then_is_given_up(pauses, part):
    def dribble(handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(
                b"HTTP/1.1 200 OK\r\n" + (b"" if part == "headers" else b"Content-Length: 9999\r\n\r\n")
            )
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.1)

    client = Http(allow_private=True, timeout=(1, 1), total_timeout=0.8, sleep=pauses.append)
    with Server(dribble) as server:
        began = time.monotonic()
        with pytest.raises(ServiceUnreachable):
            client.get(server.url)
        assert time.monotonic() - began < 3


# Failing and trying again


def test_f01_a_refused_connection_is_tried_again_then_unreachable(client, pauses):
    with pytest.raises(ServiceUnreachable) as failure:
        client.request("POST", "http://localhost:1/", body="x")
    assert failure.value.reason == "connect" and len(pauses) == 2


def test_f01_an_unknown_name_is_unreachable(client):
    with pytest.raises(ServiceUnreachable) as failure:
        client.get("https://no-such-host.invalid/")
    assert failure.value.reason == "dns"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_f03_two_failures_then_200_succeeds(client, pauses, status):
    with Server((status, {}, b""), (status, {}, b""), (200, {}, b"there")) as server:
        assert client.get(server.url).body == b"there"
        assert len(pauses) == 2


def test_f03_a_post_that_does_no_harm_twice_is_tried_again_and_another_is_not(client):
    with Server((503, {}, b""), (503, {}, b""), (200, {}, b"there")) as server:
        assert client.request("POST", server.url, form={"a": "b"}, retry=True).status == 200
    with Server((503, {}, b""), (200, {}, b"there")) as server:
        with pytest.raises(ServiceError):
            client.request("POST", server.url, body="x")
        assert len(server.seen) == 1


def test_a_post_whose_connection_broke_off_is_not_sent_again(client):
    with Server(lambda handler: None) as server:
        with pytest.raises(ServiceUnreachable):
            client.request("POST", server.url, body="x")
        assert len(server.seen) == 1
        with pytest.raises(ServiceUnreachable):
            client.get(server.url)
        assert len(server.seen) == 4


def test_f04_a_long_retry_after_is_passed_on_and_not_slept_through(client, pauses):
    with Server((503, {"Retry-After": "120"}, b"")) as server:
        with pytest.raises(ServiceBusy) as busy:
            client.get(server.url)
        assert busy.value.retry_after == 120 and len(server.seen) == 1 and pauses == []


def test_f04_a_short_retry_after_is_waited_for(client, pauses):
    with Server((503, {"Retry-After": "2"}, b""), (200, {}, b"there")) as server:
        assert client.get(server.url).body == b"there"
        assert pauses == [2]


def test_f04_a_retry_after_that_is_a_date_counts_from_the_answers_own_date(client):
    """The LMS's clock may be wrong; the distance is what it means."""
    date = dt.datetime(2020, 1, 1, 12, 0, tzinfo=dt.UTC)

    def answer(handler):
        handler.wfile.write(
            b"HTTP/1.1 503 x\r\nDate: "
            + email.utils.format_datetime(date, usegmt=True).encode()
            + b"\r\nRetry-After: "
            + email.utils.format_datetime(date + dt.timedelta(seconds=90), usegmt=True).encode()
            + b"\r\nContent-Length: 0\r\n\r\n"
        )

    with Server(answer) as server, pytest.raises(ServiceBusy) as busy:
        client.get(server.url)
    assert busy.value.retry_after == 90


@pytest.mark.parametrize("value", ["soon", "-5", "", "1e9", "99999999999999999999"])
def test_f04_a_retry_after_that_cannot_be_read_does_no_harm(client, value):
    with Server((429, {"Retry-After": value}, b"")) as server, pytest.raises(ServiceBusy):
        client.get(server.url)


def test_f05_429_without_a_time_is_busy(client, pauses):
    with Server((429, {}, b"")) as server:
        with pytest.raises(ServiceBusy) as busy:
            client.get(server.url)
        assert busy.value.retry_after is None and len(server.seen) == 1 and pauses == []


def test_f05_the_throttle_of_canvas_is_told_from_a_403_that_refuses():
    def answer(status, body):
        return Response(status, "", {}, body, "https://x.example/")

    assert throttled(answer(403, b"403 Forbidden (Rate Limit Exceeded)"))
    assert throttled(answer(429, b""))
    assert not throttled(answer(403, b'{"errors": "unauthorized"}'))


# The rest


def test_a_status_that_is_not_2xx_is_an_error_unless_it_was_expected(client):
    with Server((404, {}, b"gone")) as server:
        with pytest.raises(ServiceError) as error:
            client.get(f"{server.url}/x?user_id=5")
        assert error.value.reason == "status_404"
        assert "user_id" not in error.value.detail
        assert client.get(server.url, allow=(404,)).body == b"gone"


def test_the_user_agent_and_headers_are_sent_and_no_cookie_is_kept(client):
    with Server((200, {"Set-Cookie": "a=b"}, b"")) as server:
        for _ in range(2):
            Http(allow_private=True, user_agent="lti-tool/1 (+https://tool.example)").get(
                server.url, headers={"Accept": "x/y"}
            )
            client.get(server.url)
        headers = [seen[2] for seen in server.seen]
        assert headers[0]["User-Agent"] == "lti-tool/1 (+https://tool.example)" and headers[0]["Accept"] == "x/y"
        assert all("Cookie" not in sent for sent in headers)


def test_forms_and_json_are_sent_with_their_types(client):
    with Server() as server:
        client.request("POST", server.url, form={"a": "b c&d"})
        client.request("POST", server.url, json={"é": 1})
        client.request("POST", server.url, body="é", headers={"Content-Type": "text/plain"})
        assert [(s[2]["Content-Type"], s[3]) for s in server.seen] == [
            ("application/x-www-form-urlencoded", b"a=b+c%26d"),
            ("application/json", b'{"\\u00e9": 1}'),
            ("text/plain", "é".encode()),
        ]


def test_f14_path_and_query_go_out_as_they_came(client):
    with Server() as server:
        client.get(f"{server.url}/A/%7Eb/C?limit=10&limit=10&x=%2Fy&Z=%c3%a9")
        assert server.seen[0][1].lower() == "/a/%7eb/c?limit=10&limit=10&x=%2fy&z=%c3%a9"
        assert "/A/" in server.seen[0][1] and "&Z=" in server.seen[0][1]


def test_connections_are_used_again(client):
    with Server() as server:
        ports = set()
        original = server.server.process_request

        def noting(request, address):
            ports.add(address[1])
            return original(request, address)

        server.server.process_request = noting
        for _ in range(5):
            client.get(server.url)
        assert len(ports) == 1


def test_j15_the_hook_can_forbid_a_request_before_anything_is_sent():
    class InTransaction(Exception):
        pass

    def forbid():
        raise InTransaction

    with Server() as server:
        with pytest.raises(InTransaction):
            Http(allow_private=True, before_request=forbid).get(server.url)
        assert server.seen == []


def test_an_answer_that_is_not_json_is_an_error_of_the_service():
    for body in (b"<html>", b"", b"\xff", b"[" * 100_000):
        with pytest.raises(ServiceError) as error:
            Response(200, "OK", {}, body, "https://x.example/?secret=1").json()
        assert error.value.reason == "not_json" and "secret" not in error.value.detail


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a/x", "https://A:443/y?z", True),
        ("https://a/", "http://a/", False),
        ("https://a/", "https://a:444/", False),
        ("https://a/", "https://a.evil/", False),
        ("https://a/", "https://a@evil/", False),
        ("https://a/", "//a/", False),
        ("https://a/", "https://[", False),
        ("https://a/", "https://u@a/", False),
    ],
)
def test_f13_same_origin_compares_scheme_host_and_port(one, other, same):
    assert same_origin(one, other) is same
