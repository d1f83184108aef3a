//! How a command fails: a sentence, a next step, and the exit code that scripts look at.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use fixpoint_dataset::DatasetError;
use fixpoint_quant::{ImportError, QuantError, SimulateError};

/// An error on its way to the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
    code: u8,
}

impl Failure {
    /// Something went wrong: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            code: 1,
        }
    }

    /// The command can't be meant so: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    /// Adds what to do next.
    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// A file that can't be read or written.
    pub(crate) fn io(action: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(format!("can't {action} {}: {error}", path.display()))
    }

    /// Names the file that the error is about.
    pub(crate) fn about(self, path: &Path) -> Self {
        Self {
            message: format!("{}: {}", path.display(), self.message),
            ..self
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl From<ImportError> for Failure {
    fn from(e: ImportError) -> Self {
        Self::new(e.to_string())
    }
}

impl From<QuantError> for Failure {
    fn from(e: QuantError) -> Self {
        let help = matches!(e, QuantError::Model(_))
            .then(|| "'fixpoint inspect' lists every node with what is supported".to_owned());
        Self {
            message: e.to_string(),
            help,
            code: 1,
        }
    }
}

impl From<SimulateError> for Failure {
    fn from(e: SimulateError) -> Self {
        Self::new(e.to_string())
    }
}

impl From<DatasetError> for Failure {
    fn from(e: DatasetError) -> Self {
        let help = e.help().map(str::to_owned);
        Self {
            help,
            ..Self::new(e.to_string())
        }
    }
}
