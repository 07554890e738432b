import pytest

from jupyter_dist.comm.address import InprocAddress, TcpAddress, UnixAddress, parse_address
from jupyter_dist.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:/run/s", UnixAddress("/run/s")),
        ("unix:/a b/ü:s", UnixAddress("/a b/ü:s")),
        ("tcp://127.0.0.1:80", TcpAddress("127.0.0.1", 80)),
        ("tcp://127.8.9.1:0", TcpAddress("127.8.9.1", 0)),
        ("tcp://[::1]:9", TcpAddress("::1", 9)),
        ("inproc:name", InprocAddress("name")),
    ],
)
def test_address_is_parsed_and_written_back(text, address):
    assert parse_address(text) == address
    assert str(address) == text


def test_localhost_is_never_looked_up():
    assert parse_address("tcp://localhost:1") == TcpAddress("127.0.0.1", 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unix:",
        "unix:relative",
        "unix:/a\0b",
        "tcp:127.0.0.1:1",
        "tcp://:1",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:x",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:²",
        "inproc:",
        "tls://h:1",
        "/run/s",
    ],
)
def test_text_that_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="address"):
        parse_address(text)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "10.0.0.1", "example.org", "192.168.1.1"])
def test_address_other_hosts_can_reach_is_refused(host):
    with pytest.raises(UsageError, match="TLS"):
        parse_address(f"tcp://{host}:1")


def test_longest_socket_path_is_accepted_and_one_more_byte_refused():
    path = "/" + "ü" * 53
    assert parse_address(f"unix:{path}") == UnixAddress(path)
    with pytest.raises(UsageError, match="108 bytes and the system allows 107"):
        parse_address(f"unix:{path}x")
