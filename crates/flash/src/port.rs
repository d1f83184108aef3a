//! Why there is no port to talk over: a name, a sentence, next steps. Page and command line share it.

/// What stands between the host and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PortTrouble {
    /// Another program has it.
    Busy,
    /// The operating system says no.
    NoPermission,
    /// There is none of that name.
    NotFound,
    /// It can't be opened, and nobody says why: browsers don't.
    NotOpened,
    /// This page has it open already.
    OpenHere,
    /// The browser lets this page use no port at all.
    NotAllowed,
    /// The browser's list was closed without a choice.
    NotChosen,
    /// It was unplugged, or closed from outside.
    Lost,
    /// The board restarted, and its port did not come back.
    Away,
}

impl PortTrouble {
    const ALL: [Self; 9] = [
        Self::Busy,
        Self::NoPermission,
        Self::NotFound,
        Self::NotOpened,
        Self::OpenHere,
        Self::NotAllowed,
        Self::NotChosen,
        Self::Lost,
        Self::Away,
    ];

    /// Stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Busy => "port-busy",
            Self::NoPermission => "port-no-permission",
            Self::NotFound => "port-not-found",
            Self::NotOpened => "port-not-opened",
            Self::OpenHere => "port-open-here",
            Self::NotAllowed => "port-not-allowed",
            Self::NotChosen => "port-not-chosen",
            Self::Lost => "port-lost",
            Self::Away => "port-away",
        }
    }

    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trouble| trouble.code() == code)
    }

    /// What is the matter, in a sentence.
    pub fn message(self) -> &'static str {
        match self {
            Self::Busy => "Another program has the port open.",
            Self::NoPermission => "You have no permission to use the port.",
            Self::NotFound => "There is no such port.",
            Self::NotOpened => "The port could not be opened.",
            Self::OpenHere => "This page already has the port open.",
            Self::NotAllowed => "This page may not use serial ports here.",
            Self::NotChosen => "No port was chosen.",
            Self::Lost => "The board was unplugged, or its port was closed.",
            Self::Away => "The board restarted, and its port has not come back.",
        }
    }

    /// What to do first, in a sentence.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Busy | Self::NotOpened => {
                "Close other programs that may hold the port (serial monitor, IDE, another page or tab) and try again."
            }
            Self::NoPermission => {
                "On Linux, add yourself to the group that owns the port (sudo usermod -aG dialout $USER), log out and in, and try again."
            }
            Self::NotFound | Self::NotChosen => {
                "Plug the board in, with a cable that carries data. If no port appears, install the driver of its USB bridge (CP210x or CH34x)."
            }
            Self::OpenHere => "Disconnect first, then try again.",
            Self::NotAllowed => {
                "Open it over https or on localhost; inside a frame, the frame needs allow=\"serial\"."
            }
            Self::Lost => {
                "Plug the board in again, choose its port and flash again: what is already there is skipped."
            }
            Self::Away => {
                "A board may come back as another port: choose its new one. If none appears, press RESET, or unplug the board and plug it in again."
            }
        }
    }

    /// Everything to try, likeliest first. Where nobody says why a port can't be had, on Linux it may be
    /// the user's rights.
    pub fn remedies(self, linux: bool) -> Vec<&'static str> {
        let may_be_rights = matches!(self, Self::NotOpened | Self::NotChosen);
        let rights = (linux && may_be_rights).then(|| Self::NoPermission.remedy());
        [self.remedy()].into_iter().chain(rights).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_rights_are_a_matter_of_linux() {
        for trouble in PortTrouble::ALL {
            assert_eq!(PortTrouble::of_code(trouble.code()), Some(trouble));
        }
        assert_eq!(PortTrouble::of_code("no-answer"), None);
        let dialout = |trouble: PortTrouble, linux| {
            let all = trouble.remedies(linux);
            all.iter().filter(|text| text.contains("dialout")).count()
        };
        assert_eq!(dialout(PortTrouble::NotOpened, true), 1);
        assert_eq!(dialout(PortTrouble::NotOpened, false), 0);
        assert_eq!(dialout(PortTrouble::NoPermission, true), 1);
        assert_eq!(dialout(PortTrouble::Lost, true), 0);
    }
}
