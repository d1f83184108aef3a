//! Multiply-accumulate and reading of the accumulators (manual, section 1.6.4).

use super::Lane;
use super::word::rows;
use crate::table::Class;

/// Which accumulator, and what goes beside. `Ld` loads 16 bytes, `Ldbc` broadcasts a lane; `Ip` and
/// `Xp` are the steps of the address; `Qup` shifts an unaligned vector into place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac {
    Accx,
    AccxLdIp,
    AccxLdIpQup,
    AccxLdXp,
    AccxLdXpQup,
    Qacc,
    QaccLdIp,
    QaccLdIpQup,
    QaccLdXp,
    QaccLdXpQup,
    QaccLdbcIncp,
    QaccLdbcIncpQup,
}

/// Work on ACCX and QACC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulate {
    Vmulas(Lane, Mac),
    VsmulasS8,
    VsmulasS16,
    VsmulasLdS8,
    VsmulasLdS16,
    SrcmbS8,
    SrcmbS16,
    SrsAccx,
}

impl Accumulate {
    const fn class(self) -> Class {
        match self {
            Self::SrcmbS8 | Self::SrcmbS16 | Self::SrsAccx => Class::Vector,
            _ => Class::VectorMultiply,
        }
    }
}

rows! { Accumulate {
    SrcmbS16: "ee.srcmb.s16.qacc qu, as, sel2"
        "11 qu[2:1] 1101 qu[0] 1110 sel2[0] 10 as[3:0] 0100";
    SrcmbS8: "ee.srcmb.s8.qacc qu, as, sel2"
        "11 qu[2:1] 1101 qu[0] 1111 sel2[0] 10 as[3:0] 0100";
    SrsAccx: "ee.srs.accx au, as, sel2"
        "011111100 sel2[0] 01 au[3:0] as[3:0] 0100";
    Vmulas(Lane::S16, Mac::Accx): "ee.vmulas.s16.accx qx, qy"
        "000110100 qy[2] 0 qy[1:0] qx[2:0] 10000100";
    Vmulas(Lane::S16, Mac::AccxLdIp): "ee.vmulas.s16.accx.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 000 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::AccxLdIpQup): "ee.vmulas.s16.accx.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0000 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::AccxLdXp): "ee.vmulas.s16.accx.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 000 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::AccxLdXpQup): "ee.vmulas.s16.accx.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "101100 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::Qacc): "ee.vmulas.s16.qacc qx, qy"
        "000110100 qy[2] 1 qy[1:0] qx[2:0] 10000100";
    Vmulas(Lane::S16, Mac::QaccLdIp): "ee.vmulas.s16.qacc.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 001 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::QaccLdIpQup): "ee.vmulas.s16.qacc.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0001 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::QaccLdXp): "ee.vmulas.s16.qacc.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 001 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::QaccLdXpQup): "ee.vmulas.s16.qacc.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "101101 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S16, Mac::QaccLdbcIncp): "ee.vmulas.s16.qacc.ldbc.incp qu, as, qx, qy"
        "100 qu[2] 0111 qu[1] qy[2] qu[0] qy[1:0] qx[2:0] as[3:0] 0100";
    Vmulas(Lane::S16, Mac::QaccLdbcIncpQup): "ee.vmulas.s16.qacc.ldbc.incp.qup qu, as, qx, qy, qs0, qs1"
        "111000 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] 1000 as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::Accx): "ee.vmulas.s8.accx qx, qy"
        "000110100 qy[2] 0 qy[1:0] qx[2:0] 11000100";
    Vmulas(Lane::S8, Mac::AccxLdIp): "ee.vmulas.s8.accx.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 010 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::AccxLdIpQup): "ee.vmulas.s8.accx.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0010 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::AccxLdXp): "ee.vmulas.s8.accx.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 010 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::AccxLdXpQup): "ee.vmulas.s8.accx.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "101110 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::Qacc): "ee.vmulas.s8.qacc qx, qy"
        "000110100 qy[2] 1 qy[1:0] qx[2:0] 11000100";
    Vmulas(Lane::S8, Mac::QaccLdIp): "ee.vmulas.s8.qacc.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 011 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::QaccLdIpQup): "ee.vmulas.s8.qacc.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0011 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::QaccLdXp): "ee.vmulas.s8.qacc.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 011 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::QaccLdXpQup): "ee.vmulas.s8.qacc.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "101111 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::S8, Mac::QaccLdbcIncp): "ee.vmulas.s8.qacc.ldbc.incp qu, as, qx, qy"
        "101 qu[2] 0111 qu[1] qy[2] qu[0] qy[1:0] qx[2:0] as[3:0] 0100";
    Vmulas(Lane::S8, Mac::QaccLdbcIncpQup): "ee.vmulas.s8.qacc.ldbc.incp.qup qu, as, qx, qy, qs0, qs1"
        "111000 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] 1001 as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::Accx): "ee.vmulas.u16.accx qx, qy"
        "000010100 qy[2] 0 qy[1:0] qx[2:0] 10000100";
    Vmulas(Lane::U16, Mac::AccxLdIp): "ee.vmulas.u16.accx.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 100 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::AccxLdIpQup): "ee.vmulas.u16.accx.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0100 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::AccxLdXp): "ee.vmulas.u16.accx.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 100 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::AccxLdXpQup): "ee.vmulas.u16.accx.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "110000 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::Qacc): "ee.vmulas.u16.qacc qx, qy"
        "000010100 qy[2] 1 qy[1:0] qx[2:0] 10000100";
    Vmulas(Lane::U16, Mac::QaccLdIp): "ee.vmulas.u16.qacc.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 101 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::QaccLdIpQup): "ee.vmulas.u16.qacc.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0101 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::QaccLdXp): "ee.vmulas.u16.qacc.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 101 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::QaccLdXpQup): "ee.vmulas.u16.qacc.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "110001 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U16, Mac::QaccLdbcIncp): "ee.vmulas.u16.qacc.ldbc.incp qu, as, qx, qy"
        "110 qu[2] 0111 qu[1] qy[2] qu[0] qy[1:0] qx[2:0] as[3:0] 0100";
    Vmulas(Lane::U16, Mac::QaccLdbcIncpQup): "ee.vmulas.u16.qacc.ldbc.incp.qup qu, as, qx, qy, qs0, qs1"
        "111000 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] 1010 as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::Accx): "ee.vmulas.u8.accx qx, qy"
        "000010100 qy[2] 0 qy[1:0] qx[2:0] 11000100";
    Vmulas(Lane::U8, Mac::AccxLdIp): "ee.vmulas.u8.accx.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 110 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::AccxLdIpQup): "ee.vmulas.u8.accx.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0110 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::AccxLdXp): "ee.vmulas.u8.accx.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 110 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::AccxLdXpQup): "ee.vmulas.u8.accx.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "110010 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::Qacc): "ee.vmulas.u8.qacc qx, qy"
        "000010100 qy[2] 1 qy[1:0] qx[2:0] 11000100";
    Vmulas(Lane::U8, Mac::QaccLdIp): "ee.vmulas.u8.qacc.ld.ip qu, as, imm16, qx, qy"
        "1111 imm16[5:4] qu[2:1] qy[0] 000 qu[0] 111 qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::QaccLdIpQup): "ee.vmulas.u8.qacc.ld.ip.qup qu, as, imm16, qx, qy, qs0, qs1"
        "0111 imm16[5:4] qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] imm16[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::QaccLdXp): "ee.vmulas.u8.qacc.ld.xp qu, as, ad, qx, qy"
        "111100 qu[2:1] qy[0] 001 qu[0] 111 qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::QaccLdXpQup): "ee.vmulas.u8.qacc.ld.xp.qup qu, as, ad, qx, qy, qs0, qs1"
        "110011 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] ad[3:0] as[3:0] 111 qx[2]";
    Vmulas(Lane::U8, Mac::QaccLdbcIncp): "ee.vmulas.u8.qacc.ldbc.incp qu, as, qx, qy"
        "111 qu[2] 0111 qu[1] qy[2] qu[0] qy[1:0] qx[2:0] as[3:0] 0100";
    Vmulas(Lane::U8, Mac::QaccLdbcIncpQup): "ee.vmulas.u8.qacc.ldbc.incp.qup qu, as, qx, qy, qs0, qs1"
        "111000 qu[2:1] qy[0] qs0[2:0] qu[0] qs1[2:0] qx[1:0] qy[2:1] 1011 as[3:0] 111 qx[2]";
    VsmulasS16: "ee.vsmulas.s16.qacc qx, qy, sel8"
        "10 sel8[2:1] 1110 sel8[0] qy[2] 1 qy[1:0] qx[2:0] 11000100";
    VsmulasLdS16: "ee.vsmulas.s16.qacc.ld.incp qu, as, qx, qy, sel8"
        "111000 qu[2:1] qy[0] 111 qu[0] sel8[2:0] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
    VsmulasS8: "ee.vsmulas.s8.qacc qx, qy, sel16"
        "10 sel16[3:2] 1110 sel16[1] qy[2] 0 qy[1:0] qx[2:0] 010 sel16[0] 0100";
    VsmulasLdS8: "ee.vsmulas.s8.qacc.ld.incp qu, as, qx, qy, sel16"
        "111000 qu[2:1] qy[0] 01 sel16[0] qu[0] sel16[3:1] qx[1:0] qy[2:1] 1100 as[3:0] 111 qx[2]";
} }
