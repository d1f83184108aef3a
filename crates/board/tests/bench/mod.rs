//! A flasher and a virtual board on one table: images, the drive loop, and a clock that jumps.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;

use fixpoint_board::{Options as BoardOptions, VirtualBoard};
use fixpoint_flash::{Action, Event, FlashPlan, Flasher, Outcome, Prebuilt, Role, partition, plan};
use fixpoint_runtime::{AlignedBytes, Model};
use sha2::{Digest, Sha256};

/// Bytes without a pattern that repeats; `seed` tells them apart.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    (0..length).map(|_| random.next() as u8).collect()
}

/// Splitmix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// An ESP32-S3 image with a descriptor, `body` behind it, right sums, and a program that only waits.
pub(crate) fn app_image(body: &[u8]) -> Vec<u8> {
    const CODE: u32 = 0x4037_8000;
    let mut data = 0xABCD_5432_u32.to_le_bytes().to_vec();
    data.resize(256, 0);
    data.extend(body);
    data.resize(data.len().next_multiple_of(4), 0);
    // waiti 15; j back to itself
    let code = [0x00, 0x7F, 0x00, 0x06, 0xFF, 0xFF, 0x00, 0x00];

    let mut image = vec![0xE9, 2, 2, 0x2F];
    image.extend(CODE.to_le_bytes());
    image.extend([0xEE, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    for (address, bytes) in [(0x3C00_0020, &data[..]), (CODE, &code[..])] {
        image.extend(u32::to_le_bytes(address));
        image.extend((bytes.len() as u32).to_le_bytes());
        image.extend(bytes);
    }
    image.resize((image.len() / 16 + 1) * 16, 0);
    let last = image.len() - 1;
    let bytes = data.iter().chain(&code);
    image[last] = bytes.fold(0xEF, |sum, byte| sum ^ byte);
    let hash = Sha256::digest(&image);
    image.extend(hash);
    image
}

/// A flasher of the firmware of this release, with a model: `firmware/prebuilt`, or the folder `FIRMWARE`.
pub(crate) fn prebuilt_flasher(model: Option<&[u8]>) -> Flasher {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let folder = std::env::var_os("FIRMWARE").map_or(folder, Into::into);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("firmware/prebuilt");
    let (bootloader, table, runtime) = (
        read("bootloader.bin"),
        read("partition-table.bin"),
        read("runtime.bin"),
    );
    // Made from an earlier layout they start as well; `cargo xtask firmware check` compares the two.
    partition::parse(&table).unwrap();
    let prebuilt = Prebuilt {
        bootloader: &bootloader,
        table: &table,
        runtime: &runtime,
    };
    let plan = plan::standard(&prebuilt, model).unwrap();
    Flasher::new(plan, fixpoint_flash::Options::default())
}

/// Compresses like code does: half pattern, half noise.
pub(crate) fn code(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = noise(seed, length);
    for chunk in bytes.chunks_mut(64) {
        let half = chunk.len() / 2;
        chunk[..half].fill(0x36);
    }
    bytes
}

#[path = "../../../device/tests/model/mod.rs"]
mod adder;

/// A model that runs, with about `length` bytes that belong to nothing.
pub(crate) fn model(seed: u64, length: usize) -> Vec<u8> {
    adder::with_tail(&noise(seed, length))
}

/// A model that runs, with these bytes in it.
pub(crate) fn adder_with(tail: &[u8]) -> Vec<u8> {
    adder::with_tail(tail)
}

/// Makes checksum and SHA-256 of an image right again.
pub(crate) fn seal(image: &mut [u8]) {
    let word = |image: &[u8], at: usize| {
        u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]) as usize
    };
    let (mut at, mut sum) = (24, 0xEF);
    for _ in 0..image[1] {
        let end = at + 8 + word(image, at + 4);
        sum = image[at + 8..end]
            .iter()
            .fold(sum, |sum: u8, byte| sum ^ byte);
        at = end;
    }
    let end = (at / 16 + 1) * 16;
    image[end - 1] = sum;
    let hash = Sha256::digest(&image[..end]);
    image[end..end + 32].copy_from_slice(&hash);
}

/// What a board with this flash starts, by its own boot text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Service {
    /// Offset of the application.
    pub(crate) app: Option<u32>,
    /// Id of the model.
    pub(crate) model: Option<u32>,
}

impl Service {
    pub(crate) fn of(flash: &[u8]) -> Self {
        let options = BoardOptions {
            flash_bytes: flash.len() as u32,
            ..BoardOptions::default()
        };
        let mut board = VirtualBoard::new(Some(flash.to_vec()), options);
        let log = String::from_utf8_lossy(&board.read()).into_owned();
        let after = |mark: &str| {
            let at = log.find(mark)? + mark.len();
            let digits = log[at..].find(|c: char| !c.is_ascii_hexdigit());
            u32::from_str_radix(&log[at..at + digits.unwrap_or(log.len() - at)], 16).ok()
        };
        // By the firmware's own rule, as these programs run no firmware.
        let slots = partition::default_layout();
        let slots = slots.iter().filter(|p| p.kind == partition::MODEL_TYPE);
        let slots: Vec<AlignedBytes> = slots
            .filter_map(|p| flash.get(p.offset as usize..(p.offset + p.size) as usize))
            .map(AlignedBytes::new)
            .collect();
        let choice = fixpoint_device::choose(slots.iter().map(AsRef::as_ref));
        let model = choice.image.ok().and_then(|image| Model::parse(image).ok());
        Self {
            app: after("Loaded app from partition at offset 0x"),
            model: model.map(|model| model.id()),
        }
    }

    /// Whether everything in the plan is in this flash, and in service.
    pub(crate) fn holds(&self, flash: &[u8], plan: &FlashPlan) -> bool {
        let has = |offset: u32, bytes: &[u8]| flash[offset as usize..].starts_with(bytes);
        plan.segments.iter().all(|segment| match segment.role {
            Role::App => self.app.is_some_and(|app| has(app, &segment.bytes)),
            Role::Model => {
                let id = segment.bytes[12..16].try_into().unwrap();
                self.model == Some(u32::from_le_bytes(id))
                    && plan
                        .model_slots
                        .iter()
                        .any(|slot| has(slot.offset, &segment.bytes))
            }
            _ => has(segment.offset, &segment.bytes),
        })
    }
}

pub(crate) struct Images {
    pub(crate) bootloader: Vec<u8>,
    pub(crate) table: Vec<u8>,
    pub(crate) runtime: Vec<u8>,
    pub(crate) model: Vec<u8>,
}

impl Images {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            bootloader: app_image(&code(1, 20_000)),
            table: partition::build(&partition::default_layout()).unwrap(),
            runtime: app_image(&code(seed, 70_001)),
            model: model(seed, 50_003),
        }
    }

    pub(crate) fn plan(&self) -> FlashPlan {
        let prebuilt = Prebuilt {
            bootloader: &self.bootloader,
            table: &self.table,
            runtime: &self.runtime,
        };
        plan::standard(&prebuilt, Some(&self.model)).unwrap()
    }
}

/// Whether the board has everything in the plan, in service.
pub(crate) fn holds(board: &VirtualBoard, plan: &FlashPlan) -> bool {
    holds_flash(board.flash(), plan)
}

pub(crate) fn holds_flash(flash: &[u8], plan: &FlashPlan) -> bool {
    Service::of(flash).holds(flash, plan)
}

/// What a drive did besides its outcome.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    pub(crate) signals: Vec<(bool, bool)>,
    pub(crate) now_ms: u64,
    pub(crate) actions: u64,
}

impl Log {
    pub(crate) fn text(&self) -> String {
        let texts = self.events.iter().filter_map(|event| match event {
            Event::Text { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

/// Drives a session to its end. `before` is called before each action and may cancel or unplug.
pub(crate) fn drive_with(
    flasher: &mut Flasher,
    board: &mut VirtualBoard,
    mut before: impl FnMut(&mut Flasher, &mut VirtualBoard, u64),
) -> (Outcome, Log) {
    let mut log = Log::default();
    loop {
        before(flasher, board, log.actions);
        let action = flasher.poll(log.now_ms);
        log.actions += 1;
        log.events.extend(flasher.take_events());
        assert!(log.actions < 1_000_000, "the session does not end");
        match action {
            Action::Write(bytes) => board.write(&bytes),
            Action::SetSignals { dtr, rts } => {
                log.signals.push((dtr, rts));
                board.set_signals(dtr, rts);
            }
            Action::SetBaud(rate) => board.set_baud(rate),
            Action::Wait { until_ms } => {
                let bytes = board.read();
                if bytes.is_empty() {
                    let step = until_ms.saturating_sub(log.now_ms).clamp(1, 20);
                    board.tick(step as u32);
                    log.now_ms += step;
                } else {
                    flasher.on_bytes(&bytes);
                }
            }
            Action::Done(outcome) => return (outcome, log),
        }
        if !board.connected() {
            flasher.on_closed();
        }
    }
}

pub(crate) fn drive(flasher: &mut Flasher, board: &mut VirtualBoard) -> (Outcome, Log) {
    drive_with(flasher, board, |_, _, _| {})
}
