//! Signal sequences, as data. `true` = asserted = pin low; RTS drives EN and DTR drives IO0.
//!
//! Every change of RTS is sent twice: Windows' usbser.sys only passes RTS on with the next write
//! of DTR. The repeats change nothing elsewhere.

use crate::flasher::Link;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Signals { dtr: bool, rts: bool },
    DelayMs(u64),
}

const fn signals(dtr: bool, rts: bool) -> Step {
    Step::Signals { dtr, rts }
}

macro_rules! bridge_reset {
    ($hold:expr) => {
        &[
            signals(false, true),
            signals(false, true),
            Step::DelayMs(100),
            signals(true, false),
            signals(true, false),
            Step::DelayMs($hold),
            signals(false, false),
        ]
    };
}

const BRIDGE: &[Step] = bridge_reset!(50);
/// For boards with a large capacitor on EN.
const BRIDGE_SLOW: &[Step] = bridge_reset!(550);
/// For drivers that change both lines in one call: passes through both asserted, which the
/// two transistors treat as neither.
const BRIDGE_ATOMIC: &[Step] = &[
    signals(false, false),
    signals(true, true),
    signals(false, true),
    signals(false, true),
    Step::DelayMs(100),
    signals(true, false),
    signals(true, false),
    Step::DelayMs(50),
    signals(false, false),
];
/// The USB peripheral: (DTR 1, RTS 0) asks for the loader, then RTS 1 with DTR 0 resets. The way
/// there goes through both asserted, since both released would withdraw the request.
const USB_JTAG: &[Step] = &[
    signals(false, false),
    Step::DelayMs(100),
    signals(true, false),
    Step::DelayMs(100),
    signals(true, true),
    signals(true, true),
    signals(false, true),
    signals(false, true),
    Step::DelayMs(100),
    signals(false, false),
    signals(false, false),
];

/// Restarts into the application. Asserts first: only releasing RTS restarts nothing.
const BRIDGE_RUN: &[Step] = &[
    signals(false, true),
    signals(false, true),
    Step::DelayMs(100),
    signals(false, false),
    signals(false, false),
];
const USB_JTAG_RUN: &[Step] = &[
    signals(false, true),
    signals(false, true),
    Step::DelayMs(200),
    signals(false, false),
    signals(false, false),
    Step::DelayMs(200),
];

/// Into the loader; successive attempts try different sequences.
pub(crate) fn into_loader(link: Link, attempt: usize) -> &'static [Step] {
    match link {
        Link::UartBridge => [BRIDGE, BRIDGE_SLOW, BRIDGE_ATOMIC][attempt % 3],
        Link::UsbSerialJtag => USB_JTAG,
        Link::UsbOtg | Link::Plain => &[],
    }
}

/// Into the application.
pub(crate) fn into_application(link: Link) -> &'static [Step] {
    match link {
        Link::UartBridge => BRIDGE_RUN,
        Link::UsbSerialJtag => USB_JTAG_RUN,
        Link::UsbOtg | Link::Plain => &[],
    }
}
