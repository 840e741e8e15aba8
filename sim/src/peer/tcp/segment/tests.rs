//! Golden segments, and what is wrong with others.

use super::*;

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 49152);
const SERVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 2), 80);
const SYN: [u8; 28] = [
    0xc0, 0x00, 0x00, 0x50, 0x01, 0x02, 0x03, 0x04, 0x00, 0x00, 0x00, 0x00, 0x70, 0x02, 0xff, 0xff,
    0xab, 0xbf, 0x00, 0x00, 0x02, 0x04, 0x05, 0xb4, 0x01, 0x03, 0x03, 0x07,
];
const DATA: [u8; 23] = [
    0xc0, 0x00, 0x00, 0x50, 0x01, 0x02, 0x03, 0x05, 0xff, 0xff, 0xff, 0xfe, 0x50, 0x18, 0x03, 0xe8,
    0x38, 0x43, 0x00, 0x00, b'G', b'E', b'T',
];

fn syn() -> Segment {
    Segment {
        from: CLIENT,
        to: SERVER,
        sequence: 0x0102_0304,
        acknowledgement: 0,
        flags: Flags::SYN,
        window: 65535,
        mss: Some(1460),
        scale: Some(7),
        header_bytes: 28,
        data: Vec::new(),
    }
}

fn data() -> Segment {
    Segment {
        sequence: 0x0102_0305,
        acknowledgement: 0xffff_fffe,
        flags: Flags::PSH.and(Flags::ACK),
        window: 1000,
        mss: None,
        scale: None,
        header_bytes: 20,
        data: b"GET".to_vec(),
        ..syn()
    }
}

fn parsed(bytes: &[u8]) -> Result<Segment, ParseError> {
    parse(*CLIENT.ip(), *SERVER.ip(), bytes)
}

/// The checksum made right again.
fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[16..18].fill(0);
    let sum = checksum::of_payload(*CLIENT.ip(), *SERVER.ip(), 6, &bytes);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

#[test]
fn a_segment_is_read_as_it_is_written() {
    fn check(segment: Segment, golden: &[u8]) {
        assert_eq!(emit(&segment), golden);
        assert_eq!(parsed(golden), Ok(segment));
    }
    check(syn(), &SYN);
    check(data(), &DATA);
}

#[test]
fn a_malformed_segment_is_told_by_its_fault() {
    fn check(at: usize, byte: u8, expected: ParseError) {
        let mut bytes = SYN.to_vec();
        bytes[at] = byte;
        assert_eq!(parsed(&mended(bytes)), Err(expected));
    }
    let offset = |says| ParseError::DataOffset { says, bytes: 28 };
    check(12, 0x40, offset(16));
    check(12, 0x80, offset(32));
    check(13, 0x03, ParseError::SynAndFin);
    check(0, 0, ParseError::PortZero);
    check(21, 1, ParseError::Option { kind: 2 });
    check(21, 3, ParseError::Option { kind: 2 });
    check(21, 200, ParseError::Option { kind: 2 });
    check(26, 2, ParseError::Option { kind: 3 });
    assert_eq!(parsed(&SYN[..19]), Err(ParseError::Short { bytes: 19 }));
}

#[test]
fn a_changed_bit_is_a_wrong_checksum() {
    for bit in 0..DATA.len() * 8 {
        let mut bytes = DATA.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let parsed = parsed(&bytes);
        assert!(
            matches!(parsed, Err(ParseError::Checksum { .. })),
            "bit {bit}"
        );
    }
}

#[test]
fn unknown_options_are_passed_over() {
    let mut bytes = SYN.to_vec();
    bytes[20..28].copy_from_slice(&[8, 4, 0, 0, 0, 2, 4, 5]);
    let segment = parsed(&mended(bytes)).expect("the list ends before the stump");
    assert_eq!((segment.mss, segment.scale), (None, None));
}

#[test]
fn a_reset_answers_what_came() {
    fn check(segment: &Segment, expected: Option<(u32, u32, u8)>) {
        let reset = segment.reset_for();
        let words = reset.map(|reset| (reset.sequence, reset.acknowledgement, reset.flags.0));
        assert_eq!(words, expected);
    }
    check(&syn(), Some((0, 0x0102_0305, 0x14)));
    check(&data(), Some((0xffff_fffe, 0, 0x04)));
    let flags = Flags::RST;
    check(&Segment { flags, ..syn() }, None);
}
