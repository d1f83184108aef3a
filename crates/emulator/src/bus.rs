//! What a core sees of the rest of the machine.

use crate::Trap;

/// Memory and peripherals. Addresses of wider accesses may be unaligned: whether that is allowed is
/// the core's business, and it has asked before.
pub trait Bus {
    /// Four bytes of code from `address` on; bytes that lie beyond the end of memory are zero as
    /// long as the first is inside.
    ///
    /// # Errors
    /// When no code can be at `address`.
    fn fetch(&mut self, address: u32) -> Result<[u8; 4], Trap>;

    /// Whether the machine wants the core to stand still after what it is doing: code has changed, or
    /// a peripheral has something to tell.
    fn event(&self) -> bool;

    /// Cycles that the core has waited for memory since the machine let it go on.
    fn waited(&self) -> u64 {
        0
    }

    /// # Errors
    /// As all loads and stores: when nothing is modelled at `address`, or the access is an exception.
    fn load8(&mut self, address: u32) -> Result<u8, Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn load16(&mut self, address: u32) -> Result<u16, Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn load32(&mut self, address: u32) -> Result<u32, Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn load64(&mut self, address: u32) -> Result<u64, Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn load128(&mut self, address: u32) -> Result<u128, Trap>;

    /// # Errors
    /// See [`Bus::load8`].
    fn store8(&mut self, address: u32, value: u8) -> Result<(), Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn store16(&mut self, address: u32, value: u16) -> Result<(), Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn store32(&mut self, address: u32, value: u32) -> Result<(), Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn store64(&mut self, address: u32, value: u64) -> Result<(), Trap>;
    /// # Errors
    /// See [`Bus::load8`].
    fn store128(&mut self, address: u32, value: u128) -> Result<(), Trap>;
}
