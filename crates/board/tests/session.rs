//! Whole sessions of the flasher against the virtual board.

mod bench;

use std::path::Path;

use bench::{Images, drive, holds};
use fixpoint_board::{BootMode, Fault, Options as BoardOptions, Personality, VirtualBoard};
use fixpoint_flash::{
    Action, Event, FlashError, FlashPlan, Flasher, Link, Options, Phase, Role, Start, TensorMemory,
    plan,
};

fn board(options: BoardOptions) -> VirtualBoard {
    VirtualBoard::new(None, options)
}

#[test]
fn a_blank_board_is_flashed_and_starts() {
    let images = Images::new(7);
    for stub in [true, false] {
        for (personality, link) in [
            (Personality::UartBridge, Link::UartBridge),
            (Personality::UsbSerialJtag, Link::UsbSerialJtag),
        ] {
            let mut board = board(BoardOptions {
                personality,
                ..BoardOptions::default()
            });
            let options = Options {
                stub,
                link,
                baud: 921_600,
                ..Options::default()
            };
            let plan = images.plan();
            let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
            let summary =
                outcome.unwrap_or_else(|e| panic!("{e} {stub} {link:?}\n{:?}", log.events));
            assert!(holds(&board, &plan));
            assert_eq!(summary.stub, stub);
            assert_eq!(summary.chip.flash_bytes, 4 << 20);
            assert_eq!(summary.chip.mac, "02:46:58:50:00:01");
            assert_eq!(summary.chip.revision, "v0.2");
            let fast = if link == Link::UartBridge {
                921_600
            } else {
                115_200
            };
            assert_eq!(summary.baud, fast);
            assert_eq!(summary.progress.done_bytes, plan.total_bytes());
            board.tick(100);
            assert!(
                board.runs_application(),
                "{}",
                String::from_utf8_lossy(&board.read())
            );
            println!(
                "stub {stub:5}, {link:?}: {} B image, {} B out, {} B in, {} round trips, {} ms",
                plan.total_bytes(),
                summary.progress.wire_out,
                summary.progress.wire_in,
                summary.progress.round_trips,
                summary.progress.elapsed_ms,
            );
        }
    }
}

#[test]
fn a_board_held_in_the_loader_needs_no_signals() {
    let mut board = board(BoardOptions {
        boot_mode: BootMode::HeldInLoader,
        ..BoardOptions::default()
    });
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let plan = Images::new(3).plan();
    let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
    assert!(!outcome.unwrap().restarted);
    assert!(holds(&board, &plan));
    assert_eq!(log.signals, []);
}

fn flashed(images: &Images) -> VirtualBoard {
    let mut board = board(BoardOptions::default());
    let (outcome, _) = drive(
        &mut Flasher::new(images.plan(), Options::default()),
        &mut board,
    );
    outcome.unwrap();
    board
}

#[test]
fn what_is_there_is_not_sent_again() {
    let images = Images::new(1);
    let mut board = flashed(&images);
    let erased_and_programmed = board.flash().to_vec();
    let (outcome, _) = drive(
        &mut Flasher::new(images.plan(), Options::default()),
        &mut board,
    );
    let summary = outcome.unwrap();
    assert!(summary.segments.iter().all(|segment| segment.written == 0));
    assert_eq!(summary.progress.skipped_bytes, images.plan().total_bytes());
    assert!(
        summary.progress.wire_out < 2_500,
        "{}",
        summary.progress.wire_out
    );
    assert_eq!(board.flash(), erased_and_programmed);
    println!(
        "nothing changed: {} B out, {} round trips",
        summary.progress.wire_out, summary.progress.round_trips
    );
}

#[test]
fn a_new_model_is_written_alone() {
    let old = Images::new(1);
    let mut board = flashed(&old);
    let new = Images {
        model: bench::model(9, 50_003),
        ..Images::new(1)
    };
    let (outcome, log) = drive(
        &mut Flasher::new(new.plan(), Options::default()),
        &mut board,
    );
    let summary = outcome.unwrap();
    let written: Vec<_> = summary.segments.iter().filter(|s| s.written > 0).collect();
    assert_eq!(written.len(), 1);
    assert_eq!(
        (written[0].name.as_str(), written[0].written),
        ("model", new.model.len() as u64)
    );
    assert!(holds(&board, &new.plan()));
    let stub_bytes = 12_500;
    assert!(summary.progress.wire_out < new.model.len() as u64 * 105 / 100 + stub_bytes);
    println!(
        "model of {} B changed: {} B out, {} round trips, {} ms",
        new.model.len(),
        summary.progress.wire_out,
        summary.progress.round_trips,
        log.now_ms
    );
    let plan = plan::model_only(&new.table, &old.model).unwrap();
    drive(&mut Flasher::new(plan, Options::default()), &mut board)
        .0
        .unwrap();
    assert!(holds(&board, &old.plan()));
}

fn refused(options: BoardOptions, link: Link) -> (FlashError, VirtualBoard) {
    let mut board = board(options);
    let before = board.flash().to_vec();
    let options = Options {
        link,
        ..Options::default()
    };
    let mut flasher = Flasher::new(Images::new(1).plan(), options);
    let (outcome, log) = drive(&mut flasher, &mut board);
    assert_eq!(board.flash(), before, "a refused board is not touched");
    assert!(log.now_ms < 25_000, "{} ms to say no", log.now_ms);
    (outcome.unwrap_err(), board)
}

#[test]
fn other_chips_are_named_and_left_alone() {
    for (chip_id, name) in [
        (5, "ESP32-C3"),
        (0, "ESP32"),
        (2, "ESP32-S2"),
        (13, "ESP32-C6"),
    ] {
        let options = BoardOptions {
            chip_id,
            ..BoardOptions::default()
        };
        let (error, _) = refused(options, Link::UartBridge);
        assert_eq!(error, FlashError::WrongChip { found: name.into() });
        assert!(error.to_string().contains(name));
    }
}

#[test]
fn protected_chips_are_left_alone() {
    let options = |security_flags, flash_crypt_cnt| BoardOptions {
        security_flags,
        flash_crypt_cnt,
        ..BoardOptions::default()
    };
    for (options, error) in [
        (options(1, 0), FlashError::SecureBoot),
        (options(1 << 2, 0), FlashError::SecureDownloadMode),
        (options(0, 1), FlashError::FlashEncryption),
    ] {
        assert_eq!(refused(options, Link::UartBridge).0, error);
    }
}

#[test]
fn a_plan_that_does_not_fit_the_flash_is_refused() {
    let options = BoardOptions {
        flash_bytes: 1 << 20,
        ..BoardOptions::default()
    };
    let (error, _) = refused(options, Link::UartBridge);
    assert_eq!(error.code(), "does-not-fit");
    assert!(
        matches!(error, FlashError::DoesNotFit { name, size: 0x10_0000, .. } if name == "model")
    );
}

#[test]
fn a_model_that_has_no_room_in_memory_is_refused() {
    let in_two = |needed, near| TensorMemory {
        needed,
        near,
        internal: 300 << 10,
    };
    let memory = |needed| in_two(needed, 0);
    let flash = |psram_bytes, memory| {
        let options = BoardOptions {
            psram_bytes,
            ..BoardOptions::default()
        };
        let mut board = board(options);
        let before = board.flash().to_vec();
        let plan = FlashPlan {
            memory: Some(memory),
            ..Images::new(1).plan()
        };
        let mut flasher = Flasher::new(plan, Options::default());
        let outcome = drive(&mut flasher, &mut board).0;
        assert!(outcome.is_ok() || board.flash() == before);
        outcome.map(drop)
    };
    let most = (2 << 20) - TensorMemory::PSRAM_MARGINS;
    for (psram, needed) in [(0, 300 << 10), (2 << 20, most), (8 << 20, 301 << 10)] {
        assert_eq!(flash(psram, memory(needed)), Ok(()));
    }
    // What is beside the internal part has room, or has not.
    let near = 300 << 10;
    assert_eq!(flash(2 << 20, in_two(near + most, near)), Ok(()));
    for memory in [
        in_two((2 << 20) + near + 16, near),
        in_two((2 << 20) + near, near + 16),
    ] {
        let psram = 2 << 20;
        let refused = Err(FlashError::NoPsram { memory, psram });
        assert_eq!(flash(psram, memory), refused);
    }
    for (psram, needed, says) in [
        (0, (300 << 10) + 1, "has no PSRAM"),
        (2 << 20, 4 << 20, "has only 2048 KiB of PSRAM"),
    ] {
        let memory = memory(needed);
        let error = flash(psram, memory).unwrap_err();
        assert_eq!(error, FlashError::NoPsram { memory, psram });
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn silence_and_application_logs_are_told_apart() {
    let mute = BoardOptions {
        faults: vec![Fault::Mute],
        ..BoardOptions::default()
    };
    assert_eq!(refused(mute, Link::UartBridge).0.code(), "no-answer");

    // No auto-reset circuit: the application (here: the ROM without one) keeps talking.
    let no_reset = BoardOptions {
        boot_mode: BootMode::NoAutoReset,
        ..BoardOptions::default()
    };
    let (error, _) = refused(no_reset, Link::UartBridge);
    assert_eq!(error.code(), "not-in-loader");
    assert!(
        error
            .boot_log()
            .unwrap()
            .contains("invalid header: 0xffffffff")
    );
    assert!(error.remedy().contains("hold BOOT"));

    // Every byte towards the board is lost: it says that it waits, and never answers.
    let deaf = (0..20_000).map(|at| Fault::DropToBoard { at }).collect();
    let deaf = BoardOptions {
        faults: deaf,
        ..BoardOptions::default()
    };
    assert_eq!(refused(deaf, Link::UartBridge).0.code(), "loader-silent");
}

#[test]
fn the_boot_log_is_shown_and_the_reset_asserts_first() {
    let mut board = board(BoardOptions::default());
    let mut flasher = Flasher::new(Images::new(1).plan(), Options::default());
    let (outcome, log) = drive(&mut flasher, &mut board);
    outcome.unwrap();
    assert!(
        log.text().contains("waiting for download"),
        "{:?}",
        log.text()
    );
    let classic = [
        (false, true),
        (true, false),
        (false, false),
        (false, true),
        (false, false),
    ];
    let mut changes = log.signals.clone();
    changes.dedup();
    assert_eq!(changes, classic, "into the loader and out, nothing else");
}

/// Cancels after every action of a session in turn. The board runs the old system or the new one, never
/// a mixture, and the next session finishes the work.
#[test]
fn cancelled_anywhere_it_starts_a_whole_system_and_can_go_on() {
    let (old, new) = (Images::new(1), Images::new(2));
    let template = flashed(&old).flash().to_vec();
    let (mut kept, mut finished, mut at) = (0, 0, 0);
    loop {
        let mut board = VirtualBoard::new(Some(template.clone()), BoardOptions::default());
        let mut flasher = Flasher::new(new.plan(), Options::default());
        let (outcome, _) = bench::drive_with(&mut flasher, &mut board, |flasher, _, action| {
            if action == at {
                flasher.cancel();
            }
        });
        board.tick(100);
        match outcome {
            Err(FlashError::Cancelled) => {}
            other => {
                // The cancel came after the end.
                other.unwrap();
                break;
            }
        }
        let plan_without_model = |images: &Images| {
            let mut plan = images.plan();
            plan.segments.retain(|segment| segment.role != Role::Model);
            plan
        };
        assert!(board.runs_application(), "nothing starts at {at}");
        if holds(&board, &plan_without_model(&new)) {
            finished += 1;
        } else {
            assert!(
                holds(&board, &plan_without_model(&old)),
                "a mixture starts at {at}"
            );
            kept += 1;
        }
        if at % 7 == 0 {
            let mut flasher = Flasher::new(new.plan(), Options::default());
            drive(&mut flasher, &mut board).0.unwrap();
            board.tick(100);
            assert!(holds(&board, &new.plan()) && board.runs_application());
        }
        at += 1;
    }
    println!("cancelled at {at} places: {kept} keep the old runtime, {finished} have the new one");
    assert!(kept > 10 && finished > 0, "{kept} {finished}");
}

#[test]
fn a_rate_that_does_not_work_falls_back() {
    for (carried, reached) in [(460_800, 460_800), (300_000, 230_400), (115_200, 115_200)] {
        let mut board = board(BoardOptions {
            max_baud: carried,
            ..BoardOptions::default()
        });
        let options = Options {
            baud: 921_600,
            ..Options::default()
        };
        let plan = Images::new(1).plan();
        let (outcome, _) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
        assert_eq!(outcome.unwrap().baud, reached);
        assert!(holds(&board, &plan));
    }
}

#[test]
fn over_usb_otg_the_watchdog_restarts_and_the_port_changes() {
    let mut board = board(BoardOptions {
        boot_mode: BootMode::HeldInLoader,
        personality: Personality::UsbOtg,
        ..BoardOptions::default()
    });
    let options = Options {
        link: Link::UsbOtg,
        ..Options::default()
    };
    let plan = Images::new(3).plan();
    let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
    let summary = outcome.unwrap();
    assert!(summary.stub && summary.restarted);
    assert_eq!(summary.start, Start::PortChanges);
    assert_eq!(log.signals, []);
    assert!(!board.connected(), "a new device comes instead");
    board.replug();
    assert!(board.connected() && holds(&board, &plan));
}

#[test]
fn a_loader_that_runs_already_is_not_reset() {
    for (boot_mode, resets) in [(BootMode::HeldInLoader, false), (BootMode::Auto, true)] {
        let mut board = board(BoardOptions {
            boot_mode,
            ..BoardOptions::default()
        });
        let options = Options {
            ask_first: true,
            reset_after: false,
            ..Options::default()
        };
        let plan = Images::new(3).plan();
        let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
        outcome.unwrap();
        assert_eq!(!log.signals.is_empty(), resets, "{:?}", log.signals);
        assert!(holds(&board, &plan));
    }
}

#[test]
fn the_restart_is_seen_or_there_is_advice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware/prebuilt");
    let read = |name: &str| std::fs::read(folder.join(name)).expect("firmware/prebuilt");
    let images = Images {
        bootloader: read("bootloader.bin"),
        table: read("partition-table.bin"),
        runtime: read("runtime.bin"),
        ..Images::new(3)
    };
    let run = |personality, link, plan| {
        let mut board = board(BoardOptions {
            personality,
            ..BoardOptions::default()
        });
        let options = Options {
            link,
            ..Options::default()
        };
        let (outcome, log) = drive(&mut Flasher::new(plan, options), &mut board);
        (outcome.unwrap().start, log)
    };
    for (personality, link) in [
        (Personality::UartBridge, Link::UartBridge),
        (Personality::UsbSerialJtag, Link::UsbSerialJtag),
    ] {
        let (start, log) = run(personality, link, images.plan());
        assert_eq!(start, Start::Running, "{}", log.text());
        assert!(log.text().contains("Fixpoint runtime"), "{}", log.text());
        // A model without what would run it.
        let model = plan::model_only(&images.table, &images.model).unwrap();
        let (start, log) = run(personality, link, model);
        assert_eq!(start, Start::Booting);
        assert!(log.text().contains("invalid header"), "{}", log.text());
        let advice = start.advice().unwrap();
        let noted = |e: &Event| matches!(e, Event::Note { text } if text == advice);
        assert!(log.events.iter().any(noted));
        // A program of others that starts and says nothing over the link.
        let foreign = FlashPlan {
            foreign: true,
            ..Images::new(3).plan()
        };
        let (start, log) = run(personality, link, foreign);
        assert_eq!(start, Start::Booting);
        assert!(log.text().contains("Loaded app from"), "{}", log.text());
        let noted = |e: &Event| matches!(e, Event::Note { .. });
        assert!(!log.events.iter().any(noted));
    }
}

#[test]
fn images_for_other_revisions_are_refused() {
    for (from, to, wanted) in [(300u16, 399u16, "v3.0 to v3.99"), (1, 0, "")] {
        let mut images = Images::new(1);
        images.runtime[15..17].copy_from_slice(&from.to_le_bytes());
        images.runtime[17..19].copy_from_slice(&to.to_le_bytes());
        let mut board = board(BoardOptions::default());
        let mut flasher = Flasher::new(images.plan(), Options::default());
        let (outcome, _) = drive(&mut flasher, &mut board);
        match wanted {
            // The board is v0.2.
            "" => drop(outcome.unwrap()),
            wanted => {
                let error = FlashError::WrongRevision {
                    found: "v0.2".into(),
                    wanted: wanted.into(),
                };
                assert_eq!(outcome.unwrap_err(), error);
                assert!(board.flash().iter().all(|&byte| byte == 0xFF));
            }
        }
    }
}

#[test]
fn a_stub_that_does_not_start_is_done_without() {
    let mut board = board(BoardOptions {
        faults: vec![Fault::StubDoesNotStart],
        ..BoardOptions::default()
    });
    let plan = Images::new(1).plan();
    let (outcome, _) = drive(
        &mut Flasher::new(plan.clone(), Options::default()),
        &mut board,
    );
    assert!(!outcome.unwrap().stub);
    assert!(holds(&board, &plan));
}

#[test]
fn a_stub_left_running_is_used_again() {
    let mut board = board(BoardOptions {
        boot_mode: BootMode::HeldInLoader,
        ..BoardOptions::default()
    });
    let options = Options {
        link: Link::Plain,
        reset_before: false,
        ..Options::default()
    };
    let plan = Images::new(1).plan();
    let mut cut = Flasher::new(plan.clone(), options.clone());
    let (outcome, _) = bench::drive_with(&mut cut, &mut board, |flasher, _, _| {
        if flasher.progress().phase == Phase::Writing {
            flasher.cancel();
        }
    });
    assert_eq!(outcome, Err(FlashError::Cancelled));
    let (outcome, log) = drive(&mut Flasher::new(plan.clone(), options), &mut board);
    assert!(outcome.unwrap().stub);
    assert!(holds(&board, &plan));
    let started = |event: &Event| {
        matches!(
            event,
            Event::Phase {
                phase: Phase::StartingStub
            }
        )
    };
    assert!(
        !log.events.iter().any(started),
        "the stub was already there"
    );
}

#[test]
fn everything_is_written_when_asked_to() {
    let images = Images::new(1);
    let mut board = flashed(&images);
    let options = Options {
        skip_equal: false,
        reset_after: false,
        ..Options::default()
    };
    let (outcome, _) = drive(&mut Flasher::new(images.plan(), options), &mut board);
    let summary = outcome.unwrap();
    assert!(
        summary
            .segments
            .iter()
            .all(|segment| segment.written == segment.bytes)
    );
    assert!(holds(&board, &images.plan()) && !summary.restarted && !board.runs_application());
}

#[test]
fn any_bytes_from_the_board_are_survived() {
    let mut random = bench::Random(5);
    for _ in 0..20 {
        let mut flasher = Flasher::new(Images::new(1).plan(), Options::default());
        let mut now = 0;
        let outcome = loop {
            match flasher.poll(now) {
                Action::Done(outcome) => break outcome,
                Action::Wait { until_ms } => {
                    let length = random.below(40) as usize;
                    let mut bytes = bench::noise(random.next(), length);
                    if random.below(2) == 0 {
                        // Frames that are almost answers.
                        let op = [8, 0x14, 0x0A, 0x13][random.below(4) as usize];
                        bytes = [
                            &[0xC0, 1, op, length as u8, 0, 0, 0, 0, 0][..],
                            &bytes,
                            &[0xC0],
                        ]
                        .concat();
                    }
                    flasher.on_bytes(&bytes);
                    now += (until_ms.saturating_sub(now) / 2).max(1);
                }
                _ => {}
            }
        };
        assert!(outcome.is_err());
        assert!(now < 600_000, "{now} ms with a babbling board");
    }
}
