//! Loads and stores (manual, sections 1.6.1 and 1.6.2). All of them clear the low bits of the address
//! to the size of the access.

use super::word::rows;
use super::{Lane, Width};
use crate::table::Class;

/// What the address register steps by after the access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A number.
    Ip,
    /// Another register.
    Xp,
}

/// The same, for broadcasts, which can leave the address register alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broadcast {
    Still,
    Ip,
    Xp,
}

/// A half of a vector or of QACC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Low,
    High,
}

/// A part of a half of QACC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bits 127 to 0.
    Low128,
    /// Bits 159 to 128.
    Top32,
}

/// Loads and stores without arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    Vld128(Step),
    Vld64(Half, Step),
    Vldbc(Width, Broadcast),
    Vldhbc16,
    Ldf128(Step),
    Ldf64(Step),
    Ld128Usar(Step),
    Ldqa(Lane, Step),
    LdQacc(Half, Part),
    LdAccx,
    LdUaState,
    Ldxq32,
    LdQr,
    Vst128(Step),
    Vst64(Half, Step),
    Stf128(Step),
    Stf64(Step),
    StQacc(Half, Part),
    StAccx,
    StUaState,
    Stxq32,
    StQr,
}

impl Memory {
    const fn class(self) -> Class {
        match self {
            Self::Vst128(_)
            | Self::Vst64(..)
            | Self::Stf128(_)
            | Self::Stf64(_)
            | Self::StQacc(..)
            | Self::StAccx
            | Self::StUaState
            | Self::Stxq32
            | Self::StQr => Class::VectorStore,
            _ => Class::VectorLoad,
        }
    }
}

rows! { Memory {
    Ld128Usar(Step::Ip): "ee.ld.128.usar.ip qu, as, imm16"
        "1 imm16[7] qu[2:1] 0001 qu[0] imm16[6:0] as[3:0] 0100";
    Ld128Usar(Step::Xp): "ee.ld.128.usar.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 000 ad[3:0] as[3:0] 0100";
    LdAccx: "ee.ld.accx.ip as, imm8"
        "0 imm8[7] 0011100 imm8[6:0] as[3:0] 0100";
    LdQacc(Half::High, Part::Top32): "ee.ld.qacc_h.h.32.ip as, imm4"
        "0 imm4[7] 0111100 imm4[6:0] as[3:0] 0100";
    LdQacc(Half::High, Part::Low128): "ee.ld.qacc_h.l.128.ip as, imm16"
        "0 imm16[7] 0001100 imm16[6:0] as[3:0] 0100";
    LdQacc(Half::Low, Part::Top32): "ee.ld.qacc_l.h.32.ip as, imm4"
        "0 imm4[7] 0101100 imm4[6:0] as[3:0] 0100";
    LdQacc(Half::Low, Part::Low128): "ee.ld.qacc_l.l.128.ip as, imm16"
        "0 imm16[7] 0000000 imm16[6:0] as[3:0] 0100";
    LdUaState: "ee.ld.ua_state.ip as, imm16"
        "0 imm16[7] 0100000 imm16[6:0] as[3:0] 0100";
    Ldf128(Step::Ip): "ee.ldf.128.ip fu3, fu2, fu1, fu0, as, imm16f"
        "10000 fu3[3:1] fu0[3:0] fu3[0] fu2[3:1] fu1[3:0] imm16f[3:0] as[3:0] 111 fu2[0]";
    Ldf128(Step::Xp): "ee.ldf.128.xp fu3, fu2, fu1, fu0, as, ad"
        "10001 fu3[3:1] fu0[3:0] fu3[0] fu2[3:1] fu1[3:0] ad[3:0] as[3:0] 111 fu2[0]";
    Ldf64(Step::Ip): "ee.ldf.64.ip fu1, fu0, as, imm8"
        "111000 imm8[7:6] fu0[3:0] imm8[5:2] fu1[3:0] 010 imm8[0] as[3:0] 111 imm8[1]";
    Ldf64(Step::Xp): "ee.ldf.64.xp fu1, fu0, as, ad"
        "fu0[3:0] 0110 fu1[3:0] ad[3:0] as[3:0] 0000";
    Ldqa(Lane::S16, Step::Ip): "ee.ldqa.s16.128.ip as, imm16"
        "0 imm16[7] 0000010 imm16[6:0] as[3:0] 0100";
    Ldqa(Lane::S16, Step::Xp): "ee.ldqa.s16.128.xp as, ad"
        "011111100100 ad[3:0] as[3:0] 0100";
    Ldqa(Lane::S8, Step::Ip): "ee.ldqa.s8.128.ip as, imm16"
        "0 imm16[7] 0100010 imm16[6:0] as[3:0] 0100";
    Ldqa(Lane::S8, Step::Xp): "ee.ldqa.s8.128.xp as, ad"
        "011100010100 ad[3:0] as[3:0] 0100";
    Ldqa(Lane::U16, Step::Ip): "ee.ldqa.u16.128.ip as, imm16"
        "0 imm16[7] 0001010 imm16[6:0] as[3:0] 0100";
    Ldqa(Lane::U16, Step::Xp): "ee.ldqa.u16.128.xp as, ad"
        "011110100100 ad[3:0] as[3:0] 0100";
    Ldqa(Lane::U8, Step::Ip): "ee.ldqa.u8.128.ip as, imm16"
        "0 imm16[7] 0101010 imm16[6:0] as[3:0] 0100";
    Ldqa(Lane::U8, Step::Xp): "ee.ldqa.u8.128.xp as, ad"
        "011100000100 ad[3:0] as[3:0] 0100";
    Ldxq32: "ee.ldxq.32 qu, qs, as, sel4, sel8"
        "1110000 sel4[1] sel8[0] 111 sel4[0] qu[2:0] qs[1:0] sel8[2:1] 1101 as[3:0] 111 qs[2]";
    StAccx: "ee.st.accx.ip as, imm8"
        "0 imm8[7] 0000100 imm8[6:0] as[3:0] 0100";
    StQacc(Half::High, Part::Top32): "ee.st.qacc_h.h.32.ip as, imm4"
        "0 imm4[7] 0100100 imm4[6:0] as[3:0] 0100";
    StQacc(Half::High, Part::Low128): "ee.st.qacc_h.l.128.ip as, imm16"
        "0 imm16[7] 0011010 imm16[6:0] as[3:0] 0100";
    StQacc(Half::Low, Part::Top32): "ee.st.qacc_l.h.32.ip as, imm4"
        "0 imm4[7] 0111010 imm4[6:0] as[3:0] 0100";
    StQacc(Half::Low, Part::Low128): "ee.st.qacc_l.l.128.ip as, imm16"
        "0 imm16[7] 0011000 imm16[6:0] as[3:0] 0100";
    StUaState: "ee.st.ua_state.ip as, imm16"
        "0 imm16[7] 0111000 imm16[6:0] as[3:0] 0100";
    Stf128(Step::Ip): "ee.stf.128.ip fv3, fv2, fv1, fv0, as, imm16f"
        "10010 fv3[3:1] fv0[3:0] fv3[0] fv2[3:1] fv1[3:0] imm16f[3:0] as[3:0] 111 fv2[0]";
    Stf128(Step::Xp): "ee.stf.128.xp fv3, fv2, fv1, fv0, as, ad"
        "10011 fv3[3:1] fv0[3:0] fv3[0] fv2[3:1] fv1[3:0] ad[3:0] as[3:0] 111 fv2[0]";
    Stf64(Step::Ip): "ee.stf.64.ip fv1, fv0, as, imm8"
        "111000 imm8[7:6] fv0[3:0] imm8[5:2] fv1[3:0] 011 imm8[0] as[3:0] 111 imm8[1]";
    Stf64(Step::Xp): "ee.stf.64.xp fv1, fv0, as, ad"
        "fv0[3:0] 0111 fv1[3:0] ad[3:0] as[3:0] 0000";
    Stxq32: "ee.stxq.32 qv, qs, as, sel4, sel8"
        "1110011 sel4[1] sel8[0] qv[2:0] sel4[0] 000 qs[1:0] sel8[2:1] 0000 as[3:0] 111 qs[2]";
    Vld128(Step::Ip): "ee.vld.128.ip qu, as, imm16"
        "1 imm16[7] qu[2:1] 0011 qu[0] imm16[6:0] as[3:0] 0100";
    Vld128(Step::Xp): "ee.vld.128.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 010 ad[3:0] as[3:0] 0100";
    Vld64(Half::High, Step::Ip): "ee.vld.h.64.ip qu, as, imm8"
        "1 imm8[7] qu[2:1] 1000 qu[0] imm8[6:0] as[3:0] 0100";
    Vld64(Half::High, Step::Xp): "ee.vld.h.64.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 110 ad[3:0] as[3:0] 0100";
    Vld64(Half::Low, Step::Ip): "ee.vld.l.64.ip qu, as, imm8"
        "1 imm8[7] qu[2:1] 1001 qu[0] imm8[6:0] as[3:0] 0100";
    Vld64(Half::Low, Step::Xp): "ee.vld.l.64.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 011 ad[3:0] as[3:0] 0100";
    Vldbc(Width::W16, Broadcast::Still): "ee.vldbc.16 qu, as"
        "11 qu[2:1] 1101 qu[0] 1110011 as[3:0] 0100";
    Vldbc(Width::W16, Broadcast::Ip): "ee.vldbc.16.ip qu, as, imm2"
        "10 qu[2:1] 0101 qu[0] imm2[6:0] as[3:0] 0100";
    Vldbc(Width::W16, Broadcast::Xp): "ee.vldbc.16.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 100 ad[3:0] as[3:0] 0100";
    Vldbc(Width::W32, Broadcast::Still): "ee.vldbc.32 qu, as"
        "11 qu[2:1] 1101 qu[0] 1110111 as[3:0] 0100";
    Vldbc(Width::W32, Broadcast::Ip): "ee.vldbc.32.ip qu, as, imm4"
        "1 imm4[7] qu[2:1] 0010 qu[0] imm4[6:0] as[3:0] 0100";
    Vldbc(Width::W32, Broadcast::Xp): "ee.vldbc.32.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 001 ad[3:0] as[3:0] 0100";
    Vldbc(Width::W8, Broadcast::Still): "ee.vldbc.8 qu, as"
        "11 qu[2:1] 1101 qu[0] 0111011 as[3:0] 0100";
    Vldbc(Width::W8, Broadcast::Ip): "ee.vldbc.8.ip qu, as, imm1"
        "11 qu[2:1] 0101 qu[0] imm1[6:0] as[3:0] 0100";
    Vldbc(Width::W8, Broadcast::Xp): "ee.vldbc.8.xp qu, as, ad"
        "10 qu[2:1] 1101 qu[0] 101 ad[3:0] as[3:0] 0100";
    Vldhbc16: "ee.vldhbc.16.incp qu, qu1, as"
        "11 qu[2:1] 1100 qu[0] qu1[2:0] 0010 as[3:0] 0100";
    Vst128(Step::Ip): "ee.vst.128.ip qv, as, imm16"
        "1 imm16[7] qv[2:1] 1010 qv[0] imm16[6:0] as[3:0] 0100";
    Vst128(Step::Xp): "ee.vst.128.xp qv, as, ad"
        "10 qv[2:1] 1101 qv[0] 111 ad[3:0] as[3:0] 0100";
    Vst64(Half::High, Step::Ip): "ee.vst.h.64.ip qv, as, imm8"
        "1 imm8[7] qv[2:1] 1011 qv[0] imm8[6:0] as[3:0] 0100";
    Vst64(Half::High, Step::Xp): "ee.vst.h.64.xp qv, as, ad"
        "11 qv[2:1] 1101 qv[0] 000 ad[3:0] as[3:0] 0100";
    Vst64(Half::Low, Step::Ip): "ee.vst.l.64.ip qv, as, imm8"
        "1 imm8[7] qv[2:1] 0100 qv[0] imm8[6:0] as[3:0] 0100";
    Vst64(Half::Low, Step::Xp): "ee.vst.l.64.xp qv, as, ad"
        "11 qv[2:1] 1101 qv[0] 100 ad[3:0] as[3:0] 0100";
    LdQr: "ld.qr qu, as, imm16f"
        "11 qu[2:1] 1101 qu[0] 010 imm16f[3:0] as[3:0] 0100";
    StQr: "st.qr qv, as, imm16f"
        "11 qv[2:1] 1101 qv[0] 110 imm16f[3:0] as[3:0] 0100";
} }
