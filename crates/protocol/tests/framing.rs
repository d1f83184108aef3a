//! Frames against noise: whatever the line does, whole frames arrive and nothing panics.

use fixpoint_protocol::{
    BUFFER_BYTES, Decoder, FrameWriter, MAX_DATA, MAX_ENCODED, MAX_PAYLOAD, Reply, Request, Sink,
    Step, VERSION,
};
use proptest::prelude::*;

/// What a line carried, in order.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    frames: Vec<(u8, u8, u16, Vec<u8>)>,
    text: Vec<u8>,
    dropped: usize,
}

fn listen<B: AsRef<[u8]> + AsMut<[u8]>>(decoder: &mut Decoder<B>, bytes: &[u8]) -> Heard {
    let mut heard = Heard::default();
    for &byte in bytes {
        match decoder.push(byte) {
            Step::More => {}
            Step::Text(text) => heard.text.extend_from_slice(text),
            Step::Dropped(_) => heard.dropped += 1,
            Step::Frame(frame) => {
                let _ = (Request::read(&frame), Reply::read(&frame));
                heard.frames.push((
                    frame.version,
                    frame.kind,
                    frame.sequence,
                    frame.payload.to_vec(),
                ));
            }
        }
    }
    heard
}

fn frame(kind: u8, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    let mut writer = FrameWriter::new(&mut line, kind, sequence);
    writer.bytes(payload);
    writer.finish();
    line
}

#[test]
fn the_bytes_of_hello_are_those_of_the_specification() {
    let mut line = Vec::new();
    Request::Hello.write(0x1234, &mut line).unwrap();
    // CRC-32 of 01 01 34 12 is 0xd0a950f1 by zlib.
    assert_eq!(
        line,
        [
            0,
            9,
            0x01,
            0x01,
            0x34,
            0x12,
            HELLO_CRC[0],
            HELLO_CRC[1],
            HELLO_CRC[2],
            HELLO_CRC[3],
            0
        ]
    );
}

const HELLO_CRC: [u8; 4] = 0xd0a9_50f1_u32.to_le_bytes();

#[test]
fn every_payload_length_arrives() {
    let mut decoder = Decoder::default();
    for length in 0..=MAX_PAYLOAD {
        for fill in [0x00, 0x01, 0xFF] {
            let payload = vec![fill; length];
            let line = frame(0x84, length as u16, &payload);
            assert!(line.len() <= MAX_ENCODED + 2, "{length}");
            assert!(!line[1..line.len() - 1].contains(&0));
            let heard = listen(&mut decoder, &line);
            assert_eq!(
                heard.frames,
                [(VERSION, 0x84, length as u16, payload)],
                "{length}"
            );
            assert_eq!((heard.text.len(), heard.dropped), (0, 0));
        }
    }
}

#[test]
fn text_between_frames_is_handed_on() {
    let mut line = b"ESP-ROM:esp32s3\r\n".to_vec();
    line.extend(frame(0x88, 7, &[1, 0, 2, 0]));
    line.extend(b"guru meditation\n");
    line.extend(frame(0x85, 8, &[0; 10]));
    line.extend(b"!\n");
    let heard = listen(&mut Decoder::default(), &line);
    assert_eq!(heard.text, b"ESP-ROM:esp32s3\r\nguru meditation\n!\n");
    assert_eq!(heard.frames.len(), 2);
    assert_eq!(heard.dropped, 0);
}

#[test]
fn a_lost_delimiter_costs_one_frame() {
    for lost in [0, frame(1, 1, b"abc").len() - 1] {
        let mut line = frame(1, 1, b"abc");
        line.remove(lost);
        line.extend(frame(1, 2, b"def"));
        line.extend(frame(1, 3, b"ghi"));
        let heard = listen(&mut Decoder::default(), &line);
        let sequences: Vec<u16> = heard.frames.iter().map(|frame| frame.2).collect();
        assert!(sequences.ends_with(&[2, 3]), "{lost}: {sequences:?}");
    }
}

#[test]
fn a_frame_cut_by_a_restart_gives_way_to_text() {
    let mut decoder = Decoder::default();
    let whole = frame(0x86, 1, &[0x55; 400]);
    assert_eq!(listen(&mut decoder, &whole[..200]), Heard::default());
    assert!(decoder.mid_frame());
    assert!(matches!(decoder.abandon(), Step::Dropped(rest) if rest.len() == 199));
    let heard = listen(&mut decoder, b"rst:0x7\n");
    assert_eq!(heard.text, b"rst:0x7\n");
    assert_eq!(decoder.counters().garbled, 1);
}

#[test]
fn frames_too_long_are_dropped_and_counted() {
    let mut decoder = Decoder::default();
    let mut line = frame(1, 1, &[7; MAX_PAYLOAD + 40]);
    line.extend(frame(1, 2, b"after"));
    let heard = listen(&mut decoder, &line);
    assert_eq!(heard.frames, [(VERSION, 1, 2, b"after".to_vec())]);
    assert_eq!(decoder.counters().too_long, 1);

    let mut small = Decoder::new([0; 16]);
    let mut line = frame(1, 1, b"longer than this buffer");
    line.extend(frame(1, 2, b"ok"));
    let heard = listen(&mut small, &line);
    assert_eq!(heard.frames, [(VERSION, 1, 2, b"ok".to_vec())]);
    assert_eq!(small.counters().too_long, 1);
}

#[test]
fn other_versions_are_told_from_text() {
    let mut line = Vec::new();
    FrameWriter::with_version(&mut line, 2, 0xFF, 9).finish();
    let heard = listen(&mut Decoder::default(), &line);
    assert_eq!(heard.frames, [(2, 0xFF, 9, Vec::new())]);
}

#[test]
fn data_that_does_not_fit_is_refused_before_a_byte_is_sent() {
    let bytes = [0; MAX_DATA + 1];
    let mut line = Vec::new();
    let request = Request::WriteInput {
        input: 0,
        offset: 0,
        bytes: &bytes,
    };
    assert_eq!(
        request.write(1, &mut line).unwrap_err().bytes,
        MAX_PAYLOAD + 1
    );
    assert!(line.is_empty());
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Remove(usize),
    Insert(usize, u8),
    Repeat(usize, usize),
    Cut(usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<usize>(), 1..=255u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        any::<usize>().prop_map(Damage::Remove),
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (any::<usize>(), 1..40usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        any::<usize>().prop_map(Damage::Cut),
    ]
}

fn apply(line: &mut Vec<u8>, damage: &Damage) {
    if line.is_empty() {
        return;
    }
    let place = |at: usize| at % line.len();
    match *damage {
        Damage::Flip(at, mask) => {
            let at = place(at);
            line[at] ^= mask;
        }
        Damage::Remove(at) => {
            let at = place(at);
            line.remove(at);
        }
        Damage::Insert(at, byte) => {
            let at = place(at);
            line.insert(at, byte);
        }
        Damage::Repeat(at, length) => {
            let at = place(at);
            let end = (at + length).min(line.len());
            let again = line[at..end].to_vec();
            line.splice(at..at, again);
        }
        Damage::Cut(at) => {
            let at = place(at);
            line.truncate(at);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_and_any_buffer_are_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..4000),
        zeros in 0..8u8,
        buffer in 0..2 * BUFFER_BYTES,
    ) {
        // Thinned so that zeros, the delimiters, are frequent.
        let bytes: Vec<u8> = bytes.into_iter().map(|b| if b & 7 < zeros { b & 0x0F } else { b }).collect();
        listen(&mut Decoder::new(vec![0; buffer]), &bytes);
    }

    #[test]
    fn any_payload_of_any_kind_is_read_or_refused(
        kind in any::<u8>(),
        payload in prop::collection::vec(any::<u8>(), 0..MAX_PAYLOAD),
    ) {
        let heard = listen(&mut Decoder::default(), &frame(kind, 3, &payload));
        prop_assert_eq!(heard.frames, [(VERSION, kind, 3, payload)]);
    }

    #[test]
    fn damage_costs_only_the_frames_it_hits(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..6),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let mut line = Vec::new();
        for (sequence, payload) in payloads.iter().enumerate() {
            line.extend(frame(0x86, sequence as u16, payload));
            line.extend(b"text\n");
        }
        for damage in &damages {
            apply(&mut line, damage);
        }
        // Two frames behind the damage: the first may be taken for the tail of something broken.
        line.extend(frame(0x84, 1000, b"one"));
        line.extend(frame(0x84, 1001, b"two"));
        let mut decoder = Decoder::default();
        let heard = listen(&mut decoder, &line);
        prop_assert_eq!(heard.frames.last(), Some(&(VERSION, 0x84, 1001, b"two".to_vec())));
        // Nothing that was not sent is taken for a frame.
        for (version, kind, sequence, payload) in &heard.frames {
            prop_assert_eq!(*version, VERSION);
            let sent: &[u8] = match sequence {
                1000 => b"one",
                1001 => b"two",
                n => &payloads[usize::from(*n)],
            };
            prop_assert!(*kind == 0x84 || *kind == 0x86);
            prop_assert_eq!(payload, sent);
        }
    }
}

#[test]
fn a_sink_may_be_a_trait_object() {
    let mut line = Vec::new();
    let sink: &mut dyn Sink = &mut line;
    Request::Hello.write(1, sink).unwrap();
    assert_eq!(
        listen(&mut Decoder::default(), &line).frames,
        [(VERSION, 1, 1, vec![])]
    );
}
