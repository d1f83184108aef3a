//! The watchdogs: one in the RTC domain, one in each timer group, and the super watchdog (ESP32-S3
//! Technical Reference Manual, Watchdog Timers).

/// What unlocks a watchdog's registers.
const KEY: u32 = 0x50D8_3AA1;
const SWD_KEY: u32 = 0x8F1D_312A;
const ENABLE: u32 = 1 << 31;

/// Hz of the RTC's slow clock, which is an RC oscillator.
const RTC_SLOW_HZ: u64 = 136_000;
const APB_HZ: u64 = 80_000_000;
/// Nanoseconds without a feed that the super watchdog suffers: a bit less than a second.
const SWD_PATIENCE_NS: u64 = 900_000_000;

/// Which watchdog it is decides its clock and the place of its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rtc,
    TimerGroup,
}

/// A watchdog with four stages.
#[derive(Clone, Debug)]
pub(super) struct Watchdog {
    kind: Kind,
    config: u32,
    /// Clock divider, of the timer groups' only.
    prescale: u32,
    stages: [u32; 4],
    protect: u32,
    /// Nanoseconds since boot when it was last fed.
    fed_ns: u64,
}

impl Watchdog {
    /// The RTC watchdog as the bootloader leaves it: it resets the chip after nine seconds.
    pub(super) fn rtc() -> Self {
        Self {
            kind: Kind::Rtc,
            // Stage 0 resets everything.
            config: ENABLE | 4 << 28,
            prescale: 1,
            stages: [(9 * RTC_SLOW_HZ) as u32, 0, 0, 0],
            protect: 0,
            fed_ns: 0,
        }
    }

    /// A timer group's watchdog as the bootloader leaves it: off.
    pub(super) fn timer_group() -> Self {
        Self {
            kind: Kind::TimerGroup,
            config: 0,
            prescale: 1,
            stages: [0; 4],
            protect: 0,
            fed_ns: 0,
        }
    }

    /// By the offset from CONFIG0.
    pub(super) fn read(&self, offset: u32) -> Option<u32> {
        let stages = self.first_stage();
        Some(match offset {
            0 => self.config,
            4 if self.kind == Kind::TimerGroup => self.prescale << 16,
            _ if offset == self.feed() => 0,
            _ if offset == self.feed() + 4 => self.protect,
            _ => *self
                .stages
                .get((offset.checked_sub(stages)? / 4) as usize)?,
        })
    }

    /// By the offset from CONFIG0; a locked register ignores it.
    pub(super) fn write(&mut self, offset: u32, value: u32, now_ns: u64) -> Option<()> {
        let (stages, feed) = (self.first_stage(), self.feed());
        if offset == feed + 4 {
            self.protect = value;
            return Some(());
        }
        self.read(offset)?;
        if self.protect != KEY {
            return Some(());
        }
        match offset {
            0 => {
                if (value & ENABLE) > (self.config & ENABLE) {
                    self.fed_ns = now_ns;
                }
                self.config = value;
            }
            4 if self.kind == Kind::TimerGroup => self.prescale = (value >> 16).max(1),
            _ if offset == feed => self.fed_ns = now_ns,
            _ => *self.stages.get_mut(((offset - stages) / 4) as usize)? = value,
        }
        Some(())
    }

    fn first_stage(&self) -> u32 {
        match self.kind {
            Kind::Rtc => 4,
            Kind::TimerGroup => 8,
        }
    }

    fn feed(&self) -> u32 {
        self.first_stage() + 16
    }

    /// Whether a stage that resets has been reached.
    pub(super) fn bites(&self, now_ns: u64) -> bool {
        if self.config & ENABLE == 0 {
            return false;
        }
        // Action of a stage: three bits from 30 down, or two. From `reset` on, it resets something.
        let (hz, width, reset) = match self.kind {
            Kind::Rtc => (RTC_SLOW_HZ, 3, 2),
            Kind::TimerGroup => (APB_HZ / u64::from(self.prescale), 2, 2),
        };
        let ticks = u128::from(now_ns - self.fed_ns) * u128::from(hz) / 1_000_000_000;
        let mut due = 0u128;
        for (stage, &hold) in (1..).zip(&self.stages) {
            due += u128::from(hold);
            let action = self.config >> (31 - stage * width) & ((1 << width) - 1);
            if ticks < due {
                return false;
            }
            if action >= reset {
                return true;
            }
        }
        false
    }
}

/// The super watchdog, which watches whether the others work.
#[derive(Clone, Debug)]
pub(super) struct SuperWatchdog {
    config: u32,
    protect: u32,
    fed_ns: u64,
}

impl SuperWatchdog {
    const AUTO_FEED: u32 = 1 << 31;
    const DISABLE: u32 = 1 << 30;
    const FEED: u32 = 1 << 29;

    /// As the bootloader leaves it: it feeds itself.
    pub(super) fn new() -> Self {
        Self {
            config: Self::AUTO_FEED | 0x012C_0000,
            protect: 0,
            fed_ns: 0,
        }
    }

    /// CONF at 0, WPROTECT at 4.
    pub(super) fn read(&self, offset: u32) -> u32 {
        match offset {
            0 => self.config,
            _ => self.protect,
        }
    }

    pub(super) fn write(&mut self, offset: u32, value: u32, now_ns: u64) {
        if offset != 0 {
            self.protect = value;
        } else if self.protect == SWD_KEY {
            let free = Self::AUTO_FEED | Self::DISABLE;
            let runs_again = value & free == 0 && self.config & free != 0;
            if value & Self::FEED != 0 || runs_again {
                self.fed_ns = now_ns;
            }
            self.config = value & !Self::FEED;
        }
    }

    pub(super) fn bites(&self, now_ns: u64) -> bool {
        let runs = self.config & (Self::AUTO_FEED | Self::DISABLE) == 0;
        runs && now_ns - self.fed_ns > SWD_PATIENCE_NS
    }
}
