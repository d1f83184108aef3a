//! FFT (manual, section 1.6.8).

use super::word::rows;
use crate::table::Class;

/// Butterflies and their company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fft {
    Bitrev,
    AmsLdIncp,
    AmsLdIncpUaup,
    AmsLdR32Decp,
    AmsStIncp,
    CmulLd,
    CmulSt,
    R2bf,
    R2bfSt,
    VstR32Decp,
}

impl Fft {
    const fn class(self) -> Class {
        match self {
            Self::Bitrev | Self::R2bf => Class::Vector,
            Self::R2bfSt | Self::VstR32Decp => Class::VectorStore,
            _ => Class::VectorMultiply,
        }
    }
}

rows! { Fft {
    Bitrev: "ee.bitrev qa, ax"
        "11 qa[2:1] 1101 qa[0] 1111011 ax[3:0] 0100";
    AmsLdIncp: "ee.fft.ams.s16.ld.incp qu, as, qz, qz1, qx, qy, qm, sel2"
        "110100 sel2[0] qz1[2] qz[0] qy[2:0] qz1[1] qm[2:0] qx[1:0] qz[2:1] qz1[0] qu[2:0] as[3:0] 111 qx[2]";
    AmsLdIncpUaup: "ee.fft.ams.s16.ld.incp.uaup qu, as, qz, qz1, qx, qy, qm, sel2"
        "110101 sel2[0] qz1[2] qz[0] qy[2:0] qz1[1] qm[2:0] qx[1:0] qz[2:1] qz1[0] qu[2:0] as[3:0] 111 qx[2]";
    AmsLdR32Decp: "ee.fft.ams.s16.ld.r32.decp qu, as, qz, qz1, qx, qy, qm, sel2"
        "110110 sel2[0] qz1[2] qz[0] qy[2:0] qz1[1] qm[2:0] qx[1:0] qz[2:1] qz1[0] qu[2:0] as[3:0] 111 qx[2]";
    AmsStIncp: "ee.fft.ams.s16.st.incp qv, qz1, at, as, qx, qy, qm, sel2"
        "10100 sel2[0] qz1[2:1] qm[0] qv[2:0] qz1[0] qx[2:0] qy[1:0] qm[2:1] as[3:0] at[3:0] 111 qy[2]";
    CmulLd: "ee.fft.cmul.s16.ld.xp qu, as, ad, qz, qx, qy, sel8"
        "110111 sel8[2:1] qu[0] qy[2:0] sel8[0] qz[2:0] qx[1:0] qu[2:1] ad[3:0] as[3:0] 111 qx[2]";
    CmulSt: "ee.fft.cmul.s16.st.xp qx, qy, qv, as, ad, sel8, upd4, sar4"
        "10101 sar4[1:0] upd4[1] sel8[0] qy[2:0] upd4[0] qv[2:0] qx[1:0] sel8[2:1] ad[3:0] as[3:0] 111 qx[2]";
    R2bf: "ee.fft.r2bf.s16 qa0, qa1, qx, qy, sel2"
        "11 qa0[2:1] 1100 qa0[0] qa1[2:0] qy[2:1] 0 sel2[0] qx[2:1] qy[0] qx[0] 0100";
    R2bfSt: "ee.fft.r2bf.s16.st.incp qa0, qx, qy, as, sar4"
        "11101000 sar4[0] qy[2:0] 1 qa0[2:0] qx[1:0] 0 sar4[1] 0100 as[3:0] 111 qx[2]";
    VstR32Decp: "ee.fft.vst.r32.decp qv, as, sar2"
        "11 qv[2:1] 1101 qv[0] 0110 sar2[0] 11 as[3:0] 0100";
} }
