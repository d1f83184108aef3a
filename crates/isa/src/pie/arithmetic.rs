//! Addition, multiplication, rectification (manual, section 1.6.4) without the accumulators.

use super::word::rows;
use super::{Beside, Lane, Signed};
use crate::table::Class;

/// Arithmetic on vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Vadds(Signed, Beside),
    Vsubs(Signed, Beside),
    Vmul(Lane, Beside),
    Cmul(Beside),
    VreluS8,
    VreluS16,
    VpreluS8,
    VpreluS16,
}

impl Arithmetic {
    const fn class(self) -> Class {
        match self {
            Self::Vadds(_, beside) | Self::Vsubs(_, beside) => beside.class(),
            _ => Class::VectorMultiply,
        }
    }
}

rows! { Arithmetic {
    Cmul(Beside::Nothing): "ee.cmul.s16 qz, qx, qy, sel4"
        "10 qz[2:1] 1110 qz[0] qy[2] 0 qy[1:0] qx[2:0] 00 sel4[1:0] 0100";
    Cmul(Beside::Load): "ee.cmul.s16.ld.incp qu, as, qz, qx, qy, sel4"
        "111000 qu[2:1] qy[0] 000 qu[0] qz[2:0] qx[1:0] qy[2:1] 11 sel4[1:0] as[3:0] 111 qx[2]";
    Cmul(Beside::Store): "ee.cmul.s16.st.incp qv, as, qz, qx, qy, sel4"
        "11100100 qy[0] qv[2:0] 0 qz[2:0] qx[1:0] qy[2:1] 00 sel4[1:0] as[3:0] 111 qx[2]";
    Vadds(Signed::S16, Beside::Nothing): "ee.vadds.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 01100100";
    Vadds(Signed::S16, Beside::Load): "ee.vadds.s16.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 010 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vadds(Signed::S16, Beside::Store): "ee.vadds.s16.st.incp qv, as, qa, qx, qy"
        "11100100 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0000 as[3:0] 111 qx[2]";
    Vadds(Signed::S32, Beside::Nothing): "ee.vadds.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 01110100";
    Vadds(Signed::S32, Beside::Load): "ee.vadds.s32.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 011 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vadds(Signed::S32, Beside::Store): "ee.vadds.s32.st.incp qv, as, qa, qx, qy"
        "11100100 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0001 as[3:0] 111 qx[2]";
    Vadds(Signed::S8, Beside::Nothing): "ee.vadds.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 0 qy[1:0] qx[2:0] 10000100";
    Vadds(Signed::S8, Beside::Load): "ee.vadds.s8.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 001 qu[0] qa[2:0] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
    Vadds(Signed::S8, Beside::Store): "ee.vadds.s8.st.incp qv, as, qa, qx, qy"
        "11100100 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0010 as[3:0] 111 qx[2]";
    Vmul(Lane::S16, Beside::Nothing): "ee.vmul.s16 qz, qx, qy"
        "10 qz[2:1] 1110 qz[0] qy[2] 1 qy[1:0] qx[2:0] 10000100";
    Vmul(Lane::S16, Beside::Load): "ee.vmul.s16.ld.incp qu, as, qz, qx, qy"
        "111000 qu[2:1] qy[0] 011 qu[0] qz[2:0] qx[1:0] qy[2:1] 1111 as[3:0] 111 qx[2]";
    Vmul(Lane::S16, Beside::Store): "ee.vmul.s16.st.incp qv, as, qz, qx, qy"
        "11100101 qy[0] qv[2:0] 1 qz[2:0] qx[1:0] qy[2:1] 0010 as[3:0] 111 qx[2]";
    Vmul(Lane::S8, Beside::Nothing): "ee.vmul.s8 qz, qx, qy"
        "10 qz[2:1] 1110 qz[0] qy[2] 1 qy[1:0] qx[2:0] 10010100";
    Vmul(Lane::S8, Beside::Load): "ee.vmul.s8.ld.incp qu, as, qz, qx, qy"
        "111000 qu[2:1] qy[0] 100 qu[0] qz[2:0] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
    Vmul(Lane::S8, Beside::Store): "ee.vmul.s8.st.incp qv, as, qz, qx, qy"
        "11100101 qy[0] qv[2:0] 0 qz[2:0] qx[1:0] qy[2:1] 0011 as[3:0] 111 qx[2]";
    Vmul(Lane::U16, Beside::Nothing): "ee.vmul.u16 qz, qx, qy"
        "10 qz[2:1] 1110 qz[0] qy[2] 1 qy[1:0] qx[2:0] 10100100";
    Vmul(Lane::U16, Beside::Load): "ee.vmul.u16.ld.incp qu, as, qz, qx, qy"
        "111000 qu[2:1] qy[0] 101 qu[0] qz[2:0] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
    Vmul(Lane::U16, Beside::Store): "ee.vmul.u16.st.incp qv, as, qz, qx, qy"
        "11100101 qy[0] qv[2:0] 1 qz[2:0] qx[1:0] qy[2:1] 0011 as[3:0] 111 qx[2]";
    Vmul(Lane::U8, Beside::Nothing): "ee.vmul.u8 qz, qx, qy"
        "10 qz[2:1] 1110 qz[0] qy[2] 1 qy[1:0] qx[2:0] 10110100";
    Vmul(Lane::U8, Beside::Load): "ee.vmul.u8.ld.incp qu, as, qz, qx, qy"
        "111000 qu[2:1] qy[0] 110 qu[0] qz[2:0] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
    Vmul(Lane::U8, Beside::Store): "ee.vmul.u8.st.incp qv, as, qz, qx, qy"
        "11101000 qy[0] qv[2:0] 1 qz[2:0] qx[1:0] qy[2:1] 0000 as[3:0] 111 qx[2]";
    VpreluS16: "ee.vprelu.s16 qz, qx, qy, ay"
        "10 qz[2:1] 1100 qz[0] qy[2] 0 qy[1:0] qx[2:0] ay[3:0] 0100";
    VpreluS8: "ee.vprelu.s8 qz, qx, qy, ay"
        "10 qz[2:1] 1100 qz[0] qy[2] 1 qy[1:0] qx[2:0] ay[3:0] 0100";
    VreluS16: "ee.vrelu.s16 qs, ax, ay"
        "11 qs[2:1] 1101 qs[0] 001 ax[3:0] ay[3:0] 0100";
    VreluS8: "ee.vrelu.s8 qs, ax, ay"
        "11 qs[2:1] 1101 qs[0] 101 ax[3:0] ay[3:0] 0100";
    Vsubs(Signed::S16, Beside::Nothing): "ee.vsubs.s16 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 11010100";
    Vsubs(Signed::S16, Beside::Load): "ee.vsubs.s16.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 100 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vsubs(Signed::S16, Beside::Store): "ee.vsubs.s16.st.incp qv, as, qa, qx, qy"
        "11101000 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0001 as[3:0] 111 qx[2]";
    Vsubs(Signed::S32, Beside::Nothing): "ee.vsubs.s32 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 11100100";
    Vsubs(Signed::S32, Beside::Load): "ee.vsubs.s32.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 101 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vsubs(Signed::S32, Beside::Store): "ee.vsubs.s32.st.incp qv, as, qa, qx, qy"
        "11101000 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0010 as[3:0] 111 qx[2]";
    Vsubs(Signed::S8, Beside::Nothing): "ee.vsubs.s8 qa, qx, qy"
        "10 qa[2:1] 1110 qa[0] qy[2] 1 qy[1:0] qx[2:0] 11110100";
    Vsubs(Signed::S8, Beside::Load): "ee.vsubs.s8.ld.incp qu, as, qa, qx, qy"
        "111000 qu[2:1] qy[0] 110 qu[0] qa[2:0] qx[1:0] qy[2:1] 1101 as[3:0] 111 qx[2]";
    Vsubs(Signed::S8, Beside::Store): "ee.vsubs.s8.st.incp qv, as, qa, qx, qy"
        "11101000 qy[0] qv[2:0] 1 qa[2:0] qx[1:0] qy[2:1] 0011 as[3:0] 111 qx[2]";
} }
