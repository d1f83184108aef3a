//! After the writing: out of the loader, and a look whether the application is there.

use crate::chip;
use crate::connect::FIRST_BAUD;
use crate::error::FlashError;
use crate::flasher::{Link, Options, Phase, Start};
use crate::line::Line;
use crate::loader::Loader;
use crate::reset;
use fixpoint_protocol::{BUFFER_BYTES, Decoder, Reply, Request, Step};

/// Enough for a boot with a checked application and model.
const PATIENCE_MS: u64 = 3_000;
const HELLO_EVERY_MS: u64 = 250;

/// Where there are no reset lines but USB: through the watchdog, while the loader still listens.
pub(crate) async fn through_watchdog(loader: &Loader) -> Start {
    loader.line.phase(Phase::Restarting);
    // The answer, or the whole port, may be lost to the reset.
    match loader.write_registers(&chip::WATCHDOG_RESET).await {
        Ok(()) => match loader.line.sleep(500).await {
            Err(FlashError::PortLost { .. }) => Start::PortChanges,
            _ => Start::Silent,
        },
        Err(_) if loader.line.state().closed => Start::PortChanges,
        Err(_) => Start::NotTried,
    }
}

/// Plays the reset into the application, even when the session was cancelled; tells whether it
/// could. [`listen`] says what came of it.
pub(crate) async fn through_lines(line: &Line, options: &Options) -> bool {
    if !options.reset_after || !options.link.has_reset_lines() {
        return false;
    }
    {
        let mut state = line.state();
        state.cancelled = false;
        state.progress.phase = Phase::Restarting;
    }
    line.set_baud(FIRST_BAUD);
    line.forget_log();
    match line.play(reset::into_application(options.link)).await {
        // A chip's own USB may leave the bus with the chip, which has restarted then.
        Err(FlashError::PortLost { .. }) => options.link == Link::UsbSerialJtag,
        outcome => outcome.is_ok(),
    }
}

/// Asks for the runtime until it answers, and reads the boot log meanwhile. `foreign`: there is none, and
/// text is enough.
pub(crate) async fn listen(line: &Line, link: Link, foreign: bool) -> Start {
    line.state().raw = Some(Vec::new());
    let start = ask(line, foreign).await;
    line.state().raw = None;
    match start {
        Ok(start) => start,
        Err(_) if link == Link::UsbSerialJtag => Start::PortChanges,
        Err(_) => Start::Silent,
    }
}

async fn ask(line: &Line, foreign: bool) -> Result<Start, FlashError> {
    let end = line.state().now_ms + PATIENCE_MS;
    let mut decoder = Decoder::new(vec![0; BUFFER_BYTES]);
    let mut hello = Vec::new();
    // A request without payload always fits its frame.
    let _ = Request::Hello.write(0, &mut hello);
    while line.state().now_ms < end {
        // The first one only when the boot log is over or nothing comes: it is text time before.
        let until = line.state().now_ms + HELLO_EVERY_MS;
        while let Some(bytes) = line.bytes(until).await? {
            for byte in bytes {
                match decoder.push(byte) {
                    Step::Frame(frame) => {
                        if matches!(Reply::read(&frame), Ok(Some(Reply::Info(_)))) {
                            return Ok(Start::Running);
                        }
                    }
                    Step::Text(text) => line.text(text),
                    Step::More | Step::Dropped(_) => {}
                }
            }
        }
        if !foreign {
            line.send(hello.clone()).await?;
        } else if line.log().1 > 0 {
            break;
        }
    }
    let (log, bytes) = line.log();
    Ok(if log.contains("waiting for download") {
        Start::Loader
    } else if bytes > 0 {
        Start::Booting
    } else {
        Start::Silent
    })
}
