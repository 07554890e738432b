import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_dist.errors import AuthenticationError, ProtocolError, UsageError, VersionMismatchError
from jupyter_dist.messages import PROTOCOL_VERSION
from jupyter_dist.protocol.auth import (
    FRAME_BYTES,
    ROLES,
    ClientHandshake,
    Handshake,
    HandshakeFrame,
    Kind,
    ServerHandshake,
    pack_frame,
    unpack_frame,
)

SECRET, OTHER = b"s" * 32, b"t" * 32
A, B = b"a" * 32, b"b" * 32


def client(role="worker", cluster="c1", secret=SECRET, nonce=A) -> ClientHandshake:
    return ClientHandshake(role, cluster, secret, nonce)


def server(roles=("client", "worker"), cluster="c1", secret=SECRET, nonce=B) -> ServerHandshake:
    return ServerHandshake(roles, cluster, secret, nonce)


def give(side: Handshake, data: bytes) -> bytes:
    while data:
        buffer = side.get_buffer()
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        data = data[count:]
        side.received(count)
    return side.outgoing()


def changed(data: bytes, **fields) -> bytes:
    return pack_frame(unpack_frame(data)._replace(**fields))


def refused(side: Handshake, data: bytes) -> bytes:
    with pytest.raises(AuthenticationError, match="authentication failed"):
        give(side, data)
    return side.outgoing()


@pytest.mark.parametrize("role", ROLES)
def test_handshake_with_the_secret_proves_the_role_to_both(role):
    near, far = client(role), server(ROLES)
    proof = give(near, give(far, near.outgoing()))
    assert not near.is_done
    assert not far.is_done
    assert far.role == ""
    assert give(near, give(far, proof)) == b""
    assert near.is_done
    assert far.is_done
    assert far.role == near.role == role


def test_frames_fit_the_limit_for_strangers():
    assert FRAME_BYTES <= 512
    assert len(client().outgoing()) == FRAME_BYTES


def test_client_with_wrong_secret_is_refused_by_the_words_of_both():
    near, far = client(secret=OTHER), server()
    note = refused(near, give(far, near.outgoing()))  # it sees first that the server's proof is not of its secret
    refused(far, note)


def test_client_with_wrong_secret_that_goes_on_is_refused():
    near, far = client(secret=OTHER), server()
    challenge = unpack_frame(give(far, near.outgoing()))
    forged = near._proof(b"connecting", "worker", A, challenge.nonce)
    note = refused(far, changed(client().outgoing(), kind=Kind.PROOF, proof=forged))
    assert unpack_frame(note).kind is Kind.REFUSED
    assert not far.is_done
    refused(client(), note)


def test_server_with_wrong_secret_gets_no_proof():
    near = client()
    note = refused(near, give(server(secret=OTHER), near.outgoing()))
    assert unpack_frame(note).kind is Kind.REFUSED


def test_proof_for_another_role_is_refused():
    near, far = client("worker"), server()
    give(far, changed(near.outgoing(), role=ROLES.index("client") + 1))
    refused(far, changed(client().outgoing(), kind=Kind.PROOF, proof=near._proof(b"connecting", "worker", A, B)))


@pytest.mark.parametrize("role", [0, 5, 255, ROLES.index("peer") + 1])
def test_role_the_server_does_not_serve_is_refused(role):
    refused(server(), changed(client().outgoing(), role=role))


def test_another_cluster_is_refused():
    refused(server(), client(cluster="c2").outgoing())


def test_replayed_handshake_is_refused():
    near, far = client(), server()
    hello = near.outgoing()
    proof = give(near, give(far, hello))
    give(far, proof)
    later = server(nonce=b"n" * 32)
    give(later, hello)
    refused(later, proof)


def test_reflected_challenge_is_refused():
    near = client()
    hello = near.outgoing()
    refused(near, changed(hello, kind=Kind.CHALLENGE))
    far = server()
    challenge = unpack_frame(give(far, client().outgoing()))
    refused(far, changed(hello, kind=Kind.PROOF, proof=challenge.proof))


def test_own_nonce_sent_back_is_refused():
    refused(server(nonce=A), client(nonce=A).outgoing())


def test_confirmation_without_a_proof_is_an_error():
    near = client()
    hello = near.outgoing()
    with pytest.raises(ProtocolError, match="CONFIRM"):
        give(near, changed(hello, kind=Kind.CONFIRM))
    assert not near.is_done


def test_proof_before_hello_is_an_error():
    with pytest.raises(ProtocolError, match="PROOF"):
        give(server(), changed(client().outgoing(), kind=Kind.PROOF))


def test_second_hello_is_an_error():
    far = server()
    give(far, client().outgoing())
    with pytest.raises(ProtocolError, match="HELLO"):
        give(far, client().outgoing())


@pytest.mark.parametrize("version", [0, PROTOCOL_VERSION + 1, 65535])
def test_other_version_is_answered_with_both_versions(version):
    far = server()
    with pytest.raises(VersionMismatchError, match=f"version {PROTOCOL_VERSION} and the other side {version}"):
        give(far, changed(client().outgoing(), version=version))
    note = unpack_frame(far.outgoing())
    assert (note.kind, note.version, note.heard_version) == (Kind.VERSION, PROTOCOL_VERSION, version)


def test_client_told_of_another_version_says_what_to_install():
    near = client()
    note = changed(near.outgoing(), kind=Kind.VERSION, version=7, heard_version=PROTOCOL_VERSION)
    with pytest.raises(VersionMismatchError, match="pip install --upgrade jupyter_dist"):
        give(near, note)
    assert near.outgoing() == b""


def test_version_claim_that_contradicts_itself_is_an_error():
    near = client()
    with pytest.raises(ProtocolError, match="claims another protocol version"):
        give(near, changed(near.outgoing(), kind=Kind.VERSION))


def test_downgraded_version_in_transit_is_refused():
    near, far = client(), server()
    with pytest.raises(VersionMismatchError):
        give(far, changed(near.outgoing(), version=PROTOCOL_VERSION - 1))
    assert not far.is_done


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n\r\n", b"\x93JDIST\r\r", b"\0" * 96])
def test_wrong_magic_is_an_error_at_its_first_byte(data):
    far = server()
    with pytest.raises(ProtocolError, match="no handshake of jupyter_dist"):
        give(far, data)
    assert far.outgoing() == b""


def test_unknown_kind_is_an_error():
    data = bytearray(client().outgoing())
    data[8] = 99
    with pytest.raises(ProtocolError, match="no handshake"):
        give(server(), bytes(data))


def test_truncated_handshake_waits_and_says_nothing():
    far = server()
    assert give(far, client().outgoing()[:-1]) == b""
    assert not far.is_done


def test_bytes_before_the_answer_are_an_error():
    far = server()
    with pytest.raises(ProtocolError):
        give(far, client().outgoing() + b"x" * FRAME_BYTES)


@given(st.binary(max_size=500))
def test_garbage_raises_only_protocol_errors(data):
    for side in (server(), client()):
        with contextlib.suppress(ProtocolError):
            give(side, data)
        assert not side.is_done


kinds = st.sampled_from(list(Kind))
blocks = st.sampled_from([bytes(32), A, B, b"x" * 32])
forged_frames = st.builds(
    HandshakeFrame,
    kinds,
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(0, 2),
    st.binary(max_size=16),
    blocks,
    blocks,
)


@given(st.lists(forged_frames, max_size=4))
def test_forged_frames_never_authenticate(frames):
    for side in (server(), client()):
        with contextlib.suppress(ProtocolError):
            for forged in frames:
                give(side, pack_frame(forged))
        assert not side.is_done


@pytest.mark.parametrize("options", [{"secret": b""}, {"secret": b"short"}, {"nonce": b""}, {"role": "admin"}])
def test_useless_secret_nonce_or_role_is_refused_at_once(options):
    with pytest.raises(UsageError):
        client(**options)


def test_error_texts_and_reprs_show_no_secret():
    far = server(secret=OTHER)
    near = client()
    with pytest.raises(AuthenticationError) as caught:
        give(near, give(far, near.outgoing()))
    assert str(SECRET) not in str(caught.value) + repr(near) + repr(far)
