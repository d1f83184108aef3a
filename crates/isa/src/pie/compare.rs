//! Extremes and comparisons (manual, section 1.6.5) and bitwise logic (1.6.6).

use super::word::rows;
use super::{Beside, Signed};
use crate::table::Class;

/// What a comparison asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    Eq,
    Lt,
    Gt,
}

/// Comparisons and logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Vmax(Signed, Beside),
    Vmin(Signed, Beside),
    Vcmp(Relation, Signed),
    Andq,
    Orq,
    Xorq,
    Notq,
}

impl Compare {
    const fn class(self) -> Class {
        match self {
            Self::Vmax(_, beside) | Self::Vmin(_, beside) => beside.class(),
            _ => Class::Vector,
        }
    }
}

rows! { Compare {
    Andq: "ee.andq qa, qx, qy"
        "11 qa[2:1] 1101 qa[0] 011 qy[2:1] 00 qx[2:1] qy[0] qx[0] 0100";
    Notq: "ee.notq qa, qx"
        "11 qa[2:1] 1101 qa[0] 1111111 qx[2:1] 0 qx[0] 0100";
    Orq: "ee.orq qa, qx, qy"
        "11 qa[2:1] 1101 qa[0] 111 qy[2:1] 00 qx[2:1] qy[0] qx[0] 0100";
    Vcmp(Relation::Eq, Signed::S16): "ee.vcmp.eq.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 10010100";
    Vcmp(Relation::Eq, Signed::S32): "ee.vcmp.eq.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 10100100";
    Vcmp(Relation::Eq, Signed::S8): "ee.vcmp.eq.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 10110100";
    Vcmp(Relation::Gt, Signed::S16): "ee.vcmp.gt.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 11000100";
    Vcmp(Relation::Gt, Signed::S32): "ee.vcmp.gt.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 11010100";
    Vcmp(Relation::Gt, Signed::S8): "ee.vcmp.gt.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 11100100";
    Vcmp(Relation::Lt, Signed::S16): "ee.vcmp.lt.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 11110100";
    Vcmp(Relation::Lt, Signed::S32): "ee.vcmp.lt.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 00000100";
    Vcmp(Relation::Lt, Signed::S8): "ee.vcmp.lt.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 00010100";
    Vmax(Signed::S16, Beside::Nothing): "ee.vmax.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 00100100";
    Vmax(Signed::S16, Beside::Load): "ee.vmax.s16.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 001 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vmax(Signed::S16, Beside::Store): "ee.vmax.s16.st.incp qv, as, qa, qx, qy"
        "11100100 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0011 as[3:0] 111 qx[2]";
    Vmax(Signed::S32, Beside::Nothing): "ee.vmax.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 00110100";
    Vmax(Signed::S32, Beside::Load): "ee.vmax.s32.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 001 qu[0] qa[2:0] qx[1:0] qy[2:1] 1110 as[3:0] 111 qx[2]";
    Vmax(Signed::S32, Beside::Store): "ee.vmax.s32.st.incp qv, as, qa, qx, qy"
        "11100101 qy[0] qv[2:0] 0 qa[2:0] qx[1:0] qy[2:1] 0000 as[3:0] 111 qx[2]";
    Vmax(Signed::S8, Beside::Nothing): "ee.vmax.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 01000100";
    Vmax(Signed::S8, Beside::Load): "ee.vmax.s8.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 001 qu[0] qa[2:0] qx[1:0] qy[2:1] 1111 as[3:0] 111 qx[2]";
    Vmax(Signed::S8, Beside::Store): "ee.vmax.s8.st.incp qv, as, qa, qx, qy"
        "11100101 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0000 as[3:0] 111 qx[2]";
    Vmin(Signed::S16, Beside::Nothing): "ee.vmin.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 01010100";
    Vmin(Signed::S16, Beside::Load): "ee.vmin.s16.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 010 qu[0] qa[2:0] qx[1:0] qy[2:1] 1110 as[3:0] 111 qx[2]";
    Vmin(Signed::S16, Beside::Store): "ee.vmin.s16.st.incp qv, as, qa, qx, qy"
        "11100101 qy[0] qv[2:0] 0 qa[2:0] qx[1:0] qy[2:1] 0001 as[3:0] 111 qx[2]";
    Vmin(Signed::S32, Beside::Nothing): "ee.vmin.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 01100100";
    Vmin(Signed::S32, Beside::Load): "ee.vmin.s32.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 011 qu[0] qa[2:0] qx[1:0] qy[2:1] 1110 as[3:0] 111 qx[2]";
    Vmin(Signed::S32, Beside::Store): "ee.vmin.s32.st.incp qv, as, qa, qx, qy"
        "11100101 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0001 as[3:0] 111 qx[2]";
    Vmin(Signed::S8, Beside::Nothing): "ee.vmin.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 01110100";
    Vmin(Signed::S8, Beside::Load): "ee.vmin.s8.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 010 qu[0] qa[2:0] qx[1:0] qy[2:1] 1111 as[3:0] 111 qx[2]";
    Vmin(Signed::S8, Beside::Store): "ee.vmin.s8.st.incp qv, as, qa, qx, qy"
        "11100101 qy[0] qv[2:0] 0 qa[2:0] qx[1:0] qy[2:1] 0010 as[3:0] 111 qx[2]";
    Xorq: "ee.xorq qa, qx, qy"
        "11 qa[2:1] 1101 qa[0] 011 qy[2:1] 01 qx[2:1] qy[0] qx[0] 0100";
} }
