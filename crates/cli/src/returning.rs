//! Boards whose USB is the chip's own: it leaves the bus with a restart and comes back, perhaps as another
//! port. What was begun goes on there, as the page does it.

use fixpoint_flash::{FlashError, FlashPlan, Flasher, Link, Options, Outcome, Phase, PortTrouble};
use fixpoint_protocol::host::{Event, LinkClient, LinkError};

use crate::failure::Failure;
use crate::port::{CONSOLE_BAUD, Port};
use crate::terminal::note;

#[cfg(test)]
mod tests;

/// Times that a port is waited for in one job.
const RETURNS: usize = 3;

/// Waits for the port, and says so.
pub(crate) fn wait(port: &mut Port) -> bool {
    note("the board restarts and takes its USB port along; waiting for it to come back");
    port.returned()
}

/// Runs a session to its end, and again where the port went away in it: what is on the board by then is
/// skipped. `show` is called after every step.
pub(crate) fn flash(
    port: &mut Port,
    plan: &FlashPlan,
    mut options: Options,
    mut show: impl FnMut(&mut Flasher),
) -> Result<Outcome, Failure> {
    for returns in 0.. {
        let mut flasher = Flasher::new(plan.clone(), options.clone());
        let outcome = port.flash(&mut flasher, &mut show)?;
        let lost = matches!(outcome, Err(FlashError::PortLost { .. }));
        if !lost || !port.is_away() || returns == RETURNS {
            return Ok(outcome);
        }
        // If the reset into the loader took the port along, the loader is what comes back. Later than
        // that the cable was pulled and put back, and the application runs.
        options.ask_first = flasher.progress().phase == Phase::Connecting;
        if !wait(port) {
            let trouble = match options.ask_first {
                true => PortTrouble::Away,
                false => PortTrouble::Lost,
            };
            return Err(Failure::new(trouble.message()).help(trouble.remedy()));
        }
        options.link = port.link();
        if options.link != Link::UartBridge {
            options.baud = CONSOLE_BAUD;
        }
    }
    unreachable!("the loop ends with the last return")
}

/// Connects to the runtime, on whatever port it comes back. The client, and how its attempt ended.
pub(crate) fn greet(
    port: &mut Port,
    mut show: impl FnMut(Event),
) -> Result<(LinkClient, Result<(), LinkError>), Failure> {
    let mut returns = 0;
    loop {
        let mut client = LinkClient::default();
        client.connect();
        match port.converse(&mut client, &mut show) {
            Ok(outcome) => return Ok((client, outcome)),
            Err(_) if port.is_away() && returns < RETURNS && wait(port) => returns += 1,
            Err(failure) => return Err(failure),
        }
    }
}
