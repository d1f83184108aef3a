//! Numbers for what a board can't do. They never change meaning; sentences for them are the host's.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal),* $(,)?) => {
        /// Why a board refused a request, or has no model to run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A number this version of the crate doesn't know.
            Other(u16),
        }

        impl ErrorCode {
            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self {
                    $(ErrorCode::$name => $number,)*
                    ErrorCode::Other(number) => number,
                }
            }

            /// The code with this number.
            pub const fn from_number(number: u16) -> Self {
                match number {
                    $($number => ErrorCode::$name,)*
                    other => ErrorCode::Other(other),
                }
            }

            /// Every code with a name.
            pub const NAMED: &'static [ErrorCode] = &[$(ErrorCode::$name),*];
        }
    };
}

codes! {
    /// The payload doesn't fit its kind.
    BadRequest = 1,
    /// The firmware doesn't know this kind of request. Detail: the kind.
    UnknownRequest = 2,
    /// The firmware speaks another version. Detail: its version.
    OtherVersion = 3,
    /// There is no runnable model; `Info` says why.
    NoModel = 4,
    /// No input, output or layer with that number. Detail: how many there are.
    NoSuchItem = 5,
    /// Offset and length reach beyond the tensor. Detail: its bytes.
    OutOfRange = 6,
    /// Input pieces came out of order. Detail: the offset expected next in that input.
    InputGap = 7,
    /// `Run` without every input written since the last run. Detail: the first incomplete input.
    InputMissing = 8,
    /// Outputs or profile asked for and there is no finished run, or inputs were written since.
    NoResult = 9,
    /// The runtime stopped in the middle; the text says why.
    RunFailed = 10,
    /// The request is known and this firmware can't do it.
    Unsupported = 11,

    /// There is no place for a second model, or its flash can't be written here. Detail: bytes of that place, 0.
    NoModelSlot = 12,
    /// The model is larger than its place. Detail: bytes there are.
    ModelTooBig = 13,
    /// Pieces of a model came out of order, or without `ModelBegin`. Detail: the offset expected next.
    ModelGap = 14,
    /// What was written is not a model that can run here, or not the one announced; the text says why.
    ModelBroken = 15,
    /// The flash did not take what was written. Detail: offset in the model's place.
    FlashFailed = 16,

    /// No partition table, or none that lists a model partition.
    NoModelPartition = 32,
    /// Every model partition is blank: nothing has been written yet.
    ModelBlank = 33,
    /// The image in the model partition was refused; the text says why.
    ModelRefused = 34,
    /// The model needs more memory than there is. Detail: bytes it needs.
    ArenaTooSmall = 35,
    /// The image could not be mapped into the address space. Detail: its flash offset.
    ModelUnmapped = 36,
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn every_number_names_its_code() {
        for &code in ErrorCode::NAMED {
            assert_eq!(ErrorCode::from_number(code.number()), code);
            assert_ne!(code.number(), 0, "0 means: no error");
        }
        assert_eq!(ErrorCode::from_number(999), ErrorCode::Other(999));
        assert_eq!(ErrorCode::Other(999).number(), 999);
    }
}
