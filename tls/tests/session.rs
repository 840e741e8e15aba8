//! Sessions against rustls's own client, in memory.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use tls::{Identity, Session, self_signed};
use tls_client::{HandshakeKind, TlsClient, TlsClients};

const NOW_UNIX_S: u64 = 1_790_000_000;
/// As much as a network takes at a time.
const ROOM_BYTES: usize = 100_000;

fn identity() -> Identity {
    tls::random::seed([7; 32]);
    let address: IpAddr = [10, 0, 2, 50].into();
    let pem = self_signed("lampion.test", Some(address), NOW_UNIX_S).expect("made");
    let identity = Identity::of_pem(pem.certificate.as_bytes(), pem.key.as_bytes());
    let identity = identity.expect("what we make we take");
    identity.note_time(NOW_UNIX_S);
    identity
}

/// A client and a server, and the wire between them.
struct Pair {
    client: TlsClient,
    server: Session,
    /// What the server has read.
    read: Vec<u8>,
}

impl Pair {
    fn new(clients: &TlsClients, identity: &Identity) -> Pair {
        Pair {
            client: clients.begin(),
            server: Session::new(identity).expect("a session"),
            read: Vec::new(),
        }
    }

    /// Moves what is on the wire, at most so many bytes at a time, until nothing moves.
    fn settle(&mut self, piece: usize) {
        loop {
            let records = self.client.records();
            for mut piece in records.chunks(piece) {
                while !piece.is_empty() {
                    let taken = self.server.take(piece);
                    piece = &piece[taken..];
                    self.read.extend_from_slice(self.server.plain());
                    let plain = self.server.plain().len();
                    assert!(taken > 0 || plain > 0, "it goes on");
                    self.server.drop_plain(plain);
                }
            }
            let out = self.server.outgoing().to_vec();
            for piece in out.chunks(piece) {
                self.client.take(piece).expect("good records");
            }
            self.server.drop_outgoing(out.len());
            if records.is_empty() && out.is_empty() {
                return;
            }
        }
    }
}

#[test]
fn bytes_go_both_ways_however_the_wire_cuts_them() {
    let (identity, clients) = (identity(), TlsClients::default());
    for piece in [1, 2, 3, 7, 100, 1_460, 20_000] {
        let mut pair = Pair::new(&clients, &identity);
        pair.settle(piece);
        assert!(pair.server.is_established());
        assert!(pair.client.kind().is_some());
        let question: Vec<u8> = (0..40_000_u32).map(|n| n as u8).collect();
        pair.client.say(&question);
        pair.settle(piece);
        assert!(pair.read == question, "pieces of {piece}");
        assert_eq!(pair.server.seal(&[b"one ", b"two"], ROOM_BYTES), 7);
        let long = vec![b'x'; 40_000];
        assert_eq!(pair.server.seal(&[&long], ROOM_BYTES), 16_384);
        pair.settle(piece);
        let received = pair.client.heard();
        assert!(received.starts_with(b"one twoxxx"), "{}", received.len());
        assert_eq!(received.len(), 7 + 16_384);
    }
}

#[test]
fn the_cipher_that_is_fast_here_is_agreed_on() {
    let mut pair = Pair::new(&TlsClients::default(), &identity());
    pair.settle(ROOM_BYTES);
    assert_eq!(pair.client.cipher(), "TLS13_CHACHA20_POLY1305_SHA256");
}

#[test]
fn a_record_fits_the_room_it_was_given() {
    let mut pair = Pair::new(&TlsClients::default(), &identity());
    pair.settle(ROOM_BYTES);
    for room in [0, 1, 21, 22, 23, 100, 1_460] {
        let sealed = pair.server.seal(&[&[b'x'; 5_000]], room);
        assert!(pair.server.outgoing().len() <= room, "{room}");
        assert_eq!(sealed, room.saturating_sub(22));
        let out = pair.server.outgoing().len();
        pair.server.drop_outgoing(out);
    }
}

#[test]
fn who_comes_again_needs_no_signature() {
    let (identity, clients) = (identity(), TlsClients::default());
    let kinds: Vec<_> = (0..2)
        .map(|_| {
            let mut pair = Pair::new(&clients, &identity);
            pair.settle(ROOM_BYTES);
            pair.client.kind()
        })
        .collect();
    let expected = [HandshakeKind::Full, HandshakeKind::Resumed];
    assert_eq!(kinds, expected.map(Some));
    identity.forget_tickets();
    let mut pair = Pair::new(&clients, &identity);
    pair.settle(ROOM_BYTES);
    assert_eq!(pair.client.kind(), Some(expected[0]));
}

#[test]
fn a_ticket_is_taken_for_twelve_hours_and_no_longer() {
    for (hours, kind) in [(11, HandshakeKind::Resumed), (12, HandshakeKind::Full)] {
        let (identity, clients) = (identity(), TlsClients::default());
        for (hours, kind) in [(0, HandshakeKind::Full), (hours, kind)] {
            identity.note_time(NOW_UNIX_S + hours * 60 * 60);
            let mut pair = Pair::new(&clients, &identity);
            pair.settle(ROOM_BYTES);
            assert_eq!(pair.client.kind(), Some(kind), "{hours} hours later");
        }
    }
}

#[test]
fn an_end_is_told_both_ways() {
    let mut pair = Pair::new(&TlsClients::default(), &identity());
    pair.settle(ROOM_BYTES);
    pair.client.close();
    pair.settle(ROOM_BYTES);
    assert!(pair.server.is_over());
    assert_eq!(pair.server.failure(), None);
    // Only its own direction is closed.
    assert_eq!(pair.server.seal(&[b"bye"], ROOM_BYTES), 3);
    pair.server.close();
    pair.settle(ROOM_BYTES);
    assert_eq!(pair.client.heard(), b"bye");
    assert!(pair.client.is_closed());
}

#[test]
fn what_is_no_tls_is_answered_with_an_alert() {
    let identity = identity();
    for noise in [
        &b"GET / HTTP/1.1\r\nHost: l\r\n\r\n"[..],
        &[0x16, 3, 1, 0xff, 0xff, 0, 0],
        &[0x16, 3, 1, 0, 4, 9, 0, 0, 0],
        &[0x17, 3, 3, 0, 1, 0],
    ] {
        let mut session = Session::new(&identity).expect("a session");
        assert_eq!(session.take(noise), noise.len());
        assert!(session.is_over(), "{noise:?}");
        assert!(session.failure().is_some(), "{noise:?}");
        let out = session.outgoing();
        assert_eq!((out[0], out.len()), (0x15, 7), "an alert: {out:?}");
        // It stays over, and takes what comes without keeping it.
        assert_eq!(session.take(&[0; 100_000]), 100_000);
        assert_eq!(session.plain(), b"");
    }
}

/// Beginnings of handshakes that are broken off where rustls has kept something of them.
#[test]
fn what_follows_a_part_of_a_handshake_may_be_anything() {
    let identity = identity();
    let part = &[0x16, 3, 1, 0, 4, 1, 0, 16, 0][..];
    let mut hellos: Vec<Vec<u8>> = vec![vec![0x16, 3, 1, 0, 4, 1, 1, 0, 0]];
    for follows in [
        &[0xff; 20][..],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0x15, 3, 1, 0, 2, 2, 0],
        &[0x14, 3, 1, 0, 1, 1],
        &[0x17, 3, 3, 0, 1, 0],
    ] {
        hellos.push([part, follows].concat());
    }
    // A ClientHello that is refused, and a whole message behind it, in one record.
    let mut two = vec![1, 0, 0, 38, 3, 3];
    two.extend([0; 36]);
    two.extend([20, 0, 0, 0]);
    hellos.push([&[0x16, 3, 1, 0, two.len() as u8][..], &two].concat());
    for hello in hellos {
        for piece in [1, 5, 9, 100] {
            let mut session = Session::new(&identity).expect("a session");
            for bytes in hello.chunks(piece) {
                assert_eq!(session.take(bytes), bytes.len());
            }
            assert!(session.failure().is_some(), "{hello:?}");
            assert_eq!(session.take(&[0x16; 100]), 100);
            assert_eq!(session.seal(&[b"x"], ROOM_BYTES), 0, "nothing is sealed");
            session.close();
        }
    }
}

#[test]
fn what_is_too_long_is_not_kept() {
    let mut session = Session::new(&identity()).expect("a session");
    let long = [
        &[0x16, 3, 1, 0x40, 0][..],
        &[1, 0, 0x3f, 0xfc],
        &[0; 20_000],
    ]
    .concat();
    let mut taken = 0;
    while session.failure().is_none() && taken < long.len() {
        taken += session.take(&long[taken..]);
    }
    assert_eq!(taken, 8 << 10);
    assert!(session.failure().is_some());
}

#[test]
fn a_record_that_was_changed_ends_the_session() {
    let mut pair = Pair::new(&TlsClients::default(), &identity());
    pair.settle(ROOM_BYTES);
    pair.client.say(b"hello");
    let mut wire = pair.client.records();
    *wire.last_mut().expect("a record") ^= 1;
    pair.server.take(&wire);
    assert_eq!(pair.server.plain(), b"");
    assert!(pair.server.failure().is_some());
    assert!(!pair.server.outgoing().is_empty());
}

#[test]
fn keys_and_certificates_that_do_not_fit_are_refused_with_a_sentence() {
    tls::random::seed([8; 32]);
    let one = self_signed("one.test", None, NOW_UNIX_S).expect("made");
    let other = self_signed("other.test", None, NOW_UNIX_S).expect("made");
    let told = |certificate: &str, key: &str| {
        let refused = Identity::of_pem(certificate.as_bytes(), key.as_bytes());
        refused.map(drop).expect_err("refused").to_string()
    };
    assert!(told(&one.certificate, &other.key).contains("does not belong"));
    assert!(told("", &one.key).contains("BEGIN CERTIFICATE"));
    assert!(told(&one.certificate, "").contains("P-256"));
    assert!(told(&one.key, &one.key).contains("BEGIN CERTIFICATE"));
    let cut = &one.certificate[..200];
    assert!(told(cut, &one.key).contains("certificate"));
}

#[test]
fn dates_before_2050_are_utc_time_and_later_ones_are_not() {
    // RFC 5280 section 4.1.2.5: tags 23 and 24, with 13 and 15 characters.
    let has = |unix_s: u64, date: &[u8]| {
        tls::random::seed([7; 32]);
        let pem = self_signed("lampion.test", None, unix_s).expect("made");
        let der = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("PEM");
        der.windows(date.len()).any(|part| part == date)
    };
    let day_s = 24 * 60 * 60;
    assert!(has(NOW_UNIX_S + day_s, b"\x17\x0d260921"));
    assert!(!has(NOW_UNIX_S + day_s, b"\x18\x0f20"));
    assert!(has(2_524_608_000 + day_s, b"\x18\x0f20500101"));
}
