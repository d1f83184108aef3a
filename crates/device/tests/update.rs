//! A new model over the link into the slot that does not run: over a good line, a bad one, and one
//! that is cut anywhere, with the flash that is left behind.

#[allow(dead_code, reason = "this file runs no model")]
mod model;

use fixpoint_device::slot::{RECORD_SECTOR, Record};
use fixpoint_device::{Board, ErrorCode, ModelStore, Server, choose};
use fixpoint_protocol::host::{self, Action, Event, LinkClient, LinkError};
use fixpoint_runtime::{AlignedBytes, Block16, Model};
use std::{cell::RefCell, rc::Rc};

const SLOT: usize = 0x4_0000;

/// Two model slots, with NOR semantics.
type Flash = Rc<RefCell<Vec<u8>>>;

fn blank() -> Flash {
    Rc::new(RefCell::new(vec![0xFF; 2 * SLOT]))
}

struct Store {
    flash: Flash,
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
        let at = self.start + offset as usize;
        self.flash.borrow_mut()[at..at + 0x1000].fill(0xFF);
        true
    }

    fn program(&mut self, offset: u32, bytes: &[u8]) -> bool {
        let at = self.start + offset as usize;
        let mut flash = self.flash.borrow_mut();
        for (cell, byte) in flash[at..].iter_mut().zip(bytes) {
            *cell &= byte;
        }
        flash[at..at + bytes.len()] == *bytes
    }

    fn look(&mut self, bytes: u32, see: &mut dyn FnMut(&[u8])) {
        let image = AlignedBytes::new(&self.flash.borrow()[self.start..][..bytes as usize]);
        see(image.as_ref());
    }
}

/// What happens to one byte of the board's life.
#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    Flip { to_board: bool, at: u64, mask: u8 },
    Drop { to_board: bool, at: u64 },
    Cut { at: u64 },
}

struct Line {
    fault: Fault,
    /// To the board and back.
    count: [u64; 2],
}

impl Line {
    fn new(fault: Fault) -> Self {
        Line {
            fault,
            count: [0; 2],
        }
    }

    /// What arrives of a byte; `Err` when the cable is gone.
    fn carry(&mut self, to_board: bool, byte: u8) -> Result<Option<u8>, ()> {
        let count = &mut self.count[usize::from(!to_board)];
        let here = *count;
        *count += 1;
        match self.fault {
            Fault::Flip {
                to_board: b,
                at,
                mask,
            } if (b, at) == (to_board, here) => Ok(Some(byte ^ mask)),
            Fault::Drop { to_board: b, at } if (b, at) == (to_board, here) => Ok(None),
            Fault::Cut { at } if to_board && here >= at => Err(()),
            _ => Ok(Some(byte)),
        }
    }
}

/// Why a conversation ended: the line was cut (`None`), or the client's error.
type Ended = Option<LinkError>;

/// Runs the client's job on a board with this flash, through the restarts that the board wants.
fn talk(client: &mut LinkClient, flash: &Flash, line: &mut Line) -> Result<Vec<Event>, Ended> {
    let (mut now, mut events) = (0, Vec::new());
    let mut arena = vec![Block16::ZERO; model::ARENA_BYTES / 16];
    loop {
        let slots: Vec<AlignedBytes> = flash
            .borrow()
            .chunks_exact(SLOT)
            .map(AlignedBytes::new)
            .collect();
        let choice = choose(slots.iter().map(AsRef::as_ref));
        let mut store = choice.spare.map(|index| Store {
            flash: flash.clone(),
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
        while !server.wants_restart() {
            match client.poll(now) {
                Action::Write(bytes) => {
                    for byte in bytes {
                        let mut reply = Vec::new();
                        if let Some(byte) = line.carry(true, byte).map_err(|()| None)? {
                            server.on_bytes(&[byte], &mut reply);
                        }
                        for byte in reply {
                            if let Some(byte) = line.carry(false, byte).map_err(|()| None)? {
                                client.on_bytes(&[byte]);
                            }
                        }
                    }
                }
                Action::WaitUntil(until) => now = until,
                Action::Event(event) => events.push(event),
                Action::Done => return Ok(events),
                Action::Failed(error) => return Err(Some(error)),
            }
        }
    }
}

fn connect(flash: &Flash) -> (LinkClient, host::Board) {
    let mut client = LinkClient::default();
    client.connect();
    talk(&mut client, flash, &mut Line::new(Fault::None)).unwrap();
    let board = client.board().unwrap().clone();
    (client, board)
}

fn update(flash: &Flash, image: &[u8], line: &mut Line) -> Result<Vec<Event>, Ended> {
    let mut client = LinkClient::default();
    client.connect();
    talk(&mut client, flash, line)?;
    client.update_model(image.to_vec());
    talk(&mut client, flash, line)
}

fn good(flash: &Flash, image: &[u8]) -> Result<Vec<Event>, Ended> {
    update(flash, image, &mut Line::new(Fault::None))
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let byte = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

fn image(seed: u64, length: usize) -> Vec<u8> {
    model::with_tail(&noise(seed, length))
}

fn id(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}

/// Id of the model that runs after a start.
fn runs(flash: &Flash) -> Option<u32> {
    connect(flash).1.model.ok().map(|model| model.id)
}

/// A board that runs `image`, as the flasher leaves it.
fn running(image: &[u8]) -> Flash {
    let flash = blank();
    {
        let mut bytes = flash.borrow_mut();
        bytes[..image.len()].copy_from_slice(image);
        let record = Record {
            sequence: 1,
            bytes: image.len() as u32,
            id: id(image),
        };
        let at = SLOT - RECORD_SECTOR as usize;
        bytes[at..at + 20].copy_from_slice(&record.encode());
    }
    flash
}

fn copy(flash: &Flash) -> Flash {
    Rc::new(RefCell::new(flash.borrow().clone()))
}

#[test]
fn a_model_goes_over_the_link_and_runs_after_the_restart() {
    let old = image(1, 9_000);
    let flash = running(&old);
    let (_, board) = connect(&flash);
    assert_eq!(board.model_room as usize, SLOT - 0x1000);
    let new = image(2, 200_000);
    let mut line = Line::new(Fault::None);
    let events = update(&flash, &new, &mut line).unwrap();
    assert_eq!(events.last(), Some(&Event::Updated(id(&new))));
    let [out, back] = line.count;
    println!(
        "a model of {} B over the link: {out} B out, {back} B in",
        new.len()
    );
    // The connecting is in it.
    assert!(out + back < new.len() as u64 * 105 / 100, "{out} {back}");
    assert_eq!(runs(&flash), Some(id(&new)));

    // Back again: the old one is still there, so that nothing but the switch is sent.
    let mut line = Line::new(Fault::None);
    update(&flash, &old, &mut line).unwrap();
    assert!(line.count[0] < 300, "{:?}", line.count);
    assert_eq!(runs(&flash), Some(id(&old)));
}

#[test]
fn a_blank_board_takes_its_first_model() {
    let flash = blank();
    let (_, board) = connect(&flash);
    assert_eq!(board.model.unwrap_err().code, ErrorCode::ModelBlank);
    let new = image(2, 5_000);
    good(&flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));
}

#[test]
fn what_can_not_run_is_refused_and_the_old_one_stays() {
    let old = image(1, 9_000);
    let flash = running(&old);
    let new = image(2, 9_000);
    let mut broken = new.clone();
    broken[2_000] ^= 1;
    let error = good(&flash, &broken).unwrap_err().unwrap();
    assert!(
        matches!(
            error,
            LinkError::Refused {
                code: ErrorCode::ModelBroken,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("keeps running the old one"));
    assert_eq!(runs(&flash), Some(id(&old)));
    good(&flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));

    assert_eq!(good(&flash, b"onnx"), Err(Some(LinkError::NotAModel)));
    let room = (SLOT - 0x1000) as u32;
    let error = good(&flash, &image(1, SLOT)).unwrap_err();
    assert!(matches!(error, Some(LinkError::NoRoom { room: r, .. }) if r == room));
    let mut client = LinkClient::default();
    client.update_model(new);
    let mut line = Line::new(Fault::None);
    assert_eq!(
        talk(&mut client, &flash, &mut line),
        Err(Some(LinkError::NotConnected))
    );
}

/// The highest rank that does not parse loses, and so does a damaged record.
#[test]
fn a_broken_new_model_loses_to_the_old_one_at_the_next_start() {
    let old = image(1, 9_000);
    let flash = running(&old);
    let new = image(2, 9_000);
    good(&flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));
    let record = 2 * SLOT - RECORD_SECTOR as usize;
    let image = [0, 12, 1_000, new.len() - 1].map(|at| SLOT + at);
    for at in image.into_iter().chain(record..record + 20) {
        flash.borrow_mut()[at] ^= 0x10;
        assert_eq!(runs(&flash), Some(id(&old)), "{at:#x}");
        flash.borrow_mut()[at] ^= 0x10;
    }
    assert_eq!(runs(&flash), Some(id(&new)));
}

#[test]
fn cut_or_damaged_anywhere_a_model_runs_and_the_next_attempt_succeeds() {
    let (old, new) = (image(1, 9_000), image(2, 9_000));
    let template = running(&old);
    let whole = copy(&template);
    let mut line = Line::new(Fault::None);
    update(&whole, &new, &mut line).unwrap();
    let [out, back] = line.count;
    let mut state = 5u64;
    let mut below = |limit: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(7);
        (state >> 33) % limit
    };
    let (mut kept, mut done, mut overcome) = (0, 0, 0);
    for n in 0..1_000 {
        let to_board = n % 2 == 0;
        let at = below(if to_board { out } else { back });
        let mask = 1 << below(8);
        let fault = match n / 2 % 3 {
            0 => Fault::Flip { to_board, at, mask },
            1 => Fault::Drop { to_board, at },
            _ => Fault::Cut { at: below(out) },
        };
        let flash = copy(&template);
        let outcome = update(&flash, &new, &mut Line::new(fault));
        let running = runs(&flash);
        match outcome {
            Ok(_) => {
                assert_eq!(running, Some(id(&new)), "{fault:?}");
                overcome += 1;
            }
            Err(None) if running == Some(id(&new)) => done += 1,
            Err(None) => {
                assert_eq!(running, Some(id(&old)), "{fault:?}");
                kept += 1;
            }
            Err(Some(error)) => panic!("{error} after {fault:?}"),
        }
        good(&flash, &new).unwrap();
        assert_eq!(runs(&flash), Some(id(&new)), "{fault:?}");
    }
    println!(
        "1000 updates: {overcome} overcame the fault; cut: {kept} run the old model, {done} the new"
    );
    assert!(kept > 100);
}

/// Part of a sector may have been programmed when the power went.
#[test]
fn power_lost_inside_any_sector_leaves_a_model() {
    let (old, new) = (image(1, 9_000), image(2, 9_000));
    let flash = running(&old);
    let before = flash.borrow().clone();
    good(&flash, &new).unwrap();
    let after = flash.borrow().clone();
    let changed: Vec<usize> = (SLOT..2 * SLOT)
        .step_by(0x1000)
        .filter(|&at| before[at..at + 0x1000] != after[at..at + 0x1000])
        .collect();
    assert!(changed.len() > 3);
    let mut between = before;
    for &at in &changed {
        for programmed in [0, 1, 19, 0x800] {
            between[at..at + 0x1000].fill(0xFF);
            between[at..at + programmed].copy_from_slice(&after[at..at + programmed]);
            let running = runs(&Rc::new(RefCell::new(between.clone())));
            assert!(
                running == Some(id(&old)) || between == after,
                "{at:#x} {programmed}"
            );
        }
        between[at..at + 0x1000].copy_from_slice(&after[at..at + 0x1000]);
    }
    assert_eq!(between, after);
    let slots = AlignedBytes::new(&after[SLOT..]);
    assert_eq!(Model::parse(slots.as_ref()).unwrap().id(), id(&new));
}
