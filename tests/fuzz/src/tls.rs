//! What a peer sends before any key is agreed on, whole and in any pieces.
//!
//! The first byte says how it is cut. Nothing comes of it but a handshake that goes on or an end
//! that is told; which of them does not depend on the pieces, and little is kept meanwhile.

use std::sync::OnceLock;
use tls::{Identity, Session, self_signed};

const NOW_UNIX_S: u64 = 1_790_000_000;
/// Our part of a handshake, and more than it.
const OUTGOING_BYTES_MAX: usize = 4 << 10;

fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        tls::random::seed([7; 32]);
        let pem = self_signed("lampion.test", None, NOW_UNIX_S).expect("made");
        let identity = Identity::of_pem(pem.certificate.as_bytes(), pem.key.as_bytes());
        identity.expect("what we make we take")
    })
}

/// Feeds `bytes` to two sessions.
pub(crate) fn run(bytes: &[u8]) {
    let Some((cut, input)) = bytes.split_first() else {
        return;
    };
    let whole = end(input, usize::MAX);
    let parted = end(input, 1 + usize::from(*cut) % 61);
    assert_eq!(whole, parted, "pieces make a difference");
}

/// How a session ends that hears this; `None` while it waits for more.
fn end(mut input: &[u8], piece: usize) -> Option<String> {
    let mut session = Session::new(identity()).expect("a session");
    while !input.is_empty() && !session.is_over() {
        let offered = &input[..input.len().min(piece)];
        let taken = session.take(offered);
        assert!(taken <= offered.len(), "only what is there is taken");
        assert!(taken > 0 || session.is_over(), "it goes on");
        assert!(session.plain().is_empty(), "nobody has the keys");
        assert!(session.outgoing().len() <= OUTGOING_BYTES_MAX);
        input = &input[taken..];
    }
    assert!(!session.is_established(), "nobody has the keys");
    assert_eq!(session.seal(&[b"secret"], 100), 0, "nothing is said yet");
    let failure = session.failure().map(ToString::to_string);
    session.close();
    failure
}
