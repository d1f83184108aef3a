//! Data exchange (manual, section 1.6.3) and dedicated GPIO (1.6.9).

use super::word::rows;
use super::{Lane, Width};
use crate::table::Class;

/// Moves between registers, and to and from the dedicated GPIO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    Movi32A,
    Movi32Q,
    MvQr,
    Vzip(Width),
    Vunzip(Width),
    ZeroQ,
    ZeroQacc,
    ZeroAccx,
    MovQacc(Lane),
    WrMaskGpioOut,
    SetBitGpioOut,
    ClrBitGpioOut,
    GetGpioIn,
}

impl Exchange {
    const fn class(self) -> Class {
        Class::Vector
    }
}

rows! { Exchange {
    ClrBitGpioOut: "ee.clr_bit_gpio_out imm256"
        "011101100100 imm256[7:0] 0100";
    GetGpioIn: "ee.get_gpio_in au"
        "0110010100001000 au[3:0] 0100";
    MovQacc(Lane::S16): "ee.mov.s16.qacc qs"
        "11 qs[2:1] 1101 qs[0] 111111100100100";
    MovQacc(Lane::S8): "ee.mov.s8.qacc qs"
        "11 qs[2:1] 1101 qs[0] 111111100110100";
    MovQacc(Lane::U16): "ee.mov.u16.qacc qs"
        "11 qs[2:1] 1101 qs[0] 111111101100100";
    MovQacc(Lane::U8): "ee.mov.u8.qacc qs"
        "11 qs[2:1] 1101 qs[0] 111111101110100";
    Movi32A: "ee.movi.32.a qs, au, sel4"
        "11 qs[2:1] 1101 qs[0] 111 sel4[1:0] 01 au[3:0] 0100";
    Movi32Q: "ee.movi.32.q qu, as, sel4"
        "11 qu[2:1] 1101 qu[0] 011 sel4[1:0] 10 as[3:0] 0100";
    SetBitGpioOut: "ee.set_bit_gpio_out imm256"
        "011101010100 imm256[7:0] 0100";
    Vunzip(Width::W16): "ee.vunzip.16 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001110000100";
    Vunzip(Width::W32): "ee.vunzip.32 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001110010100";
    Vunzip(Width::W8): "ee.vunzip.8 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001110100100";
    Vzip(Width::W16): "ee.vzip.16 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001110110100";
    Vzip(Width::W32): "ee.vzip.32 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001111000100";
    Vzip(Width::W8): "ee.vzip.8 qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 001111010100";
    WrMaskGpioOut: "ee.wr_mask_gpio_out as, ax"
        "011100100100 ax[3:0] as[3:0] 0100";
    ZeroAccx: "ee.zero.accx"
        "001001010000100000000100";
    ZeroQ: "ee.zero.q qa"
        "11 qa[2:1] 1101 qa[0] 111111110100100";
    ZeroQacc: "ee.zero.qacc"
        "001001010000100001000100";
    MvQr: "mv.qr qu, qs"
        "10 qu[2:1] 1111 qu[0] 000 qs[2:1] 0000 qs[0] 00100";
} }
