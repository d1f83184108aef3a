//! A bad line: flipped and lost bytes anywhere, and a cable pulled at any byte.

mod bench;

use bench::{Images, Random, drive, holds};
use fixpoint_board::{Fault, Options as BoardOptions, VirtualBoard};
use fixpoint_flash::{FlashError, FlashPlan, Flasher, Options, Role};
use std::collections::BTreeMap;

struct Case {
    old: Images,
    new: Images,
    /// Flash of a board with the old system.
    flash: Vec<u8>,
    /// Bytes to the board and back in a session without faults.
    wire: (u64, u64),
}

/// Small images: the faults hit every kind of command about as often as data.
fn case() -> Case {
    let images = |seed| Images {
        bootloader: bench::app_image(&bench::code(seed, 3_000)),
        runtime: bench::app_image(&bench::code(seed, 9_001)),
        model: bench::model(seed, 6_003),
        ..Images::new(seed)
    };
    let (old, new) = (images(1), images(2));
    let mut board = VirtualBoard::new(None, BoardOptions::default());
    drive(
        &mut Flasher::new(old.plan(), Options::default()),
        &mut board,
    )
    .0
    .unwrap();
    let flash = board.flash().to_vec();
    let mut board = VirtualBoard::new(Some(flash.clone()), BoardOptions::default());
    drive(
        &mut Flasher::new(new.plan(), Options::default()),
        &mut board,
    )
    .0
    .unwrap();
    let wire = board.wire_bytes();
    Case {
        old,
        new,
        flash,
        wire,
    }
}

fn runtime_of(images: &Images) -> FlashPlan {
    let mut plan = images.plan();
    plan.segments.retain(|segment| segment.role != Role::Model);
    plan
}

/// One session with these faults; the name of its end. Fails if success is claimed with wrong
/// flash, or if a mixture of old and new would start.
fn session(case: &Case, faults: Vec<Fault>, options: Options) -> &'static str {
    let what = format!("{faults:?}");
    let board_options = BoardOptions {
        faults,
        ..BoardOptions::default()
    };
    let mut board = VirtualBoard::new(Some(case.flash.clone()), board_options);
    let (outcome, _) = drive(&mut Flasher::new(case.new.plan(), options), &mut board);
    // What a person does next: press RESET.
    let mut after = VirtualBoard::new(Some(board.flash().to_vec()), BoardOptions::default());
    after.tick(100);
    if after.runs_application() {
        let whole = holds(&board, &runtime_of(&case.old)) || holds(&board, &runtime_of(&case.new));
        assert!(whole, "a mixture starts after {what}: {outcome:?}");
    }
    match outcome {
        Ok(_) => {
            assert!(
                holds(&board, &case.new.plan()),
                "success with wrong flash after {what}"
            );
            assert!(
                after.runs_application(),
                "success, and nothing starts after {what}"
            );
            "success"
        }
        Err(error) => {
            println!("{error} after {:.60}", what);
            error.code()
        }
    }
}

fn rom() -> Options {
    Options {
        stub: false,
        ..Options::default()
    }
}

#[test]
fn one_bad_byte_anywhere_ends_in_success_or_a_named_error() {
    let case = case();
    let mut random = Random(2026);
    let mut ends = BTreeMap::<_, u32>::new();
    for n in 0..240 {
        let mask = 1 << random.below(8);
        let (to_board, to_host) = (random.below(case.wire.0), random.below(case.wire.1));
        let fault = match n % 4 {
            0 => Fault::FlipToBoard { at: to_board, mask },
            1 => Fault::FlipToHost { at: to_host, mask },
            2 => Fault::DropToBoard { at: to_board },
            _ => Fault::DropToHost { at: to_host },
        };
        let options = if n % 8 < 4 { Options::default() } else { rom() };
        *ends
            .entry(session(&case, vec![fault], options))
            .or_default() += 1;
    }
    println!("one bad byte, 240 sessions: {ends:?}");
    // A single bad byte is always overcome: sessions retry what it hit.
    assert_eq!(ends.get("success"), Some(&240), "{ends:?}");
}

#[test]
fn many_bad_bytes_never_end_in_false_success() {
    let case = case();
    let mut random = Random(7);
    let mut ends = BTreeMap::<_, u32>::new();
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
        *ends
            .entry(session(&case, faults, Options::default()))
            .or_default() += 1;
    }
    println!("many bad bytes, 80 sessions: {ends:?}");
    assert!(ends.contains_key("success"), "{ends:?}");
}

#[test]
fn a_pulled_cable_leaves_the_old_system_or_none_and_the_next_session_finishes() {
    let case = case();
    let mut random = Random(99);
    let (mut old, mut none) = (0, 0);
    for _ in 0..80 {
        let bytes = random.below(case.wire.0 - 100);
        let faults = vec![Fault::DisconnectAfter { bytes }];
        let options = BoardOptions {
            faults,
            ..BoardOptions::default()
        };
        let mut board = VirtualBoard::new(Some(case.flash.clone()), options);
        let mut flasher = Flasher::new(case.new.plan(), Options::default());
        let (outcome, _) = drive(&mut flasher, &mut board);
        let error = outcome.unwrap_err();
        assert!(matches!(error, FlashError::PortLost { .. }), "{error}");

        let mut board = VirtualBoard::new(Some(board.flash().to_vec()), BoardOptions::default());
        if board.runs_application() {
            let whole = [&case.old, &case.new]
                .iter()
                .any(|i| holds(&board, &runtime_of(i)));
            assert!(whole, "a mixture starts after {bytes} bytes");
            old += 1;
        } else {
            none += 1;
        }
        let (outcome, _) = drive(
            &mut Flasher::new(case.new.plan(), Options::default()),
            &mut board,
        );
        outcome.unwrap();
        assert!(holds(&board, &case.new.plan()));
    }
    println!("cable pulled 80 times: {old} boards start a whole system, {none} start nothing");
    assert!(old > 0 && none > 0);
}
