//! Shifts (manual, section 1.6.7).

use super::Step;
use super::word::rows;
use crate::table::Class;

/// Shifts of vectors and of pairs of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    SrcQ,
    SrcQQup,
    SrcQLd(Step),
    SrcqSt,
    Slci2q,
    Slcxxp2q,
    Srci2q,
    Srcxxp2q,
    Vsl32,
    Vsr32,
}

impl Shift {
    const fn class(self) -> Class {
        match self {
            Self::SrcQLd(_) => Class::VectorLoad,
            Self::SrcqSt => Class::VectorStore,
            _ => Class::Vector,
        }
    }
}

rows! { Shift {
    Slci2q: "ee.slci.2q qs1, qs0, sar16"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 0110 sar16[3:0] 0100";
    Slcxxp2q: "ee.slcxxp.2q qs1, qs0, as, ad"
        "10 qs1[2:1] 0110 qs1[0] qs0[2:0] ad[3:0] as[3:0] 0100";
    SrcQ: "ee.src.q qa, qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 00110 qa[2:0] 0100";
    SrcQLd(Step::Ip): "ee.src.q.ld.ip qu, as, imm16, qs0, qs1"
        "111000 imm16[7:6] imm16[2] qs1[2:0] imm16[5] qu[2:0] qs0[1:0] imm16[4:3] 00 imm16[1:0] as[3:0] 111 qs0[2]";
    SrcQLd(Step::Xp): "ee.src.q.ld.xp qu, as, ad, qs0, qs1"
        "111010000 qs1[2:0] 0 qu[2:0] qs0[1:0] 00 ad[3:0] as[3:0] 111 qs0[2]";
    SrcQQup: "ee.src.q.qup qa, qs0, qs1"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 01110 qa[2:0] 0100";
    Srci2q: "ee.srci.2q qs1, qs0, sar16"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 1010 sar16[3:0] 0100";
    SrcqSt: "ee.srcq.128.st.incp qs0, qs1, as"
        "11 qs1[2:1] 1100 qs1[0] qs0[2:0] 1110 as[3:0] 0100";
    Srcxxp2q: "ee.srcxxp.2q qs1, qs0, as, ad"
        "11 qs1[2:1] 0110 qs1[0] qs0[2:0] ad[3:0] as[3:0] 0100";
    Vsl32: "ee.vsl.32 qa, qs"
        "11 qs[2:1] 1101 qs[0] 01111110 qa[2:0] 0100";
    Vsr32: "ee.vsr.32 qa, qs"
        "11 qs[2:1] 1101 qs[0] 01111111 qa[2:0] 0100";
} }
