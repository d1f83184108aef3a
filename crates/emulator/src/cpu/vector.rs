//! The registers of the vector unit (ESP32-S3 Technical Reference Manual, Processor Instruction
//! Extensions, section 1.5.1).

use super::pie::Qacc;

/// State of the vector unit. Bits of a register are the bits of the number here, bit 0 in bit 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vector {
    /// QR: eight registers of 128 bits.
    pub q: [u128; 8],
    /// ACCX: 40 bits, the others zero.
    pub accx: u64,
    /// QACC_L and QACC_H.
    pub qacc: Qacc,
    /// SAR_BYTE: 4 bits.
    pub sar_byte: u8,
    /// FFT_BIT_WIDTH: 4 bits.
    pub fft_bit_width: u8,
    /// UA_STATE: 128 bits.
    pub ua_state: u128,
    /// GPIO_OUT: the eight dedicated output bits.
    pub gpio_out: u8,
    /// GPIO_IN: the eight dedicated input bits, which the world outside sets.
    pub gpio_in: u8,
}
