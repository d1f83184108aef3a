//! A new model through the link of the firmware itself, in the emulator, over a bad line and with a power that
//! fails in every operation of the flash. `fixpoint-device`'s `update_faults.rs` has the protocol's part of it at
//! every step; here the flash is driven as on the chip, a few bytes at a time.

mod bench;

use std::collections::BTreeMap;

use bench::{Random, drive, prebuilt_flasher};
use fixpoint_board::{Fault, Options, Personality, VirtualBoard};
use fixpoint_protocol::host::{Action, Event, LinkClient, LinkError};

/// Flash of a board that runs `model` with the prebuilt runtime.
fn flashed(model: &[u8]) -> Vec<u8> {
    let mut board = VirtualBoard::new(None, Options::default());
    let mut flasher = prebuilt_flasher(Some(model));
    drive(&mut flasher, &mut board).0.unwrap();
    board.flash().to_vec()
}

/// Why a job ended early: the client's error, or the line is gone.
type Ended = Option<LinkError>;

/// Runs the client's job; the last event but text.
fn job(
    client: &mut LinkClient,
    board: &mut VirtualBoard,
    now: &mut u64,
) -> Result<Option<Event>, Ended> {
    let mut last = None;
    loop {
        if !board.connected() {
            return Err(None);
        }
        match client.poll(*now) {
            Action::Write(bytes) => board.write(&bytes),
            Action::WaitUntil(until) => {
                let bytes = board.read();
                client.on_bytes(&bytes);
                if bytes.is_empty() {
                    let pass = until.saturating_sub(*now).clamp(1, 20);
                    board.tick(pass as u32);
                    *now += pass;
                }
            }
            Action::Event(Event::Console(_)) => {}
            Action::Event(event) => last = Some(event),
            Action::Done => return Ok(last),
            Action::Failed(error) => return Err(Some(error)),
        }
    }
}

/// Connects; the model that runs.
fn hello(client: &mut LinkClient, board: &mut VirtualBoard, now: &mut u64) -> Result<u32, Ended> {
    client.connect();
    job(client, board, now)?;
    Ok(client.board().unwrap().model.as_ref().unwrap().id)
}

/// Gives the board `new`; the models that run before and after its restart.
fn update(board: &mut VirtualBoard, new: &[u8]) -> Result<[u32; 2], Ended> {
    let (mut client, mut now) = (LinkClient::default(), 0);
    let before = hello(&mut client, board, &mut now)?;
    client.update_model(new.to_vec());
    job(&mut client, board, &mut now)?;
    let after = hello(&mut client, board, &mut now)?;
    Ok([before, after])
}

fn id(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}

#[test]
fn a_model_runs_whatever_happens_to_line_and_power() {
    let (old, new) = (bench::model(1, 5_000), bench::model(2, 4_500));
    let flash = flashed(&old);
    let with = |faults| Options {
        faults,
        // Looking for it takes longer than all the rest.
        psram_bytes: 0,
        personality: Personality::UsbSerialJtag,
        ..Options::default()
    };
    let mut board = VirtualBoard::new(Some(flash.clone()), with(Vec::new()));
    assert_eq!(update(&mut board, &new), Ok([id(&old), id(&new)]));
    let (operations, (out, back)) = (board.flash_operations(), board.wire_bytes());
    let mut random = Random(17);
    let power = (0..operations).map(|operation| Fault::PowerFails { operation });
    let line = (0..120).map(|n| {
        let mask = 1 << random.below(8);
        let (to_board, to_host) = (random.below(out), random.below(back));
        match n % 8 {
            0 => Fault::FlipToBoard { at: to_board, mask },
            1 => Fault::FlipToHost { at: to_host, mask },
            2 => Fault::DropToBoard { at: to_board },
            3 => Fault::DropToHost { at: to_host },
            4 => Fault::DuplicateToBoard { at: to_board },
            5 => Fault::DuplicateToHost { at: to_host },
            6 => Fault::DelayToHost {
                at: to_host,
                ms: 1_500,
            },
            _ => Fault::DisconnectAfter { bytes: to_board },
        }
    });
    let faults: Vec<Fault> = power.chain(line).collect();
    let mut ends = BTreeMap::<_, u32>::new();
    for fault in &faults {
        let mut board = VirtualBoard::new(Some(flash.clone()), with(vec![*fault]));
        let outcome = update(&mut board, &new);
        // After the next start: what runs, and whether the board takes what it has not got yet.
        let mut board = VirtualBoard::new(Some(board.flash().to_vec()), with(Vec::new()));
        let end = match outcome {
            Ok(models) => {
                assert_eq!(models[1], id(&new), "{fault:?}");
                let found = hello(&mut LinkClient::default(), &mut board, &mut 0);
                assert_eq!(found, Ok(id(&new)), "{fault:?}");
                ("success", "the new model")
            }
            Err(Some(error)) => panic!("{error} after {fault:?}"),
            Err(None) => match update(&mut board, &new) {
                Ok([before, after]) if before == id(&old) && after == id(&new) => {
                    ("cut", "the old model")
                }
                Ok([before, after]) if before == id(&new) && after == id(&new) => {
                    ("cut", "the new model")
                }
                other => panic!("{other:x?} after {fault:?}"),
            },
        };
        *ends.entry(end).or_default() += 1;
    }
    let lines = faults.len() as u64 - operations;
    println!("the firmware, in {operations} operations of the flash and at {lines} bytes:");
    for ((end, runs), count) in &ends {
        println!("  {count:5}  {end}; the board runs {runs}");
    }
    assert!(ends.contains_key(&("cut", "the old model")));
}
