//! One run: cycles per layer, and a sign of life now and then.

use fixpoint_protocol::{Reply, Sink};
use fixpoint_runtime::Observer;

/// The CPU's cycle counter.
pub trait Clock {
    /// Cycles since any moment; wraps. A layer that takes longer than 2^32 cycles is counted short.
    fn cycles(&mut self) -> u32;
}

impl<F: FnMut() -> u32> Clock for F {
    fn cycles(&mut self) -> u32 {
        self()
    }
}

/// Measures a run. Time spent sending is in no count.
pub(crate) struct Meter<'s, C, S: ?Sized> {
    pub(crate) clock: &'s mut C,
    pub(crate) sink: &'s mut S,
    pub(crate) sequence: u16,
    /// Layers of the model.
    pub(crate) layers: u16,
    /// Cycles between two signs of life.
    pub(crate) interval: u32,
    pub(crate) per_layer: &'s mut [u32],
    /// Sum over everything between start and end of the run, other pieces of it included.
    pub(crate) total: u64,
    mark: u32,
    layer_mark: u64,
    silent: u64,
}

impl<'s, C: Clock, S: Sink + ?Sized> Meter<'s, C, S> {
    /// Of a run that has come to layer `done` in `total` cycles.
    pub(crate) fn start(
        clock: &'s mut C,
        sink: &'s mut S,
        sequence: u16,
        (done, total): (u16, u64),
        layers: u16,
        interval: u32,
        per_layer: &'s mut [u32],
    ) -> Self {
        let mut meter = Meter {
            clock,
            sink,
            sequence,
            layers,
            interval,
            per_layer,
            total,
            mark: 0,
            layer_mark: 0,
            silent: 0,
        };
        meter.tell(done);
        meter
    }

    pub(crate) fn lap(&mut self) {
        let now = self.clock.cycles();
        self.total += u64::from(now.wrapping_sub(self.mark));
        self.mark = now;
    }

    fn tell(&mut self, done: u16) {
        let progress = Reply::Progress {
            done,
            layers: self.layers,
        };
        // A progress message has four bytes and is never too long.
        let _ = progress.write(self.sequence, self.sink);
        self.silent = self.total;
        self.mark = self.clock.cycles();
    }
}

impl<C: Clock, S: Sink + ?Sized> Observer for Meter<'_, C, S> {
    fn layer_start(&mut self, _index: usize) {
        self.lap();
        self.layer_mark = self.total;
    }

    fn layer_done(&mut self, index: usize, _output: &[u8]) {
        self.lap();
        if let Some(count) = self.per_layer.get_mut(index) {
            *count = u32::try_from(self.total - self.layer_mark).unwrap_or(u32::MAX);
        }
        if self.total - self.silent >= u64::from(self.interval) {
            self.tell(u16::try_from(index + 1).unwrap_or(u16::MAX));
        }
    }
}
