//! A host that gives a board a new model over a line and a supply that may be bad. Time is virtual.
#![allow(dead_code, reason = "each test file uses its own part")]

#[allow(dead_code, reason = "no model is run here")]
#[path = "../model/mod.rs"]
mod model;

use fixpoint_device::slot::{RECORD_SECTOR, Record};
use fixpoint_device::{Board, Clock, ModelStore, Server, choose};
use fixpoint_protocol::host::{self, Action, Event, LinkClient, LinkError};
use fixpoint_runtime::{AlignedBytes, Block16};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

pub(crate) const SLOT: usize = 0x4_0000;
const SECTOR: usize = RECORD_SECTOR as usize;

/// Which way a byte goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ToBoard,
    ToHost,
}

/// What happens to one byte.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Damage {
    Flip(u8),
    Drop,
    Twice,
    /// It and what follows it come so many milliseconds later.
    Late(u64),
    /// The cable is pulled before it.
    Cut,
}

/// What becomes of one operation of the flash, an erasure or a programming.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// The flash doesn't do it, and says so.
    Refused,
    /// The same, and none that follows.
    Worn,
    /// The power fails when so many of 8 parts are done, and comes back at once.
    Restart(usize),
    /// The same, and it stays away.
    PowerGone(usize),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    None,
    /// The byte with this number, counted from 0 in its direction.
    Byte(Way, u64, Damage),
    /// The operation with this number, from 0.
    Operation(u64, Mishap),
    /// One byte in so many is lost or wrong, in both directions.
    Noise {
        seed: u64,
        one_in: u64,
    },
}

impl Fault {
    fn damage(self, way: Way, here: u64) -> Option<Damage> {
        match self {
            Fault::Byte(w, at, damage) if (w, at) == (way, here) => Some(damage),
            Fault::Noise { seed, one_in } => {
                let place = here * 2 + way as u64;
                let mut random = Random(place.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed);
                random.next();
                if random.below(one_in) > 0 {
                    return None;
                }
                Some(match random.below(4) {
                    0 => Damage::Drop,
                    _ => Damage::Flip(1 << random.below(8)),
                })
            }
            _ => None,
        }
    }
}

/// Two model slots, with NOR semantics.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Flash {
    pub(crate) bytes: Vec<u8>,
    pub(crate) operations: u64,
}

impl Flash {
    pub(crate) fn blank() -> Self {
        Self {
            bytes: vec![0xFF; 2 * SLOT],
            operations: 0,
        }
    }

    /// A board's that runs `image` from its first slot, as the flasher leaves it.
    pub(crate) fn running(image: &[u8]) -> Self {
        let mut flash = Self::blank();
        flash.put(0, image, 1);
        flash
    }

    /// `image` in a slot, with the record for this rank.
    pub(crate) fn put(&mut self, slot: usize, image: &[u8], sequence: u32) {
        let record = Record {
            sequence,
            bytes: image.len() as u32,
            id: id(image),
        };
        let start = slot * SLOT;
        self.bytes[start..start + image.len()].copy_from_slice(image);
        let at = start + SLOT - SECTOR;
        self.bytes[at..at + 20].copy_from_slice(&record.encode());
    }
}

/// The board's supply and flash, as its runtime reaches them.
struct Chip {
    flash: Flash,
    fault: Fault,
    power: Power,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    /// Failed, and is there again.
    Failed,
    Gone,
}

impl Chip {
    /// How much of the next operation, on this many bytes, is done; none: it is refused.
    fn share(&mut self, bytes: usize) -> Option<usize> {
        let number = self.flash.operations;
        self.flash.operations += 1;
        match self.fault {
            _ if self.power != Power::On => Some(0),
            Fault::Operation(n, Mishap::Worn) if number >= n => None,
            Fault::Operation(n, mishap) if n == number => {
                let (power, eighths) = match mishap {
                    Mishap::Refused | Mishap::Worn => return None,
                    Mishap::Restart(eighths) => (Power::Failed, eighths),
                    Mishap::PowerGone(eighths) => (Power::Gone, eighths),
                };
                self.power = power;
                Some(bytes * eighths / 8)
            }
            _ => Some(bytes),
        }
    }
}

struct Store {
    chip: Rc<RefCell<Chip>>,
    start: usize,
    rank: u32,
}

impl ModelStore for Store {
    fn bytes(&self) -> u32 {
        SLOT as u32
    }

    fn running_rank(&self) -> u32 {
        self.rank
    }

    fn erase(&mut self, offset: u32) -> bool {
        let mut chip = self.chip.borrow_mut();
        let at = self.start + offset as usize;
        let share = chip.share(SECTOR);
        for (n, cell) in chip.flash.bytes[at..at + SECTOR].iter_mut().enumerate() {
            // An erasure works on all cells at once: cut short, some bits have gone over.
            match share {
                Some(SECTOR) => *cell = 0xFF,
                Some(share) if n < share => *cell |= 0x5A_u8.rotate_left(n as u32 % 8),
                _ => {}
            }
        }
        share.is_some()
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let mut chip = self.chip.borrow_mut();
        let at = self.start + offset as usize;
        let share = chip.share(bytes.len());
        let cells = &mut chip.flash.bytes[at..at + bytes.len()];
        for (n, (cell, byte)) in cells.iter_mut().zip(bytes).enumerate() {
            match share {
                Some(share) if n < share => *cell &= byte,
                // The byte in the middle of which it stopped.
                Some(share) if n == share && n > 0 => *cell &= byte | 0x0F,
                _ => {}
            }
        }
        cells == bytes
    }

    fn look(&mut self, bytes: u32, see: &mut dyn FnMut(&[u8])) {
        let image = {
            let chip = self.chip.borrow();
            AlignedBytes::new(&chip.flash.bytes[self.start..][..bytes as usize])
        };
        see(image.as_ref());
    }
}

/// One direction of the line.
#[derive(Default)]
struct Lane {
    /// Bytes so far.
    count: u64,
    held_until: u64,
    under_way: VecDeque<(u64, u8)>,
}

impl Lane {
    /// The bytes that have come by now.
    fn due(&mut self, now: u64) -> Vec<u8> {
        let late = self.under_way.iter().position(|(at, _)| *at > now);
        let end = late.unwrap_or(self.under_way.len());
        self.under_way.drain(..end).map(|(_, byte)| byte).collect()
    }
}

/// A board on its line, and the clock of both.
pub(crate) struct Setup {
    chip: Rc<RefCell<Chip>>,
    to_board: Lane,
    to_host: Lane,
    cut: bool,
    now: u64,
    /// Both counters whenever the host begins to send.
    pub(crate) steps: Vec<(u64, u64)>,
}

/// Why a conversation ended: the line was cut (`None`), or the client's error.
pub(crate) type Ended = Option<LinkError>;

impl Setup {
    pub(crate) fn new(flash: Flash, fault: Fault) -> Self {
        let chip = Chip {
            flash: Flash {
                operations: 0,
                ..flash
            },
            fault,
            power: Power::On,
        };
        Self {
            chip: Rc::new(RefCell::new(chip)),
            to_board: Lane::default(),
            to_host: Lane::default(),
            cut: false,
            now: 0,
            steps: Vec::new(),
        }
    }

    /// Bytes to the board and back.
    pub(crate) fn wire(&self) -> (u64, u64) {
        (self.to_board.count, self.to_host.count)
    }

    pub(crate) fn flash(&self) -> Flash {
        self.chip.borrow().flash.clone()
    }

    fn carry(&mut self, way: Way, bytes: &[u8]) {
        let fault = self.chip.borrow().fault;
        let lane = match way {
            Way::ToBoard => &mut self.to_board,
            Way::ToHost => &mut self.to_host,
        };
        for &byte in bytes {
            let here = lane.count;
            lane.count += 1;
            let (byte, copies) = match fault.damage(way, here) {
                Some(Damage::Flip(mask)) => (byte ^ mask, 1),
                Some(Damage::Drop) => (byte, 0),
                Some(Damage::Twice) => (byte, 2),
                Some(Damage::Late(ms)) => {
                    lane.held_until = self.now + ms;
                    (byte, 1)
                }
                Some(Damage::Cut) => {
                    self.cut = true;
                    (byte, 0)
                }
                None => (byte, 1),
            };
            let at = lane.held_until.max(self.now);
            let copies = std::iter::repeat_n((at, byte), copies);
            lane.under_way.extend(copies.filter(|_| !self.cut));
        }
    }

    fn restarts(&self, server: &Server<'_, impl Clock>) -> bool {
        match self.chip.borrow().power {
            Power::On => server.wants_restart(),
            Power::Failed => true,
            Power::Gone => false,
        }
    }

    /// Runs the client's job, through the restarts that the board makes.
    pub(crate) fn talk(&mut self, client: &mut LinkClient) -> Result<Vec<Event>, Ended> {
        let mut events = Vec::new();
        let mut arena = vec![Block16::ZERO; model::ARENA_BYTES / 16];
        loop {
            let bytes = self.chip.borrow().flash.bytes.clone();
            let slots: Vec<AlignedBytes> =
                bytes.chunks_exact(SLOT).map(AlignedBytes::new).collect();
            let choice = choose(slots.iter().map(AsRef::as_ref));
            let mut store = choice.spare.map(|index| Store {
                chip: self.chip.clone(),
                start: index * SLOT,
                rank: choice.rank,
            });
            let board = Board {
                chip: 9,
                cpu_hz: 240_000_000,
                ..Board::default()
            };
            let mut server = Server::new(board, choice.image, arena.as_mut_slice(), || 0);
            if let Some(store) = &mut store {
                server = server.with_store(store);
            }
            loop {
                if self.cut {
                    return Err(None);
                }
                let (come, mut reply) = (self.to_board.due(self.now), Vec::new());
                if self.chip.borrow().power == Power::On {
                    server.on_bytes(&come, &mut reply);
                }
                // What it says while its power fails isn't heard.
                if self.chip.borrow().power == Power::On {
                    self.carry(Way::ToHost, &reply);
                }
                if self.restarts(&server) {
                    self.chip.borrow_mut().power = Power::On;
                    // What was in its receiver is lost.
                    self.to_board.under_way.clear();
                    let text = b"ESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON)\r\n";
                    self.carry(Way::ToHost, text);
                    break;
                }
                client.on_bytes(&self.to_host.due(self.now));
                match client.poll(self.now) {
                    Action::Write(bytes) => {
                        self.steps.push(self.wire());
                        self.carry(Way::ToBoard, &bytes);
                    }
                    Action::WaitUntil(until) => {
                        let lanes = [&self.to_board, &self.to_host];
                        let next = lanes.iter().filter_map(|lane| lane.under_way.front());
                        let next = next.map(|(at, _)| *at).min();
                        self.now = next.map_or(until, |at| at.min(until)).max(self.now);
                    }
                    Action::Event(event) => events.push(event),
                    Action::Done => return Ok(events),
                    Action::Failed(error) => return Err(Some(error)),
                }
            }
        }
    }

    /// Connects, gives the board `image`, and connects to what runs then.
    pub(crate) fn update(&mut self, image: &[u8]) -> Result<Vec<Event>, Ended> {
        let mut client = LinkClient::default();
        client.connect();
        self.talk(&mut client)?;
        client.update_model(image.to_vec());
        let events = self.talk(&mut client)?;
        client.connect();
        self.talk(&mut client)?;
        Ok(events)
    }
}

/// Over a good line.
pub(crate) fn good(flash: &mut Flash, image: &[u8]) -> Result<Vec<Event>, Ended> {
    let mut setup = Setup::new(flash.clone(), Fault::None);
    let outcome = setup.update(image);
    *flash = setup.flash();
    outcome
}

pub(crate) fn connect(flash: &Flash) -> host::Board {
    let mut client = LinkClient::default();
    client.connect();
    let mut setup = Setup::new(flash.clone(), Fault::None);
    setup.talk(&mut client).unwrap();
    client.board().unwrap().clone()
}

/// Id of the model that runs after a start.
pub(crate) fn runs(flash: &Flash) -> Option<u32> {
    connect(flash).model.ok().map(|model| model.id)
}

/// Numbers without a pattern.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        let Random(state) = self;
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        *state >> 33
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// A model that runs, with about `length` bytes that belong to nothing.
pub(crate) fn image(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random(seed);
    let noise: Vec<u8> = (0..length).map(|_| (random.next() >> 8) as u8).collect();
    model::with_tail(&noise)
}

pub(crate) fn id(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}
