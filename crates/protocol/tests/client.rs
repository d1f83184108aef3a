//! The host's client against a scripted board: retries, restarts, and what it says when it fails.

use fixpoint_protocol::host::{Action, Board, Event, LinkClient, LinkError, Options};
use fixpoint_protocol::{
    Cycles, Decoder, Dims, Element, ErrorCode, FrameWriter, Info, LayerInfo, Reply, Request, Step,
    TensorInfo, Version,
};

/// A board that doubles its input bytes: 3000 in, 3000 out. `line` decides what becomes of the
/// bytes in either direction.
struct Script {
    decoder: Decoder<Vec<u8>>,
    input: Vec<u8>,
    ran: bool,
    runs: u32,
    requests: u32,
    /// Requests (counted from 0) after which the board forgets everything.
    restart_at: Vec<u32>,
    /// Requests whose reply gets lost.
    lose: Vec<u32>,
    info: Info<'static>,
}

const BYTES: usize = 3000;

impl Script {
    fn new() -> Self {
        Script {
            decoder: Decoder::new(vec![0; 2048]),
            input: Vec::new(),
            ran: false,
            runs: 0,
            requests: 0,
            restart_at: Vec::new(),
            lose: Vec::new(),
            info: Info {
                protocol: 1,
                chip: 9,
                firmware: Version {
                    major: 1,
                    minor: 2,
                    patch: 3,
                },
                inputs: 1,
                outputs: 1,
                layers: 2,
                model_name: "doubler",
                ..Info::default()
            },
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut line = Vec::new();
        let mut decoder = std::mem::replace(&mut self.decoder, Decoder::new(Vec::new()));
        for &byte in bytes {
            let Step::Frame(frame) = decoder.push(byte) else {
                continue;
            };
            let number = self.requests;
            self.requests += 1;
            if self.restart_at.contains(&number) {
                (self.input, self.ran) = (Vec::new(), false);
                line.extend(b"rst:0x1 (POWERON)\n");
            }
            let mut answer = Vec::new();
            let request = Request::read(&frame).unwrap().unwrap();
            self.answer(&request, frame.sequence, &mut answer);
            if !self.lose.contains(&number) {
                line.extend(answer);
            }
        }
        self.decoder = decoder;
        line
    }

    fn answer(&mut self, request: &Request<'_>, sequence: u16, line: &mut Vec<u8>) {
        let doubled: Vec<u8> = self.input.iter().map(|b| b.wrapping_mul(2)).collect();
        let error = |code| Reply::Error {
            code,
            detail: 0,
            text: "",
        };
        let reply = match *request {
            Request::Hello => Reply::Info(self.info),
            Request::Tensor { index, .. } => Reply::Tensor(TensorInfo {
                index,
                element: Element::I8,
                exponent: -7,
                channels_last: true,
                bytes: BYTES as u32,
                dims: Dims::Values(&[1, 3, 1000]),
                name: "x",
            }),
            Request::Layer { index } => Reply::Layer(LayerInfo {
                index,
                element: Element::I8,
                exponent: 0,
                bytes: BYTES as u32,
                name: "twice",
                operator: "Add",
                channels_last: false,
                dims: Dims::Values(&[1, BYTES as u32]),
            }),
            Request::WriteInput { offset, bytes, .. } => {
                if offset as usize > self.input.len() {
                    error(ErrorCode::InputGap)
                } else {
                    self.ran = false;
                    self.input.truncate(offset as usize);
                    self.input.extend_from_slice(bytes);
                    Reply::Ack {
                        detail: self.input.len() as u32,
                    }
                }
            }
            Request::Run { .. } => {
                if self.input.len() < BYTES {
                    error(ErrorCode::InputMissing)
                } else {
                    self.runs += u32::from(!self.ran);
                    self.ran = true;
                    let progress = Reply::Progress { done: 0, layers: 2 };
                    progress.write(sequence, line).unwrap();
                    Reply::Result {
                        cycles: 1 << 33,
                        layers: 2,
                    }
                }
            }
            Request::ReadOutput { length, offset, .. } if self.ran => Reply::Output {
                output: 0,
                offset,
                bytes: &doubled[offset as usize..][..usize::from(length)],
            },
            Request::Profile { first } if self.ran => Reply::Profile {
                first,
                recorded: 2,
                // One at a time, to see the client ask for the rest.
                cycles: Cycles::Values(&[11, 22][usize::from(first)..][..1]),
            },
            _ => error(ErrorCode::NoResult),
        };
        reply.write(sequence, line).unwrap();
    }
}

/// Drives a client against a board until its job ends. Time passes only when it wants to wait.
fn drive(
    client: &mut LinkClient,
    mut board: impl FnMut(&[u8]) -> Vec<u8>,
) -> (Vec<Event>, Result<u64, LinkError>) {
    let mut events = Vec::new();
    let mut now = 0;
    for _ in 0..100_000 {
        match client.poll(now) {
            Action::Write(bytes) => {
                // In two pieces, since a port may cut anywhere.
                let reply = board(&bytes);
                let (first, second) = reply.split_at(reply.len() / 2);
                client.on_bytes(first);
                client.on_bytes(second);
            }
            Action::WaitUntil(until) => {
                assert!(until > now, "a wait must lead somewhere");
                now = until;
            }
            Action::Event(event) => events.push(event),
            Action::Done => return (events, Ok(now)),
            Action::Failed(error) => return (events, Err(error)),
        }
    }
    panic!("the client never finishes");
}

fn connected(script: &mut Script) -> LinkClient {
    let mut client = LinkClient::default();
    client.connect();
    let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    assert_eq!(outcome, Ok(0));
    assert!(matches!(&events[..], [Event::Connected(_)]), "{events:?}");
    client
}

fn input() -> Vec<u8> {
    (0..BYTES).map(|at| (at % 251) as u8).collect()
}

fn assert_doubled(events: &[Event]) {
    let Some(Event::Inference(inference)) = events.last() else {
        panic!("{events:?}");
    };
    let expected: Vec<u8> = input().iter().map(|b| b.wrapping_mul(2)).collect();
    assert_eq!(inference.outputs, [expected]);
    assert_eq!(inference.cycles, 1 << 33);
    assert_eq!(inference.layer_cycles, [11, 22]);
}

#[test]
fn connects_infers_and_describes() {
    let mut script = Script::new();
    let mut client = connected(&mut script);
    let Board { model, chip, .. } = client.board().unwrap();
    assert_eq!(*chip, 9);
    let model = model.as_ref().unwrap();
    assert_eq!(model.name, "doubler");
    assert_eq!(model.inputs[0].dims, [1, 3, 1000]);

    for _ in 0..2 {
        client.infer(vec![input()]);
        let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
        assert_eq!(outcome, Ok(0));
        assert!(events.contains(&Event::Progress { done: 0, layers: 2 }));
        assert_doubled(&events);
    }
    assert_eq!(script.runs, 2);

    client.describe_layers();
    let (events, _) = drive(&mut client, |bytes| script.hear(bytes));
    assert!(matches!(&events[..], [Event::Layers(layers)] if layers.len() == 2));
}

#[test]
fn every_lost_reply_is_asked_for_again() {
    // 0 Hello, 1-2 tensors, 3-5 pieces of input, 6 run, 7-9 output, 10-11 profile.
    for lost in 0..12 {
        let mut script = Script::new();
        script.lose = vec![lost];
        let mut client = LinkClient::default();
        client.connect();
        drive(&mut client, |bytes| script.hear(bytes)).1.unwrap();
        client.infer(vec![input()]);
        let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
        outcome.unwrap();
        assert_doubled(&events);
        assert_eq!((script.requests, script.runs), (13, 1), "lost {lost}");
    }
}

#[test]
fn a_board_that_restarts_gets_its_inputs_again() {
    for at in 4..12 {
        let mut script = Script::new();
        let mut client = connected(&mut script);
        script.restart_at = vec![at];
        client.infer(vec![input()]);
        let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
        outcome.unwrap();
        assert_doubled(&events);
        assert!(
            events.contains(&Event::Console("rst:0x1 (POWERON)\n".into())),
            "{at}: {events:?}"
        );
    }
    let mut script = Script::new();
    let mut client = connected(&mut script);
    script.restart_at = (6..200).collect();
    client.infer(vec![input()]);
    let (_, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    assert_eq!(outcome.unwrap_err().code(), "link-restarting");
}

#[test]
fn a_board_that_stops_answering_is_given_up() {
    let mut script = Script::new();
    let mut client = connected(&mut script);
    client.infer(vec![input()]);
    let mut sent = 0;
    let (_, outcome) = drive(&mut client, |_| {
        sent += 1;
        Vec::new()
    });
    assert_eq!(sent, Options::default().attempts);
    assert_eq!(
        outcome,
        Err(LinkError::Lost {
            during: "while it was given the input"
        })
    );
    // The client is usable afterwards.
    client.infer(vec![input()]);
    let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    outcome.unwrap();
    assert_doubled(&events);
}

#[test]
fn what_is_on_the_line_instead_of_a_board_is_named() {
    let cases: [(&[u8], &str); 5] = [
        (b"", "link-silent"),
        (
            b"boot:0x0 (DOWNLOAD)\r\nwaiting for download\r\n",
            "link-download-mode",
        ),
        (b"[12] sensor 21.5\n", "link-only-text"),
        (b"\xFE\xC3\x9F\xE8\xFE\xB1\x81", "link-garbled"),
        (
            b"\x00\x09\x01\x01\x34\x12\xFF\xFF\xFF\xFF\x00",
            "link-garbled",
        ),
    ];
    for (line, code) in cases {
        let mut client = LinkClient::default();
        client.connect();
        let mut asked = 0;
        let (_, outcome) = drive(&mut client, |_| {
            asked += 1;
            line.to_vec()
        });
        assert_eq!(outcome.unwrap_err().code(), code);
        assert_eq!(asked, 24, "every 250 ms for 6 s");
    }
}

#[test]
fn another_version_is_told_with_its_remedy() {
    for (version, older) in [(2, false), (8, false)] {
        let mut client = LinkClient::default();
        client.connect();
        let (_, outcome) = drive(&mut client, |_| {
            let mut line = Vec::new();
            FrameWriter::with_version(&mut line, version, 0xFF, 1).finish();
            line
        });
        assert_eq!(outcome, Err(LinkError::OtherVersion { board: version }));
        let sentence = outcome.unwrap_err().to_string();
        assert_eq!(sentence.contains("older"), older, "{sentence}");
        assert!(sentence.contains("flash the board again"), "{sentence}");
    }
}

#[test]
fn a_board_without_a_model_connects_and_says_why() {
    let mut script = Script::new();
    script.info.problem = Some(ErrorCode::ModelRefused);
    script.info.problem_text = "the checksum is wrong";
    let mut client = LinkClient::default();
    client.connect();
    let (events, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    outcome.unwrap();
    let [Event::Connected(board)] = &events[..] else {
        panic!("{events:?}");
    };
    let problem = board.model.as_ref().unwrap_err();
    assert!(problem.to_string().contains("the checksum is wrong"));
    client.infer(vec![]);
    let (_, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    assert_eq!(outcome.unwrap_err().code(), "link-no-model");
}

#[test]
fn wrong_inputs_are_refused_before_anything_is_sent() {
    let mut script = Script::new();
    let mut client = connected(&mut script);
    let before = script.requests;
    client.infer(vec![]);
    let (_, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    assert_eq!(outcome.unwrap_err().code(), "link-input-count");
    client.infer(vec![vec![0; BYTES - 1]]);
    let (_, outcome) = drive(&mut client, |bytes| script.hear(bytes));
    assert_eq!(outcome.unwrap_err().code(), "link-input-size");
    LinkClient::default().infer(vec![]);
    assert_eq!(script.requests, before);
    let mut fresh = LinkClient::default();
    fresh.infer(vec![]);
    let (_, outcome) = drive(&mut fresh, |bytes| script.hear(bytes));
    assert_eq!(outcome, Err(LinkError::NotConnected));
}

#[test]
fn replies_that_can_not_be_are_refused() {
    let replies = [
        Reply::Ack { detail: 0 },
        Reply::Output {
            output: 3,
            offset: 0,
            bytes: b"x",
        },
        Reply::Result {
            cycles: 1,
            layers: 1,
        },
    ];
    for reply in replies {
        let mut client = LinkClient::default();
        client.connect();
        let (_, outcome) = drive(&mut client, |bytes| {
            let mut line = bytes.to_vec(); // an echo first, which is ignored
            reply.write(1, &mut line).unwrap();
            line
        });
        assert_eq!(outcome.unwrap_err().code(), "link-wrong-reply");
    }
}
