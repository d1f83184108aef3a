//! The host's side: a client without I/O. The caller owns the port and the clock.
//!
//! ```text
//! client.connect();
//! loop {
//!     match client.poll(now_ms) {
//!         Action::Write(bytes)         => write them all, then poll again
//!         Action::WaitUntil(until_ms)  => read the port until then, or until bytes come
//!                                         (client.on_bytes), then poll again
//!         Action::Event(event)         => show it, then poll again
//!         Action::Done                 => the job is finished: start another, or keep polling
//!                                         from time to time for console text
//!         Action::Failed(error)        => the job is over; the client can be used again
//!     }
//! }
//! ```

mod client;
mod console;
mod diagnosis;
mod error;
mod job;
mod update;
mod work;

pub use client::{Action, Event, LinkClient, Options};
pub use diagnosis::{Diagnosis, Wanted, other_chip};
pub use error::LinkError;
pub use job::{Board, Inference, Layer, Model, Problem, Tensor};
