//! A bad line, a bad cable, a loader that crashes: at every step of the protocol, and at random.
//!
//! Whatever happens: success is claimed only when everything is in service, the board starts the old or
//! the new runtime with the old or the new model (the board's own choice is looked at, not the
//! flasher's view), and the next session finishes the work.

mod bench;

use bench::{Images, Random, Service, drive, drive_with, holds_flash};
use fixpoint_board::{Fault, Options as BoardOptions, VirtualBoard};
use fixpoint_flash::{Action, FlashPlan, Flasher, Options, Role, TensorMemory, plan};
use std::collections::BTreeMap;

struct Case {
    old: Images,
    plan: FlashPlan,
    options: Options,
    /// Flash of a board with the old system.
    flash: Vec<u8>,
    /// Bytes to the board and back in a session without faults.
    wire: (u64, u64),
    /// Both counters at the start of every write of that session.
    steps: Vec<(u64, u64)>,
    /// Erasures and programmings in that session.
    operations: u64,
}

/// Small images: the faults hit every kind of command about as often as data.
fn images(seed: u64) -> Images {
    Images {
        bootloader: bench::app_image(&bench::code(1, 3_000)),
        runtime: bench::app_image(&bench::code(seed, 9_001)),
        model: bench::model(seed, 6_003),
        ..Images::new(seed)
    }
}

fn case(plan: FlashPlan, options: Options) -> Case {
    let old = images(1);
    let mut board = VirtualBoard::new(None, BoardOptions::default());
    let mut flasher = Flasher::new(old.plan(), Options::default());
    drive(&mut flasher, &mut board).0.unwrap();
    let flash = board.flash().to_vec();
    let mut board = VirtualBoard::new(Some(flash.clone()), BoardOptions::default());
    let mut flasher = Flasher::new(plan.clone(), options.clone());
    let mut steps = Vec::new();
    let (outcome, _) = drive_with(&mut flasher, &mut board, |_, board, _| {
        if steps.last() != Some(&board.wire_bytes()) {
            steps.push(board.wire_bytes());
        }
    });
    outcome.unwrap();
    let wire = board.wire_bytes();
    Case {
        old,
        plan,
        options,
        flash,
        wire,
        steps,
        operations: board.flash_operations(),
    }
}

fn stub() -> Options {
    Options {
        stub_from: 0,
        // What comes after the writing is looked at in `session.rs`.
        reset_after: false,
        ..Options::default()
    }
}

fn rom() -> Options {
    Options {
        stub: false,
        reset_after: false,
        ..Options::default()
    }
}

/// A new runtime and a new model, written by the stub and by the ROM, and a new model alone.
fn cases() -> [Case; 3] {
    let new = images(2);
    let model = plan::model_only(&new.table, &new.model).unwrap();
    // The board has as much PSRAM as the model wants: a bad byte must not make it look like less.
    let memory = TensorMemory {
        needed: BoardOptions::default().psram_bytes - TensorMemory::PSRAM_MARGINS,
        near: 0,
        internal: 300 << 10,
    };
    let with_memory = FlashPlan {
        memory: Some(memory),
        ..new.plan()
    };
    [
        case(with_memory, stub()),
        case(new.plan(), rom()),
        case(model, rom()),
    ]
}

fn runtime(plan: FlashPlan) -> FlashPlan {
    let segments = plan.segments.into_iter();
    FlashPlan {
        segments: segments.filter(|s| s.role != Role::Model).collect(),
        ..plan
    }
}

fn model_id(image: &[u8]) -> u32 {
    u32::from_le_bytes(image[12..16].try_into().unwrap())
}

/// What a person finds who presses RESET now. Panics if it is neither the old nor the new.
fn in_service(case: &Case, flash: &[u8], what: &str) -> &'static str {
    let service = Service::of(flash);
    let new_model = case.plan.segments.iter().find(|s| s.role == Role::Model);
    let model = service
        .model
        .unwrap_or_else(|| panic!("no model runs after {what}"));
    let new_model = new_model.is_some_and(|segment| model_id(&segment.bytes) == model);
    let old_model = model == model_id(&case.old.model);
    assert!(old_model || new_model, "another model runs after {what}");
    let old_runtime = service.holds(flash, &runtime(case.old.plan()));
    let has_runtime = case.plan.segments.iter().any(|s| s.role == Role::App);
    let new_runtime = has_runtime && service.holds(flash, &runtime(case.plan.clone()));
    assert!(
        old_runtime || new_runtime,
        "no whole runtime starts after {what}"
    );
    match (if has_runtime { new_runtime } else { new_model }, new_model) {
        (true, true) => "the new ones",
        (false, false) => "the old ones",
        (true, false) => "new runtime, old model",
        (false, true) => "old runtime, new model",
    }
}

/// One session with these faults, and the next one without; the names of its end and of what runs
/// then.
fn session(case: &Case, faults: Vec<Fault>) -> (&'static str, &'static str) {
    session_with(case, faults, |_| false)
}

/// The same, and the host loses its port when `pulled` says so.
fn session_with(
    case: &Case,
    faults: Vec<Fault>,
    pulled: impl Fn(&VirtualBoard) -> bool,
) -> (&'static str, &'static str) {
    let what = format!("{faults:?}");
    let board_options = BoardOptions {
        faults,
        ..BoardOptions::default()
    };
    let mut board = VirtualBoard::new(Some(case.flash.clone()), board_options);
    let mut flasher = Flasher::new(case.plan.clone(), case.options.clone());
    let (outcome, _) = drive_with(&mut flasher, &mut board, |flasher, board, _| {
        if pulled(board) {
            flasher.on_closed();
        }
    });
    let service = in_service(case, board.flash(), &what);
    match outcome {
        Ok(_) => {
            let holds = holds_flash(board.flash(), &case.plan);
            assert!(holds, "success, and not all is in service after {what}");
            ("success", service)
        }
        Err(error) => {
            assert!(!error.remedy().is_empty());
            let mut board =
                VirtualBoard::new(Some(board.flash().to_vec()), BoardOptions::default());
            let mut flasher = Flasher::new(case.plan.clone(), case.options.clone());
            let (outcome, _) = drive(&mut flasher, &mut board);
            outcome.unwrap_or_else(|e| panic!("the next session ends in {e} after {what}"));
            assert!(holds_flash(board.flash(), &case.plan), "after {what}");
            (error.code(), service)
        }
    }
}

type Ends = BTreeMap<(&'static str, &'static str), u32>;

fn print(title: &str, ends: &Ends) {
    let all: u32 = ends.values().sum();
    println!("{title}: {all} sessions");
    for ((end, service), count) in ends {
        println!("  {count:5}  {end}; the board runs {service}");
    }
}

#[test]
fn at_every_step_of_the_protocol() {
    let mut ends = Ends::new();
    for case in cases() {
        for (step, pair) in case.steps.windows(2).enumerate() {
            let (here, next) = (pair[0], pair[1]);
            let middle = here.0 + (next.0 - here.0) / 2;
            let mut faults = vec![Fault::DisconnectAfter { bytes: here.0 }];
            if next.0 > here.0 {
                faults.extend([
                    Fault::DisconnectAfter { bytes: middle },
                    // The opcode, behind the delimiter and the direction.
                    Fault::FlipToBoard {
                        at: (here.0 + 2).min(next.0 - 1),
                        mask: 1,
                    },
                    Fault::FlipToBoard {
                        at: middle,
                        mask: 0x10,
                    },
                    Fault::DropToBoard { at: here.0 },
                ]);
                faults.push(match step % 2 {
                    0 => Fault::DuplicateToBoard { at: middle },
                    _ => Fault::HangAt { at: next.0 - 1 },
                });
            }
            if next.1 > here.1 {
                faults.extend([
                    Fault::FlipToHost {
                        at: here.1 + 2,
                        mask: 4,
                    },
                    Fault::DropToHost { at: next.1 - 1 },
                ]);
                faults.push(match step % 2 {
                    0 => Fault::DuplicateToHost { at: here.1 },
                    _ => Fault::DelayToHost {
                        at: here.1,
                        ms: 5_000,
                    },
                });
            }
            for fault in faults {
                *ends.entry(session(&case, vec![fault])).or_default() += 1;
            }
        }
    }
    print("at every step", &ends);
    assert!(ends.keys().any(|(end, _)| *end == "port-lost"));
    assert!(ends.keys().any(|(_, service)| *service == "the old ones"));
}

#[test]
fn at_a_thousand_random_bytes() {
    let cases = cases();
    let mut random = Random(2026);
    let mut ends = Ends::new();
    for n in 0..1_000 {
        let case = &cases[n % 3];
        let mask = 1 << random.below(8);
        let to_board = random.below(case.wire.0);
        let to_host = random.below(case.wire.1);
        let fault = match n / 3 % 8 {
            0 => Fault::FlipToBoard { at: to_board, mask },
            1 => Fault::FlipToHost { at: to_host, mask },
            2 => Fault::DropToBoard { at: to_board },
            3 => Fault::DropToHost { at: to_host },
            4 => Fault::DuplicateToBoard { at: to_board },
            5 => Fault::DuplicateToHost { at: to_host },
            6 => Fault::HangAt { at: to_board },
            _ => Fault::DisconnectAfter { bytes: to_board },
        };
        let end = session(case, vec![fault]);
        // What is not a cut is overcome: sessions retry what it hit, and enter the loader anew.
        if !matches!(fault, Fault::DisconnectAfter { .. }) {
            assert_eq!(
                end,
                ("success", "the new ones"),
                "{fault:?} in case {}",
                n % 3
            );
        }
        *ends.entry(end).or_default() += 1;
    }
    print("at random bytes", &ends);
    assert!(ends[&("success", "the new ones")] > 800, "{ends:?}");
}

/// The power fails in the middle of it: of the board alone, which restarts, or with the cable.
#[test]
fn in_every_operation_of_the_flash() {
    let mut ends = Ends::new();
    let mut all = 0;
    for case in cases() {
        all += case.operations;
        for operation in 0..case.operations {
            let faults = vec![Fault::PowerFails { operation }];
            let end = session(&case, faults.clone());
            assert_eq!(end, ("success", "the new ones"), "{faults:?}");
            *ends.entry(end).or_default() += 1;
            let end = session_with(&case, faults, |board| board.flash_operations() > operation);
            assert_eq!(end.0, "port-lost", "operation {operation}");
            *ends.entry(end).or_default() += 1;
        }
    }
    print(&format!("in {all} operations of the flash"), &ends);
    assert!(ends.contains_key(&("port-lost", "the old ones")));
}

#[test]
fn many_bad_bytes_never_end_in_false_success() {
    let new = images(2);
    let case = case(new.plan(), stub());
    let mut random = Random(7);
    let mut ends = Ends::new();
    for n in 0..80 {
        // One byte in 3000 to one in 100.
        let gap = [3_000, 1_000, 300, 100][n % 4];
        let mut faults = Vec::new();
        let (mut at, mut back) = (0, 0);
        while at < case.wire.0 * 3 {
            at += 1 + random.below(2 * gap);
            back += 1 + random.below(2 * gap);
            let mask = random.below(255) as u8 + 1;
            faults.push(match random.below(8) {
                0 => Fault::DropToBoard { at },
                1 => Fault::DropToHost { at: back },
                2..5 => Fault::FlipToBoard { at, mask },
                _ => Fault::FlipToHost { at: back, mask },
            });
        }
        *ends.entry(session(&case, faults)).or_default() += 1;
    }
    print("many bad bytes", &ends);
    assert!(ends.keys().any(|(end, _)| *end == "success"), "{ends:?}");
}

/// The first flash of a board: there is nothing of ours to keep, and never a mixture.
#[test]
fn a_first_flash_that_is_cut_leaves_a_waiting_board() {
    let plan = images(1).plan();
    let foreign = {
        let mut board = VirtualBoard::new(None, BoardOptions::default());
        let mut old = images(5).plan();
        // Another maker's bootloader and application, where ours will be.
        old.segments.retain(|s| s.role != Role::Model);
        old.segments[0].bytes = bench::app_image(&bench::code(77, 4_000));
        drive(&mut Flasher::new(old, Options::default()), &mut board)
            .0
            .unwrap();
        board.flash().to_vec()
    };
    let mut ends = BTreeMap::<_, u32>::new();
    for flash in [None, Some(foreign)] {
        let mut total = VirtualBoard::new(flash.clone(), BoardOptions::default());
        drive(&mut Flasher::new(plan.clone(), stub()), &mut total)
            .0
            .unwrap();
        let mut random = Random(3);
        for _ in 0..60 {
            let bytes = random.below(total.wire_bytes().0 - 40);
            let options = BoardOptions {
                faults: vec![Fault::DisconnectAfter { bytes }],
                ..BoardOptions::default()
            };
            let mut board = VirtualBoard::new(flash.clone(), options);
            let (outcome, _) = drive(&mut Flasher::new(plan.clone(), stub()), &mut board);
            let service = Service::of(board.flash());
            let starts = match (service.app, &flash) {
                (None, _) => "nothing, and waits",
                (Some(_), _) if holds_flash(board.flash(), &runtime(plan.clone())) => "ours",
                (Some(at), Some(old)) => {
                    let end = at as usize + 9_000;
                    let same =
                        |range: std::ops::Range<usize>| board.flash()[range.clone()] == old[range];
                    assert!(
                        same(0..4_000) && same(at as usize..end),
                        "a mixture starts after {bytes} bytes"
                    );
                    "the other maker's"
                }
                (Some(_), None) => panic!("something starts on a blank board after {bytes} bytes"),
            };
            if outcome.is_err() {
                let mut board =
                    VirtualBoard::new(Some(board.flash().to_vec()), BoardOptions::default());
                let (outcome, _) = drive(&mut Flasher::new(plan.clone(), stub()), &mut board);
                outcome.unwrap();
                assert!(holds_flash(board.flash(), &plan));
            }
            *ends.entry(starts).or_default() += 1;
        }
    }
    println!("first flash cut 120 times, the board starts: {ends:?}");
    assert!(ends.len() >= 2, "{ends:?}");
}

/// What is already there after a cut is not sent again.
#[test]
fn the_next_session_goes_on_where_the_cable_was_pulled() {
    let new = Images::new(2);
    let flash = {
        let mut board = VirtualBoard::new(None, BoardOptions::default());
        let mut flasher = Flasher::new(Images::new(1).plan(), Options::default());
        drive(&mut flasher, &mut board).0.unwrap();
        board.flash().to_vec()
    };
    let options = BoardOptions {
        faults: vec![Fault::DisconnectAfter { bytes: 60_000 }],
        ..BoardOptions::default()
    };
    let mut board = VirtualBoard::new(Some(flash), options);
    let mut flasher = Flasher::new(new.plan(), Options::default());
    let (outcome, _) = drive(&mut flasher, &mut board);
    assert_eq!(outcome.unwrap_err().code(), "port-lost");
    board.replug();
    let mut flasher = Flasher::new(new.plan(), Options::default());
    let (outcome, _) = drive(&mut flasher, &mut board);
    let progress = outcome.unwrap().progress;
    let sent = new.model.len() + new.runtime.len();
    println!(
        "cut at 60000 bytes of images of {sent}, then {} are sent and {} skipped",
        progress.wire_out, progress.skipped_bytes
    );
    // Bootloader and table, and at least what came in whole halves and quarters of the model.
    assert!(progress.skipped_bytes > 23_000 + 32_768);
    assert!(bench::holds(&board, &new.plan()));
}

#[test]
fn the_driver_is_told_to_wait_and_never_spins() {
    let mut flasher = Flasher::new(images(1).plan(), Options::default());
    let mut waits = 0;
    for now in 0..200_000 {
        match flasher.poll(now) {
            Action::Wait { until_ms } => {
                waits += 1;
                assert!(until_ms > now);
            }
            Action::Done(outcome) => {
                assert_eq!(outcome.unwrap_err().code(), "no-answer");
                assert!(waits > 1_000 && now < 40_000, "{now}");
                return;
            }
            _ => {}
        }
    }
    panic!("no end");
}
