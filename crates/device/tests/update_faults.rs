//! A new model through the running runtime, with something going wrong: at every step of the protocol, at
//! random bytes, and in every operation of the flash.
//!
//! Whatever happens: the update ends in success or in an error with a name; success means that the new model
//! runs, and otherwise the old one does, or the new one; and the next attempt succeeds.

mod updating;

use std::collections::BTreeMap;
use updating::{Damage, Fault, Flash, Mishap, Random, Setup, Way, good, id, image, runs};

/// What lies in the slot that doesn't run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    Nothing,
    /// A model that ran earlier, with its record.
    Another,
    /// The very one, so that only the switch is left.
    TheNewOne,
}

struct Case {
    spare: Spare,
    old: u32,
    new: Vec<u8>,
    flash: Flash,
    /// Of an update without faults.
    wire: (u64, u64),
    steps: Vec<(u64, u64)>,
    operations: u64,
}

fn case(spare: Spare) -> Case {
    let (old, new) = (image(1, 9_000), image(2, 6_000));
    let mut flash = Flash::blank();
    flash.put(0, &old, 5);
    match spare {
        Spare::Nothing => {}
        Spare::Another => flash.put(1, &image(3, 12_000), 4),
        Spare::TheNewOne => flash.put(1, &new, 4),
    }
    let mut setup = Setup::new(flash.clone(), Fault::None);
    setup.update(&new).unwrap();
    assert_eq!(runs(&setup.flash()), Some(id(&new)));
    let mut steps = setup.steps.clone();
    steps.push(setup.wire());
    Case {
        spare,
        old: id(&old),
        wire: setup.wire(),
        steps,
        operations: setup.flash().operations,
        new,
        flash,
    }
}

fn cases() -> [Case; 3] {
    [Spare::Nothing, Spare::Another, Spare::TheNewOne].map(case)
}

/// How an update ended, and what the board runs then.
type End = (&'static str, &'static str);
type Ends = BTreeMap<End, u32>;

fn update(case: &Case, fault: Fault) -> End {
    let what = || format!("{fault:?}, spare: {:?}", case.spare);
    let mut setup = Setup::new(case.flash.clone(), fault);
    let outcome = setup.update(&case.new);
    let mut flash = setup.flash();
    let service = match runs(&flash) {
        Some(model) if model == id(&case.new) => "the new model",
        Some(model) if model == case.old => "the old model",
        other => panic!("{other:x?} runs after {}", what()),
    };
    let end = match outcome {
        Ok(_) => "success",
        Err(None) => "cut",
        Err(Some(error)) => {
            assert!(error.to_string().len() > 20, "{error}");
            error.code()
        }
    };
    if end == "success" {
        assert_eq!(service, "the new model", "after {}", what());
    }
    good(&mut flash, &case.new).unwrap_or_else(|e| panic!("next: {e:?} after {}", what()));
    assert_eq!(runs(&flash), Some(id(&case.new)), "after {}", what());
    (end, service)
}

fn print(title: &str, ends: &Ends) {
    let all: u32 = ends.values().sum();
    println!("{title}: {all} updates");
    for ((end, service), count) in ends {
        println!("  {count:5}  {end}; the board runs {service}");
    }
}

/// What a line that carries bytes late, twice, wrongly or not at all does is overcome.
fn is_overcome(fault: Fault) -> bool {
    !matches!(fault, Fault::Byte(_, _, Damage::Cut))
}

#[test]
fn at_every_step_of_the_protocol() {
    let mut ends = Ends::new();
    for case in cases() {
        for pair in case.steps.windows(2) {
            let (here, next) = (pair[0], pair[1]);
            let mut faults = Vec::new();
            for (way, first, end) in [
                (Way::ToBoard, here.0, next.0),
                (Way::ToHost, here.1, next.1),
            ] {
                if end == first {
                    continue;
                }
                let (middle, last) = (first + (end - first) / 2, end - 1);
                for at in [first, middle, last] {
                    faults.extend([
                        Fault::Byte(way, at, Damage::Cut),
                        Fault::Byte(way, at, Damage::Drop),
                        Fault::Byte(way, at, Damage::Twice),
                        Fault::Byte(way, at, Damage::Flip(1 << (at % 8))),
                    ]);
                }
                // Less than the host waits for an answer, more, and more than once.
                for ms in [400, 1_500, 3_700] {
                    faults.push(Fault::Byte(way, middle, Damage::Late(ms)));
                }
            }
            for fault in faults {
                let end = update(&case, fault);
                let overcome = ("success", "the new model");
                assert!(!is_overcome(fault) || end == overcome, "{fault:?}: {end:?}");
                *ends.entry(end).or_default() += 1;
            }
        }
    }
    print("at every step", &ends);
    assert!(ends.contains_key(&("cut", "the old model")));
}

#[test]
fn at_a_thousand_random_bytes() {
    let cases = cases();
    let mut random = Random(5);
    let mut ends = Ends::new();
    for n in 0..1_000 {
        let case = &cases[n % 3];
        let (way, bytes) = match n / 3 % 2 {
            0 => (Way::ToBoard, case.wire.0),
            _ => (Way::ToHost, case.wire.1),
        };
        let damage = match n / 6 % 5 {
            0 => Damage::Flip(1 << random.below(8)),
            1 => Damage::Drop,
            2 => Damage::Twice,
            3 => Damage::Late(random.below(4_000)),
            _ => Damage::Cut,
        };
        let fault = Fault::Byte(way, random.below(bytes), damage);
        let end = update(case, fault);
        let overcome = ("success", "the new model");
        assert!(!is_overcome(fault) || end == overcome, "{fault:?}: {end:?}");
        *ends.entry(end).or_default() += 1;
    }
    print("at random bytes", &ends);
    assert!(ends.contains_key(&("cut", "the old model")));
}

#[test]
fn in_every_operation_of_the_flash() {
    let mut ends = Ends::new();
    let mut all = 0;
    for case in cases() {
        all += case.operations;
        for number in 0..case.operations {
            let restarts = (0..=8).map(Mishap::Restart);
            let gone = (0..=8).map(Mishap::PowerGone);
            for mishap in restarts.chain(gone).chain([Mishap::Refused, Mishap::Worn]) {
                let end = update(&case, Fault::Operation(number, mishap));
                match mishap {
                    Mishap::Restart(_) | Mishap::Refused => {
                        assert_eq!(end.0, "success", "{number} {mishap:?}");
                    }
                    Mishap::PowerGone(_) => assert!(end.0.starts_with("link-"), "{end:?}"),
                    Mishap::Worn => assert_eq!(end, ("link-refused", "the old model")),
                }
                *ends.entry(end).or_default() += 1;
            }
        }
    }
    print(&format!("in {all} operations of the flash"), &ends);
    assert!(ends.contains_key(&("link-lost", "the old model")));
}

#[test]
fn many_bad_bytes_never_end_in_false_success() {
    let case = case(Spare::Another);
    let mut ends = Ends::new();
    // The line gets worse with every update: one byte in 2,000 to one in 60.
    for n in 0..100 {
        let end = update(
            &case,
            Fault::Noise {
                seed: n,
                one_in: 2_000 >> (n % 6),
            },
        );
        *ends.entry(end).or_default() += 1;
    }
    print("many bad bytes", &ends);
    assert!(ends.contains_key(&("success", "the new model")));
}
