//! The host's client and the board's server with nothing between them but a line, good or bad.

mod model;

use fixpoint_device::{Arenas, Board, Clock, ErrorCode, PROFILED_LAYERS, Server, Version};
use fixpoint_protocol::host::{Action, Event, Inference, Layer, LinkClient, LinkError, Options};
use fixpoint_protocol::{Constants, Decoder, FrameWriter, Reply, Request, Step};
use fixpoint_runtime::{AlignedBytes, Block16};
use proptest::prelude::*;

/// Advances by 1000 cycles whenever it is looked at.
#[derive(Default)]
struct Ticks(u32);

impl Clock for Ticks {
    fn cycles(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1000);
        self.0
    }
}

fn board() -> Board {
    Board {
        chip: 9,
        firmware: Version {
            major: 0,
            minor: 1,
            patch: 0,
        },
        virtual_board: false,
        cpu_hz: 240_000_000,
        flash_bytes: 4 << 20,
        runtime_id: 0,
        cores: 2,
        psram_bytes: 8 << 20,
    }
}

struct Setup {
    image: AlignedBytes,
    arena: Vec<Block16>,
}

impl Setup {
    fn new() -> Self {
        Setup {
            image: AlignedBytes::new(&model::image()),
            arena: vec![Block16::ZERO; model::ARENA_BYTES / 16],
        }
    }

    fn server(&mut self) -> Server<'_, Ticks> {
        // Near the wrap, so that every test crosses it.
        let clock = Ticks(u32::MAX - 2500);
        Server::new(
            board(),
            Ok(self.image.as_ref()),
            self.arena.as_mut_slice(),
            clock,
        )
    }
}

/// Runs the client's job over a line that `spoil` may damage in either direction.
fn drive<C: Clock>(
    client: &mut LinkClient,
    server: &mut Server<'_, C>,
    mut spoil: impl FnMut(&mut Vec<u8>),
) -> Result<Vec<Event>, LinkError> {
    let mut events = Vec::new();
    let mut now = 0;
    loop {
        match client.poll(now) {
            Action::Write(mut bytes) => {
                spoil(&mut bytes);
                let mut reply = Vec::new();
                server.on_bytes(&bytes, &mut reply);
                spoil(&mut reply);
                client.on_bytes(&reply);
            }
            Action::WaitUntil(until) => now = until,
            Action::Event(event) => events.push(event),
            Action::Done => return Ok(events),
            Action::Failed(error) => return Err(error),
        }
    }
}

fn connected<C: Clock>(server: &mut Server<'_, C>) -> LinkClient {
    let mut client = LinkClient::default();
    client.connect();
    drive(&mut client, server, |_| {}).unwrap();
    client
}

fn inference(events: &[Event]) -> &Inference {
    match events.last() {
        Some(Event::Inference(inference)) => inference,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_model_is_described_and_run() {
    let mut setup = Setup::new();
    let id = u32::from_le_bytes(model::image()[12..16].try_into().unwrap());
    let mut server = setup.server();
    assert_eq!(server.problem(), None);
    let mut client = connected(&mut server);
    let found = client.board().unwrap().clone();
    let model = found.model.unwrap();
    assert_eq!((model.id, model.name.as_str()), (id, "adder"));
    assert_eq!(model.arena_needed as usize, model::ARENA_BYTES);
    assert_eq!(model.bytes as usize, model::image().len());
    let names: Vec<&str> = model.inputs.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let half = &model.outputs[0];
    assert_eq!((half.name.as_str(), half.exponent), ("half", -3));
    assert_eq!(half.dims, model::DIMS);
    assert!(half.channels_last);

    client.describe_layers();
    let events = drive(&mut client, &mut server, |_| {}).unwrap();
    let Some(Event::Layers(layers)) = events.last() else {
        panic!("{events:?}");
    };
    let rows: Vec<_> = layers
        .iter()
        .map(|layer| (layer.name.as_str(), layer.operator.as_str()))
        .collect();
    assert_eq!(rows, [("add", "Add"), ("halve", "Requantize")]);
    assert!(
        layers
            .iter()
            .all(|layer| layer.channels_last && layer.dims == model::DIMS)
    );

    for seed in [1, 2] {
        client.infer(model::inputs(seed));
        let events = drive(&mut client, &mut server, |_| {}).unwrap();
        let inference = inference(&events);
        assert_eq!(inference.outputs, model::outputs(seed));
        // One look at the clock before and one after each layer.
        assert_eq!(inference.layer_cycles, [1000, 1000]);
        assert_eq!(inference.cycles, 5000);
    }
}

#[test]
fn tensors_and_weights_are_where_there_is_room() {
    let image = AlignedBytes::new(&model::image());
    let (tensors, bytes) = (
        model::ARENA_BYTES,
        model::image().len().next_multiple_of(16),
    );
    // Internal and external memory; which of them the tensors take, and where the constants are then.
    let cases = [
        (tensors, 0, 0, Constants::Flash),
        (tensors + bytes - 16, 0, 0, Constants::Flash),
        (tensors + bytes, 0, 0, Constants::Internal),
        (tensors, bytes, 0, Constants::Psram),
        (tensors + bytes, bytes, 0, Constants::Internal),
        (bytes - 16, tensors, 1, Constants::Flash),
        (bytes - 16, tensors + bytes, 1, Constants::Psram),
        (tensors - 16, tensors + bytes, 1, Constants::Internal),
    ];
    for (internal, external, tensors_in, constants) in cases {
        let fits = internal >= tensors;
        assert_eq!(fits, tensors_in == 0, "{internal} {external}");
        const FILL: Block16 = Block16([0x5A; 16]);
        let mut memories = [vec![FILL; internal / 16], vec![FILL; external / 16]];
        let [inner, outer] = &mut memories;
        let inside = fixpoint_runtime::memory::bytes(inner).as_ptr_range();
        let arenas = Arenas {
            internal: inner,
            external: outer,
        };
        let mut server = Server::new(board(), Ok(image.as_ref()), arenas, Ticks::default());
        let model = server.model().unwrap();
        let copied = model.image().as_ptr() != image.as_ref().as_ptr();
        // Names are the last of an image: internal memory has them if it has anything of it.
        let left = internal - if tensors_in == 0 { tensors } else { 0 };
        assert_eq!(inside.contains(&model.name().as_ptr()), left > 0);
        assert_eq!(
            copied,
            constants != Constants::Flash,
            "{internal} {external}"
        );
        let mut client = connected(&mut server);
        let found = client.board().unwrap();
        assert_eq!(found.constants, constants, "{internal} {external}");
        let sizes = (found.arena_available, found.psram_available);
        assert_eq!(sizes, (internal as u32, external as u32));
        client.infer(model::inputs(1));
        let events = drive(&mut client, &mut server, |_| {}).unwrap();
        assert_eq!(inference(&events).outputs, model::outputs(1));
        // Tensors were stored where they are said to be.
        let start = memories[tensors_in].iter().take(tensors / 16);
        assert!(start.filter(|block| **block != FILL).count() > tensors / 32);
    }
}

#[test]
fn tensors_are_in_two_memories_where_neither_has_room() {
    let near = 2 * model::BYTES;
    let image = AlignedBytes::new(&model::in_two(near));
    let bytes = image.as_ref().len();
    // Internal and external memory: just enough, a little less of one, and room for the constants.
    let cases = [
        (near, model::BYTES, Ok(Constants::Flash)),
        (near - 16, model::BYTES, Err(ErrorCode::ArenaTooSmall)),
        (near, model::BYTES - 16, Err(ErrorCode::ArenaTooSmall)),
        (near + bytes, model::BYTES, Ok(Constants::Internal)),
        (near, model::BYTES + bytes, Ok(Constants::Psram)),
    ];
    for (internal, external, expected) in cases {
        let mut memories = [internal, external].map(|size| vec![Block16::ZERO; size / 16]);
        let [internal, external] = &mut memories;
        let arenas = Arenas { internal, external };
        let mut server = Server::new(board(), Ok(image.as_ref()), arenas, Ticks::default());
        let mut client = connected(&mut server);
        let found = client.board().unwrap().clone();
        let constants = found.model.map(|_| found.constants);
        assert_eq!(constants.map_err(|problem| problem.code), expected);
        if expected.is_err() {
            continue;
        }
        client.infer(model::inputs(1));
        let events = drive(&mut client, &mut server, |_| {}).unwrap();
        assert_eq!(inference(&events).outputs, model::outputs(1));
        client.trace(model::inputs(2), vec![model::BYTES as u32; 2]);
        let events = drive(&mut client, &mut server, |_| {}).unwrap();
        let [half, total] = model::outputs(2).try_into().unwrap();
        assert_eq!(layer_outputs(&events), [total, half]);
        // The last layer's output is the only one outside.
        let outside = fixpoint_runtime::memory::bytes(&memories[1]);
        assert_eq!(outside[..model::BYTES], model::outputs(2)[0]);
    }
}

#[test]
fn a_copy_that_differs_is_not_used() {
    let image = AlignedBytes::new(&model::image());
    let model = fixpoint_runtime::Model::parse(image.as_ref()).unwrap();
    let copy = AlignedBytes::new(image.as_ref());
    let (whole, end) = (copy.as_ref(), &copy.as_ref()[64..]);
    assert_eq!(model.moved(whole).unwrap().image().as_ptr(), whole.as_ptr());
    assert!(model.moved(end).is_none());
    let name = model.partly_moved(end).unwrap().name();
    assert!(end.as_ptr_range().contains(&name.as_ptr()));
    assert!(model.partly_moved(&whole[..64]).is_none());
    let mut other = copy.clone();
    other.as_mut()[100] ^= 1;
    assert!(model.moved(other.as_ref()).is_none());
    assert!(model.partly_moved(&other.as_ref()[64..]).is_none());
}

/// The outputs of the layers, in order, that events tell of.
fn layer_outputs(events: &[Event]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for event in events {
        if let Event::LayerOutput { layer, bytes } = event {
            assert_eq!(usize::from(*layer), found.len());
            found.push(bytes.clone());
        }
    }
    found
}

fn sizes(layers: &[Layer]) -> Vec<u32> {
    layers.iter().map(|layer| layer.bytes).collect()
}

#[test]
fn a_run_layer_by_layer_shows_every_output() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let mut client = connected(&mut server);
    client.describe_layers();
    let events = drive(&mut client, &mut server, |_| {}).unwrap();
    let Some(Event::Layers(layers)) = events.last() else {
        panic!("{events:?}");
    };
    // The model's first output is its second layer's.
    let [half, total] = model::outputs(9).try_into().unwrap();
    for _ in 0..2 {
        client.trace(model::inputs(9), sizes(layers));
        let events = drive(&mut client, &mut server, |_| {}).unwrap();
        assert_eq!(layer_outputs(&events), [total.clone(), half.clone()]);
        let inference = inference(&events);
        assert_eq!(inference.outputs, model::outputs(9));
        assert_eq!(inference.layer_cycles, [1000, 1000]);
        // Each of the two pieces looks at the clock before, between and behind.
        assert_eq!((inference.cycles, inference.layers), (6000, 2));
    }
    client.trace(model::inputs(9), sizes(&layers[..1]));
    assert!(drive(&mut client, &mut server, |_| {}).is_err());
}

#[test]
fn a_step_can_be_repeated_and_never_goes_back() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let step = |layer| Request::Step { layer };
    let read = |layer| Request::ReadLayer {
        layer,
        length: 8,
        offset: 40,
    };
    let code = |reply: &Frames| refusal(reply).0;
    stage(&mut server);
    let first = ask(&mut server, &step(0), 50);
    assert_eq!(first.last().unwrap().0, 0x85);
    // Asked again, under any number: the same result, and nothing is executed.
    let again = ask(&mut server, &step(0), 51);
    assert_eq!((again.len(), &again[0].2), (1, &first.last().unwrap().2));
    assert_eq!(
        ask(&mut server, &read(0), 52)[0].2[8..],
        model::outputs(3)[1][40..48]
    );
    let no_result = ErrorCode::NoResult.number();
    assert_eq!(code(&ask(&mut server, &read(1), 53)), no_result);
    let output = Request::ReadOutput {
        output: 0,
        length: 8,
        offset: 0,
    };
    assert_eq!(code(&ask(&mut server, &output, 54)), no_result);

    assert_eq!(ask(&mut server, &step(1), 55).last().unwrap().0, 0x85);
    assert_eq!(code(&ask(&mut server, &read(0), 56)), no_result);
    assert_eq!(ask(&mut server, &read(1), 57)[0].0, 0x86);
    assert_eq!(ask(&mut server, &output, 58)[0].0, 0x86);
    let missing = ErrorCode::InputMissing.number();
    assert_eq!(code(&ask(&mut server, &step(0), 59)), missing);
    // A whole run can be read the same way, and writing makes all of it unreadable.
    stage(&mut server);
    assert_eq!(code(&ask(&mut server, &read(1), 60)), no_result);
    assert_eq!(ask(&mut server, &Request::Run { options: 0 }, 61).len(), 2);
    assert_eq!(ask(&mut server, &read(1), 62)[0].0, 0x86);
    assert_eq!(code(&ask(&mut server, &step(0), 63)), missing);
}

#[test]
fn a_bad_line_delays_and_never_lies() {
    let mut finished = 0;
    for seed in 1..60u64 {
        let mut setup = Setup::new();
        let mut server = setup.server();
        let mut client = LinkClient::new(Options {
            attempts: 20,
            ..Options::default()
        });
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut noise = |line: &mut Vec<u8>| {
            let mut spoiled = Vec::new();
            for &byte in line.iter() {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                match random % 8000 {
                    0..3 => {}
                    3..6 => spoiled.push(byte ^ (random >> 40) as u8),
                    6 => spoiled.extend([byte, 0]),
                    7 => spoiled.extend([byte, byte]),
                    _ => spoiled.push(byte),
                }
            }
            *line = spoiled;
        };
        client.connect();
        if drive(&mut client, &mut server, &mut noise).is_err() {
            continue;
        }
        client.infer(model::inputs(7));
        match drive(&mut client, &mut server, &mut noise) {
            Ok(events) => {
                let inference = inference(&events);
                assert_eq!(inference.outputs, model::outputs(7), "seed {seed}");
                assert_eq!(inference.layer_cycles, [1000, 1000], "seed {seed}");
                finished += 1;
            }
            Err(error) => assert!(matches!(error, LinkError::Lost { .. }), "{error}"),
        }
        client.describe_layers();
        let Ok(events) = drive(&mut client, &mut server, &mut noise) else {
            continue;
        };
        let Some(Event::Layers(layers)) = events.last() else {
            panic!("{events:?}");
        };
        client.trace(model::inputs(8), sizes(layers));
        if let Ok(events) = drive(&mut client, &mut server, &mut noise) {
            let [half, total] = model::outputs(8).try_into().unwrap();
            assert_eq!(layer_outputs(&events), [total, half], "seed {seed}");
        }
    }
    assert!(finished > 40, "{finished} of 59 finished");
}

#[test]
fn a_board_without_a_model_says_why() {
    let mut setup = Setup::new();
    let mut broken = AlignedBytes::new(&model::image());
    broken.as_mut()[70] ^= 1;
    // Arithmetic 1, chip family 1: the ESP-DL rules, which no board runs.
    let mut espdl = model::image();
    espdl[20..22].copy_from_slice(&[1, 1]);
    let crc = fixpoint_runtime::format::checksum(&espdl).unwrap();
    espdl[12..16].copy_from_slice(&crc.to_le_bytes());
    let espdl = AlignedBytes::new(&espdl);
    type Case<'a> = (Result<&'a [u8], ErrorCode>, usize, ErrorCode, &'a str);
    let cases: [Case<'_>; 5] = [
        (
            Ok(espdl.as_ref()),
            model::ARENA_BYTES,
            ErrorCode::ModelRefused,
            "ESP-DL",
        ),
        (
            Err(ErrorCode::ModelBlank),
            model::ARENA_BYTES,
            ErrorCode::ModelBlank,
            "no model yet",
        ),
        (
            Err(ErrorCode::NoModelPartition),
            model::ARENA_BYTES,
            ErrorCode::NoModelPartition,
            "partition",
        ),
        (
            Ok(broken.as_ref()),
            model::ARENA_BYTES,
            ErrorCode::ModelRefused,
            "damaged",
        ),
        (
            Ok(setup.image.as_ref()),
            model::ARENA_BYTES - 16,
            ErrorCode::ArenaTooSmall,
            "10800 bytes",
        ),
    ];
    for (image, arena, code, words) in cases {
        let arena = &mut setup.arena[..arena / 16];
        let mut server = Server::new(board(), image, arena, Ticks::default());
        assert_eq!(server.problem(), Some(code));
        let client = connected(&mut server);
        let problem = client.board().unwrap().model.clone().unwrap_err();
        assert_eq!(problem.code, code);
        assert!(problem.to_string().contains(words), "{problem}");
        let run = ask(&mut server, &Request::Run { options: 0 }, 9);
        assert_eq!(refusal(&run), (ErrorCode::NoModel.number(), 9));
    }
}

/// The frames that a request is answered with: kind, sequence, payload.
type Frames = Vec<(u8, u16, Vec<u8>)>;

fn listen(line: &[u8]) -> Frames {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for &byte in line {
        match decoder.push(byte) {
            Step::Frame(frame) => frames.push((frame.kind, frame.sequence, frame.payload.to_vec())),
            Step::More => {}
            other => panic!("a server sends frames only: {other:?}"),
        }
    }
    frames
}

fn ask<C: Clock>(server: &mut Server<'_, C>, request: &Request<'_>, sequence: u16) -> Frames {
    let (mut line, mut reply) = (Vec::new(), Vec::new());
    request.write(sequence, &mut line).unwrap();
    server.on_bytes(&line, &mut reply);
    listen(&reply)
}

/// Code and sequence of a refusal.
fn refusal(frames: &Frames) -> (u16, u16) {
    match &frames[..] {
        [(0xFF, sequence, payload)] => (u16::from_le_bytes([payload[0], payload[1]]), *sequence),
        other => panic!("no refusal: {other:?}"),
    }
}

fn stage<C: Clock>(server: &mut Server<'_, C>) {
    for (input, bytes) in (0..).zip(model::inputs(3)) {
        for (piece, bytes) in (0..).zip(bytes.chunks(1000)) {
            let offset = piece * 1000;
            let frames = ask(
                server,
                &Request::WriteInput {
                    input,
                    offset,
                    bytes,
                },
                1,
            );
            let staged = offset + bytes.len() as u32;
            assert_eq!(frames, [(0x84, 1, staged.to_le_bytes().to_vec())]);
        }
    }
}

#[test]
fn a_repeated_run_runs_once() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    stage(&mut server);
    let run = Request::Run { options: 0 };
    let first = ask(&mut server, &run, 40);
    assert_eq!(first[0].0, 0x88, "a sign of life before the work");
    let again = ask(&mut server, &run, 40);
    assert_eq!(again, first[1..]);
    let read = Request::ReadOutput {
        output: 1,
        length: 16,
        offset: 32,
    };
    let output = ask(&mut server, &read, 41);
    assert_eq!(output[0].2[8..], model::outputs(3)[1][32..48]);
    assert_eq!(
        refusal(&ask(&mut server, &run, 42)).0,
        ErrorCode::InputMissing.number()
    );
    // That refusal changed nothing.
    assert_eq!(ask(&mut server, &run, 40), again);
}

#[test]
fn requests_out_of_order_or_range_are_refused() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let write = |input, offset, bytes| Request::WriteInput {
        input,
        offset,
        bytes,
    };
    let read = |output, length, offset| Request::ReadOutput {
        output,
        length,
        offset,
    };
    let run = Request::Run { options: 0 };
    let end = model::BYTES as u32;
    let mut expect = |request: &Request<'_>, code: ErrorCode| {
        assert_eq!(
            refusal(&ask(&mut server, request, 5)),
            (code.number(), 5),
            "{request:?}"
        );
    };
    expect(&run, ErrorCode::InputMissing);
    expect(&read(0, 1, 0), ErrorCode::NoResult);
    expect(&Request::Profile { first: 0 }, ErrorCode::NoResult);
    expect(&write(0, 4, b"gap"), ErrorCode::InputGap);
    expect(&write(1, 0, b"first"), ErrorCode::InputGap);
    expect(&write(2, 0, b"none"), ErrorCode::NoSuchItem);
    expect(&write(0, end - 1, b"two"), ErrorCode::OutOfRange);
    expect(&write(0, u32::MAX, b"x"), ErrorCode::OutOfRange);
    expect(&Request::Run { options: 1 }, ErrorCode::Unsupported);
    expect(&Request::Layer { index: 2 }, ErrorCode::NoSuchItem);
    expect(&Request::Step { layer: 0 }, ErrorCode::InputMissing);
    expect(&Request::Step { layer: 2 }, ErrorCode::NoSuchItem);
    let read_layer = Request::ReadLayer {
        layer: 0,
        length: 1,
        offset: 0,
    };
    expect(&read_layer, ErrorCode::NoResult);
    let tensor = Request::Tensor {
        direction: fixpoint_protocol::Direction::Output,
        index: 2,
    };
    expect(&tensor, ErrorCode::NoSuchItem);

    stage(&mut server);
    assert_eq!(ask(&mut server, &run, 6).len(), 2);
    let mut expect = |request: &Request<'_>, code: ErrorCode| {
        assert_eq!(
            refusal(&ask(&mut server, request, 5)),
            (code.number(), 5),
            "{request:?}"
        );
    };
    expect(&read(2, 1, 0), ErrorCode::NoSuchItem);
    expect(&read(0, 2, end - 1), ErrorCode::OutOfRange);
    expect(&read(0, 1, u32::MAX), ErrorCode::OutOfRange);
    expect(&Request::Profile { first: 3 }, ErrorCode::NoSuchItem);
    // Writing again makes the old results unreadable.
    assert_eq!(ask(&mut server, &write(0, 0, b"x"), 7)[0].0, 0x84);
    assert_eq!(
        refusal(&ask(&mut server, &read(0, 1, 0), 8)).0,
        ErrorCode::NoResult.number()
    );
    // A new start of input 0 forgets input 1.
    assert_eq!(
        refusal(&ask(&mut server, &run, 9)).0,
        ErrorCode::InputMissing.number()
    );
}

#[test]
fn unknown_requests_and_versions_are_named() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let mut line = Vec::new();
    FrameWriter::new(&mut line, 0x12, 3).finish();
    FrameWriter::new(&mut line, 0x04, 4).finish();
    FrameWriter::with_version(&mut line, 2, 0x01, 5).finish();
    line.extend(b"a person typing\n");
    let mut reply = Vec::new();
    server.on_bytes(&line, &mut reply);
    let codes: Vec<(u16, u16)> = listen(&reply)
        .into_iter()
        .map(|frame| refusal(&vec![frame]))
        .collect();
    assert_eq!(
        codes,
        [
            (ErrorCode::UnknownRequest.number(), 3),
            (ErrorCode::BadRequest.number(), 4),
            (ErrorCode::OtherVersion.number(), 5)
        ]
    );
}

#[test]
fn two_lines_do_not_disturb_each_other() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let mut hello = Vec::new();
    Request::Hello.write(1, &mut hello).unwrap();
    let (start, rest) = hello.split_at(5);
    let mut reply = Vec::new();
    server.on_line(0, start, &mut reply);
    server.on_line(1, b"\0\x05\x01noise", &mut reply);
    server.on_line(7, &hello, &mut reply);
    assert!(reply.is_empty());
    server.on_line(0, rest, &mut reply);
    assert_eq!(listen(&reply)[0].0, 0x81);
}

#[test]
fn the_server_stays_small() {
    let bytes = size_of::<Server<'_, Ticks>>();
    assert!(bytes < 4096, "{bytes} bytes of static memory");
    assert_eq!(PROFILED_LAYERS, 256);
}

proptest! {
    #[test]
    fn any_request_is_answered_once_or_run(
        requests in prop::collection::vec((0..0x12u8, prop::collection::vec(any::<u8>(), 0..24)), 1..40),
        zeros in any::<u8>(),
    ) {
        let mut setup = Setup::new();
        let mut server = setup.server();
        for (kind, mut payload) in requests {
            // Small numbers reach deeper than random ones.
            payload.iter_mut().for_each(|byte| if *byte > zeros { *byte &= 1 });
            let mut line = Vec::new();
            let mut writer = FrameWriter::new(&mut line, kind, 77);
            writer.bytes(&payload);
            writer.finish();
            let mut reply = Vec::new();
            server.on_bytes(&line, &mut reply);
            let frames = listen(&reply);
            prop_assert_eq!(frames.len(), 1);
            prop_assert_eq!(frames[0].1, 77);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut setup = Setup::new();
        let mut server = setup.server();
        let mut reply = Vec::new();
        server.on_bytes(&bytes, &mut reply);
        let mut client = LinkClient::default();
        client.connect();
        let _ = client.poll(0);
        client.on_bytes(&bytes);
        let _ = (client.poll(0), client.poll(5_000), client.poll(20_000));
        // Two delimiters after the noise, and both sides understand each other again.
        server.on_bytes(&[0, 0], &mut reply);
        client.on_bytes(&[0, 0]);
        client.connect();
        let outcome = drive(&mut client, &mut server, |_| {});
        prop_assert!(outcome.is_ok(), "{outcome:?}");
    }
}

#[test]
fn replies_are_readable() {
    let mut setup = Setup::new();
    let mut server = setup.server();
    let frames = ask(&mut server, &Request::Hello, 2);
    let frame = fixpoint_protocol::Frame {
        version: 1,
        kind: frames[0].0,
        sequence: 2,
        payload: &frames[0].2,
    };
    let Ok(Some(Reply::Info(info))) = Reply::read(&frame) else {
        panic!("{frames:?}");
    };
    assert_eq!((info.inputs, info.outputs, info.layers), (2, 2, 2));
    assert_eq!(info.cpu_hz, 240_000_000);
    assert_eq!(info.cores, 2);
}
