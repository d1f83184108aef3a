//! A vector as lanes, and back.

/// Lanes of one kind in 128 bits, the least significant first.
macro_rules! lanes {
    ($($to:ident, $from:ident: [$lane:ty; $count:literal];)*) => {
        $(
            #[inline(always)]
            pub(super) fn $to(q: u128) -> [$lane; $count] {
                let mut lanes = [0; $count];
                let bytes = q.to_le_bytes();
                for (lane, bytes) in lanes.iter_mut().zip(bytes.chunks_exact(16 / $count)) {
                    let mut whole = [0; 16 / $count];
                    whole.copy_from_slice(bytes);
                    *lane = <$lane>::from_le_bytes(whole);
                }
                lanes
            }

            #[inline(always)]
            pub(super) fn $from(lanes: [$lane; $count]) -> u128 {
                let mut bytes = [0; 16];
                for (lane, place) in lanes.iter().zip(bytes.chunks_exact_mut(16 / $count)) {
                    place.copy_from_slice(&lane.to_le_bytes());
                }
                u128::from_le_bytes(bytes)
            }
        )*
    };
}

lanes! {
    s8, from_s8: [i8; 16];
    u8s, from_u8s: [u8; 16];
    s16, from_s16: [i16; 8];
    u16s, from_u16s: [u16; 8];
    s32, from_s32: [i32; 4];
    u32s, from_u32s: [u32; 4];
}

/// Lane by lane. A loop, as compilers make vector code of loops.
#[inline(always)]
pub(super) fn zip<A: Copy, B: Copy, C: Copy + Default, const N: usize>(
    a: [A; N],
    b: [B; N],
    f: impl Fn(A, B) -> C,
) -> [C; N] {
    let mut lanes = [C::default(); N];
    for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
        *lane = f(a, b);
    }
    lanes
}

/// Lane by lane.
#[inline(always)]
pub(super) fn map<A: Copy, C: Copy + Default, const N: usize>(
    a: [A; N],
    f: impl Fn(A) -> C,
) -> [C; N] {
    zip(a, a, |a, _| f(a))
}
