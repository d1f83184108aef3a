//! What happens when something is wrong: text on both lines, then a restart, so that the link comes
//! back by itself.

use core::cell::UnsafeCell;
use core::fmt::Write;
use core::panic::PanicInfo;

use crate::console::Console;
use crate::soc;

/// Whether a report is under way: a fault in the report itself must not start another.
struct Reporting(UnsafeCell<bool>);
// SAFETY: interrupts are off; only the exception vectors can come in between, and they end here. If
// both cores have something to report at once, texts get mixed up, and the chip restarts.
unsafe impl Sync for Reporting {}
static REPORTING: Reporting = Reporting(UnsafeCell::new(false));

fn report(write: impl FnOnce(&mut Console) -> core::fmt::Result) -> ! {
    // SAFETY: see `Reporting`.
    let nested = unsafe { REPORTING.0.get().replace(true) };
    if !nested {
        let mut console = Console::new();
        let _ = write(&mut console);
        let _ = writeln!(console, "Fixpoint: restarting");
        soc::wait(500);
    }
    soc::restart()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    // As `info` itself would be written, but for the width that a `str` may be padded to: that takes 700 bytes.
    report(|console| {
        console.write_str("\nFixpoint: panicked at ")?;
        if let Some(place) = info.location() {
            console.write_str(place.file())?;
            write!(console, ":{}:{}:\n", place.line(), place.column())?;
        }
        writeln!(console, "{}", info.message())
    })
}

/// Called by `vectors.S` on the panic stack.
///
/// `vector`: 0 and 1 exceptions, 2 to 7 interrupts of that level, 8 a double exception, 0x100 and
/// above a window exception.
#[unsafe(no_mangle)]
extern "C" fn exception_report(
    vector: u32,
    cause: u32,
    epc: u32,
    address: u32,
    stack: u32,
    caller: u32,
) -> ! {
    report(|console| {
        write!(console, "\nFixpoint: exception {cause} (")?;
        console.write_str(cause_name(cause))?;
        writeln!(
            console,
            ") at {epc:#010x}, address {address:#010x}, \
             vector {vector:#x}, stack {stack:#010x}, called from {caller:#010x}"
        )
    })
}

/// Names from the Xtensa ISA reference, EXCCAUSE.
fn cause_name(cause: u32) -> &'static str {
    match cause {
        0 => "illegal instruction",
        2 => "instruction fetch error",
        3 => "load or store error",
        6 => "integer division by zero",
        9 => "unaligned load or store",
        12 | 14 => "bad data from instruction fetch",
        13 | 15 => "bad data from load or store",
        20 => "instruction fetch prohibited",
        28 => "load prohibited",
        29 => "store prohibited",
        32..=39 => "coprocessor disabled",
        _ => "see EXCCAUSE",
    }
}

const CANARY: u32 = 0xF1B0_57AC;

// SAFETY: the linker script defines them, the lowest words of both cores' stacks.
unsafe extern "C" {
    static mut _stack_bottom: u32;
    static mut _second_stack_bottom: u32;
}

/// Marks the ends of the stacks.
pub(crate) fn guard_stacks() {
    // SAFETY: words of the stack regions nothing else uses unless a stack overflows.
    unsafe {
        (&raw mut _stack_bottom).write_volatile(CANARY);
        (&raw mut _second_stack_bottom).write_volatile(CANARY);
    }
}

/// Panics when a stack has grown to its end.
pub(crate) fn check_stacks() {
    // SAFETY: as above.
    let words = unsafe {
        [
            (&raw const _stack_bottom).read_volatile(),
            (&raw const _second_stack_bottom).read_volatile(),
        ]
    };
    assert!(words == [CANARY; 2], "a stack has overflowed");
}
