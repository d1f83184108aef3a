//! A new model over the link into the slot that does not run. What goes wrong on the way is in
//! `update_faults.rs`.

mod updating;

use fixpoint_device::ErrorCode;
use fixpoint_device::slot::RECORD_SECTOR;
use fixpoint_protocol::host::{Event, LinkClient, LinkError};
use updating::{Fault, Flash, SLOT, Setup, connect, good, id, image, runs};

#[test]
fn a_model_goes_over_the_link_and_runs_after_the_restart() {
    let old = image(1, 9_000);
    let flash = Flash::running(&old);
    let board = connect(&flash);
    assert_eq!(board.model_room as usize, SLOT - 0x1000);
    let new = image(2, 200_000);
    let mut setup = Setup::new(flash, Fault::None);
    let events = setup.update(&new).unwrap();
    assert_eq!(events.last(), Some(&Event::Updated(id(&new))));
    let (out, back) = setup.wire();
    let flash = setup.flash();
    println!(
        "a model of {} B over the link: {out} B out, {back} B in",
        new.len()
    );
    // The connecting is in it.
    assert!(out + back < new.len() as u64 * 105 / 100, "{out} {back}");
    assert_eq!(runs(&flash), Some(id(&new)));

    // Back again: the old one is still there, so that nothing but the switch is sent.
    let mut setup = Setup::new(flash, Fault::None);
    setup.update(&old).unwrap();
    assert!(setup.wire().0 < 300, "{:?}", setup.wire());
    assert_eq!(runs(&setup.flash()), Some(id(&old)));
}

#[test]
fn a_blank_board_takes_its_first_model() {
    let mut flash = Flash::blank();
    let board = connect(&flash);
    assert_eq!(board.model.unwrap_err().code, ErrorCode::ModelBlank);
    let new = image(2, 5_000);
    good(&mut flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));
}

#[test]
fn what_can_not_run_is_refused_and_the_old_one_stays() {
    let old = image(1, 9_000);
    let mut flash = Flash::running(&old);
    let new = image(2, 9_000);
    let mut broken = new.clone();
    broken[2_000] ^= 1;
    let error = good(&mut flash, &broken).unwrap_err().unwrap();
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
    good(&mut flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));

    assert_eq!(good(&mut flash, b"onnx"), Err(Some(LinkError::NotAModel)));
    let room = (SLOT - 0x1000) as u32;
    let error = good(&mut flash, &image(1, SLOT)).unwrap_err();
    assert!(matches!(error, Some(LinkError::NoRoom { room: r, .. }) if r == room));
    let mut client = LinkClient::default();
    client.update_model(new);
    let mut setup = Setup::new(flash, Fault::None);
    assert_eq!(setup.talk(&mut client), Err(Some(LinkError::NotConnected)));
}

/// The highest rank that does not parse loses, and so does a damaged record.
#[test]
fn a_broken_new_model_loses_to_the_old_one_at_the_next_start() {
    let old = image(1, 9_000);
    let mut flash = Flash::running(&old);
    let new = image(2, 9_000);
    good(&mut flash, &new).unwrap();
    assert_eq!(runs(&flash), Some(id(&new)));
    let record = 2 * SLOT - RECORD_SECTOR as usize;
    let image = [0, 12, 1_000, new.len() - 1].map(|at| SLOT + at);
    for at in image.into_iter().chain(record..record + 20) {
        flash.bytes[at] ^= 0x10;
        assert_eq!(runs(&flash), Some(id(&old)), "{at:#x}");
        flash.bytes[at] ^= 0x10;
    }
    assert_eq!(runs(&flash), Some(id(&new)));
}
