//! The vector instructions of the ESP32-S3 ("processor instruction extensions", PIE).

use crate::table::Row;

/// The vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pie {}

impl Pie {
    /// Their lines of the table.
    pub const ROWS: &'static [Row] = &[];

    /// The instruction's line.
    pub fn row(self) -> &'static Row {
        match self {}
    }
}

/// The user register's name in assembly.
pub const fn user_register_name(_number: u8) -> Option<&'static str> {
    None
}
