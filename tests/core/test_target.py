from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.target import InetTarget, Target, UnixTarget, parse_target
from proxymux.errors import BadAddress

# No database: a test run leaves no files behind.  No deadline: machines differ.
quick = settings(database=None, deadline=None, max_examples=300)

LONGEST_LABEL = "a" * 63
LONGEST_NAME = ".".join([LONGEST_LABEL] * 3 + ["a" * 61])
LONGEST_PATH = "/" + "p" * 106

GOOD: dict[str, Target] = {
    "localhost:80": InetTarget("localhost", 80, False),
    "localhost:1": InetTarget("localhost", 1, False),
    "localhost:65535": InetTarget("localhost", 65535, False),
    "db.example.com:5432": InetTarget("db.example.com", 5432, False),
    "db.example.com.:5432": InetTarget("db.example.com.", 5432, False),
    "DB.example.com:5432": InetTarget("DB.example.com", 5432, False),
    "my_service-1:5432": InetTarget("my_service-1", 5432, False),
    "_dmarc.example:80": InetTarget("_dmarc.example", 80, False),
    "xn--bcher-kva.example:80": InetTarget("xn--bcher-kva.example", 80, False),
    "3com.com:80": InetTarget("3com.com", 80, False),
    "1.2.3.4.example:80": InetTarget("1.2.3.4.example", 80, False),
    f"{LONGEST_LABEL}:80": InetTarget(LONGEST_LABEL, 80, False),
    f"{LONGEST_NAME}:80": InetTarget(LONGEST_NAME, 80, False),
    "127.0.0.1:8080": InetTarget("127.0.0.1", 8080, True),
    "0.0.0.0:8080": InetTarget("0.0.0.0", 8080, True),
    "[::1]:8080": InetTarget("::1", 8080, True),
    "[2001:DB8:0:0:0:0:0:1]:443": InetTarget("2001:db8::1", 443, True),
    "[fe80::1%eth0]:80": InetTarget("fe80::1%eth0", 80, True),
    "unix:/run/app.sock": UnixTarget("/run/app.sock"),
    "unix:/run/a:80": UnixTarget("/run/a:80"),
    "unix:/run/with a space": UnixTarget("/run/with a space"),
    "unix:/run/caf\N{LATIN SMALL LETTER E WITH ACUTE}": UnixTarget("/run/caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
    # A path that is no UTF-8, as os.fsdecode() writes it.
    "unix:/run/\udce9": UnixTarget("/run/\udce9"),
    f"unix:{LONGEST_PATH}": UnixTarget(LONGEST_PATH),
}

BAD: dict[str, object] = {
    "no text": "",
    "no port": "localhost",
    "no host": ":80",
    "an empty port": "localhost:",
    "only a colon": ":",
    # The port forms that the ancestor took.
    "a port in hexadecimal": "localhost:0x1F90",
    "a port in octal": "localhost:017620",
    "a port in octal, marked": "localhost:0o17620",
    "a space before the port": "localhost: 8080",
    "a space after the port": "localhost:8080 ",
    "a newline after the port": "localhost:8080\n",
    "a port with underscores": "localhost:8_080",
    "a port with a sign": "localhost:+8080",
    "port 0": "localhost:0",
    "port -1": "localhost:-1",
    "port 65536": "localhost:65536",
    "port 99999": "localhost:99999",
    "a service name for a port": "localhost:http",
    "a port with a fraction": "localhost:80.0",
    "a port in Arabic digits": "localhost:\N{ARABIC-INDIC DIGIT EIGHT}\N{ARABIC-INDIC DIGIT ZERO}",
    "a port in fullwidth digits": "localhost:\N{FULLWIDTH DIGIT EIGHT}\N{FULLWIDTH DIGIT ZERO}",
    "a port with a superscript": "localhost:8\N{SUPERSCRIPT TWO}",
    "a NUL after the port": "localhost:80\0",
    "a port of thousands of digits": "localhost:" + "9" * 5000,
    # Hosts.
    "a space before the host": " localhost:80",
    "a space after the host": "localhost :80",
    "a space in the host": "local host:80",
    "a newline in the host": "localhost\n:80",
    "a NUL in the host": "local\0host:80",
    "a path": "localhost/x:80",
    "a URL": "http://localhost:80",
    "a user": "me@localhost:80",
    "a percent sign": "local%68ost:80",
    "a label that begins with a hyphen": "-a.example:80",
    "a label that ends with a hyphen": "a-.example:80",
    "an empty label": "a..example:80",
    "an empty first label": ".example:80",
    "only dots": ".:80",
    "a label of 64 letters": f"{LONGEST_LABEL}a:80",
    "a name of 254 letters": f"{LONGEST_NAME}aa:80",
    "a name not in ASCII": "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:80",
    "the kelvin sign for a k": "\N{KELVIN SIGN}:80",
    # IPv4, of which resolvers take more forms than are written here.
    "IPv4 of three numbers": "127.0.1:80",
    "IPv4 of one number": "2130706433:80",
    "IPv4 with a number too large": "127.0.0.256:80",
    "IPv4 with leading zeroes": "127.0.0.01:80",
    "IPv4 with five numbers": "127.0.0.0.1:80",
    "IPv4 that ends in a dot": "127.0.0.1.:80",
    "IPv4 as one hexadecimal number": "0x7f000001:80",
    "IPv4 with a hexadecimal number": "127.0.0.0x1:80",
    "IPv4 with a superscript": "127.0.0.\N{SUPERSCRIPT ONE}:80",
    # IPv6.
    "IPv6 without brackets": "::1:8080",
    "a long IPv6 without brackets": "2001:db8::1:8080",
    "IPv6 in brackets without a port": "[::1]",
    "IPv6 in brackets with an empty port": "[::1]:",
    "IPv6 with one bracket": "[::1:80",
    "IPv6 with the other bracket": "::1]:80",
    "IPv6 in two pairs of brackets": "[[::1]]:80",
    "a host name in brackets": "[localhost]:80",
    "IPv4 in brackets": "[127.0.0.1]:80",
    "nothing in brackets": "[]:80",
    "IPv6 with a prefix length": "[::1/128]:80",
    "IPv6 with an empty zone": "[fe80::1%]:80",
    "IPv6 with a bracket in its zone": "[fe80::1%eth0]]:80",
    "IPv6 with a newline in its zone": "[fe80::1%eth\n0]:80",
    "IPv6 with a space in its zone": "[fe80::1%eth 0]:80",
    "two targets": "a:80,b:80",
    "two ports": "localhost:80:90",
    # Unix sockets.
    "no Unix path": "unix:",
    "a relative Unix path": "unix:app.sock",
    "a Unix path with a NUL": "unix:/run/a\0b",
    "an abstract Unix socket": "unix:\0app",
    "a Unix path too long for the system": f"unix:{LONGEST_PATH}p",
    "a Unix path too long in UTF-8": "unix:/" + "\N{LATIN SMALL LETTER E WITH ACUTE}" * 54,
    "a Unix path that no file can have": "unix:/\ud800",
    # Not text.
    "None": None,
    "a number": 80,
    "bytes": b"localhost:80",
    "a pair": ("localhost", 80),
    "a list": ["localhost:80"],
    "True": True,
}


@pytest.mark.parametrize("text", GOOD)
def test_a_good_text_is_read(text: str) -> None:
    assert parse_target(text) == GOOD[text]


@pytest.mark.parametrize("text", GOOD)
def test_a_target_shown_and_read_again_is_the_same(text: str) -> None:
    target = parse_target(text)
    assert parse_target(str(target)) == target


@pytest.mark.parametrize("name", BAD)
def test_a_bad_text_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_target(BAD[name])
    assert str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


def test_leading_zeroes_of_a_port_are_decimal_as_in_haproxy_and_nginx() -> None:
    assert parse_target("localhost:00080") == InetTarget("localhost", 80, False)


def test_bare_ipv6_is_told_how_to_be_written() -> None:
    with pytest.raises(BadAddress, match=r"\[2001:db8::1\]:8080"):
        parse_target("2001:db8::1:8080")


def test_a_long_text_is_cut_in_the_message() -> None:
    with pytest.raises(BadAddress) as refusal:
        parse_target("x" * 100_000)
    assert len(str(refusal.value)) < 300


_labels = st.from_regex(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,20}[A-Za-z0-9_])?", fullmatch=True)
_names = st.lists(_labels, max_size=5).map(lambda labels: ".".join([*labels, "example"]))
_v4 = st.ip_addresses(v=4).map(str)
_v6 = st.ip_addresses(v=6).map(lambda address: f"[{address.exploded}]")
_ports = st.integers(1, 65535)
_inet = st.builds("{}:{}".format, st.one_of(_names, _v4, _v6), _ports)
_unix = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=26).map("unix:/{}".format)


@quick
@given(st.one_of(_inet, _unix))
def test_every_target_survives_being_shown_and_read(text: str) -> None:
    target = parse_target(text)
    assert parse_target(str(target)) == target


@quick
@given(st.ip_addresses(), _ports)
def test_an_address_is_known_as_one_and_kept(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    target = parse_target(f"{host}:{port}")
    assert isinstance(target, InetTarget)
    assert target.is_address
    assert target.port == port
    assert ipaddress.ip_address(target.host) == address


@quick
@given(st.one_of(st.text(), st.text(alphabet="[]:.%x0189af-_/ \n\0"), st.text().map("unix:/{}".format)))
def test_any_text_is_a_target_or_a_bad_address(text: str) -> None:
    try:
        target = parse_target(text)
    except BadAddress:
        return
    assert parse_target(str(target)) == target
