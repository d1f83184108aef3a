//! Definitions over tensors of any rank, in ONNX order, one element at a time.

use super::{Rules, clamp, floor, half_up, half_up_shift};
use std::vec;
use std::vec::Vec;

/// A tensor in ONNX order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nd {
    pub dims: Vec<usize>,
    pub values: Vec<i64>,
}

impl Nd {
    /// The element at each index is `f(index)`.
    pub fn build(dims: &[usize], mut f: impl FnMut(&[usize]) -> i64) -> Self {
        let mut values = Vec::new();
        for at in 0..dims.iter().product() {
            values.push(f(&index_of(dims, at)));
        }
        Self {
            dims: dims.to_vec(),
            values,
        }
    }

    pub fn at(&self, index: &[usize]) -> i64 {
        let place = |sum, (i, dim): (&usize, &usize)| sum * dim + i;
        self.values[index.iter().zip(&self.dims).fold(0, place)]
    }

    /// As [`Self::at`], with as many leading indices too many as the rank is smaller, and index 0
    /// along dimensions of 1.
    fn at_repeated(&self, index: &[usize]) -> i64 {
        let own = &index[index.len() - self.dims.len()..];
        let own: Vec<usize> = own
            .iter()
            .zip(&self.dims)
            .map(|(i, dim)| if *dim == 1 { 0 } else { *i })
            .collect();
        self.at(&own)
    }

    /// `(1, C, H, W)` or `(1, C, L)` with the channels last.
    pub fn channels_last(&self) -> Vec<i64> {
        let mut dims = self.dims.clone();
        dims[1..].rotate_left(1);
        let onnx = |index: &[usize]| {
            let mut index = index.to_vec();
            index[1..].rotate_right(1);
            self.at(&index)
        };
        Nd::build(&dims, onnx).values
    }
}

fn index_of(dims: &[usize], mut at: usize) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for axis in (0..dims.len()).rev() {
        index[axis] = at % dims[axis];
        at /= dims[axis];
    }
    index
}

/// One of `+ - * max min` on two tensors that are repeated as numpy does.
pub fn binary(
    operation: &str,
    [a, b]: [&Nd; 2],
    dims: &[usize],
    [ea, eb, ey]: [i32; 3],
    [low, high]: [i64; 2],
    rules: Rules,
) -> Nd {
    let compute = |operation: &str, a: i128, b: i128| match operation {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "max" => a.max(b),
        _ => a.min(b),
    };
    Nd::build(dims, |index| {
        let (a, b) = (a.at_repeated(index).into(), b.at_repeated(index).into());
        let value: i128 = match (rules, operation) {
            (Rules::Fixpoint, "*") => half_up_shift(a * b, ey - ea - eb),
            (Rules::Fixpoint, _) => {
                let least = ea.min(eb);
                let exact = compute(operation, a << (ea - least), b << (eb - least));
                half_up_shift(exact, ey - least)
            }
            (_, "*") => floor(a * b, ey - ea - eb),
            _ => {
                let most = ea.max(eb);
                let value = compute(operation, floor(a, most - ea), floor(b, most - eb));
                floor(value, ey - most)
            }
        };
        value.clamp(low.into(), high.into()) as i64
    })
}

/// A table of 2^k + 1 entries from the least element on, or of one for each.
pub fn lookup(x: i64, table: &[i64], bits: u32) -> i64 {
    let place = x + (1 << (bits - 1));
    if table.len() == 1 << bits {
        return table[place as usize];
    }
    let step = (1i64 << bits) / (table.len() as i64 - 1);
    let (entry, between) = (place / step, place % step);
    let (y0, y1) = (table[entry as usize], table[entry as usize + 1]);
    half_up(
        i128::from(y0 * (step - between) + y1 * between),
        step.into(),
    ) as i64
}

/// One after another along an axis, each brought to an exponent larger by its shift.
pub fn concat(parts: &[(Nd, i32)], axis: usize, bits: u32) -> Nd {
    let mut dims = parts[0].0.dims.clone();
    dims[axis] = parts.iter().map(|(part, _)| part.dims[axis]).sum();
    Nd::build(&dims, |index| {
        let mut index = index.to_vec();
        for (part, shift) in parts {
            if index[axis] < part.dims[axis] {
                return clamp(half_up_shift(part.at(&index).into(), *shift), bits);
            }
            index[axis] -= part.dims[axis];
        }
        unreachable!("the index is inside one of the parts")
    })
}

/// "mean", "sum", "max" or "min" along `axes`, which stay with a size of 1.
pub fn reduce(x: &Nd, what: &str, axes: &[usize], shift: i32, bits: u32) -> Nd {
    let mut dims = x.dims.clone();
    for axis in axes {
        dims[*axis] = 1;
    }
    let mut groups = vec![Vec::new(); dims.iter().product()];
    for (at, value) in x.values.iter().enumerate() {
        let index = index_of(&x.dims, at);
        let mut group = 0;
        for (axis, i) in index.iter().enumerate() {
            group = group * dims[axis] + if axes.contains(&axis) { 0 } else { *i };
        }
        groups[group].push(i128::from(*value));
    }
    let one = |group: &Vec<i128>| {
        let (sum, count) = (group.iter().sum::<i128>(), group.len() as i128);
        let value = match what {
            "mean" if shift >= 0 => half_up(sum, count << shift),
            "mean" => half_up(sum << -shift, count),
            "sum" => half_up_shift(sum, shift),
            "max" => *group.iter().max().expect("an element"),
            _ => *group.iter().min().expect("an element"),
        };
        clamp(value, bits)
    };
    Nd {
        dims,
        values: groups.iter().map(one).collect(),
    }
}

/// Where the largest element is along an axis, which stays with a size of 1.
pub fn arg_max(x: &Nd, axis: usize, last: bool) -> Nd {
    let mut dims = x.dims.clone();
    dims[axis] = 1;
    Nd::build(&dims, |index| {
        let mut index = index.to_vec();
        let along: Vec<i64> = (0..x.dims[axis])
            .map(|i| {
                index[axis] = i;
                x.at(&index)
            })
            .collect();
        let most = along.iter().max();
        let found = match last {
            true => along.iter().rposition(|v| Some(v) == most),
            false => along.iter().position(|v| Some(v) == most),
        };
        found.expect("an element") as i64
    })
}

/// `(.., M, K)` by `(.., K, N)`.
pub fn matmul(a: &Nd, b: &Nd, dims: &[usize], shift: i32, bits: u32) -> Nd {
    let inner = a.dims[a.dims.len() - 1];
    Nd::build(dims, |index| {
        let rank = index.len();
        let mut sum = 0i128;
        for k in 0..inner {
            let (mut left, mut right) = (index.to_vec(), index.to_vec());
            left[rank - 1] = k;
            right[rank - 2] = k;
            sum += i128::from(a.at_repeated(&left)) * i128::from(b.at_repeated(&right));
        }
        clamp(half_up_shift(sum, shift), bits)
    })
}

/// `(1, C, H, W)`: each row (column) of the output lies between two of the input; the weight of the
/// second is in units of 2^-14.
pub fn resize_linear(x: &Nd, rows: &[[u16; 3]], columns: &[[u16; 3]], shift: i32, bits: u32) -> Nd {
    Nd::build(&[1, x.dims[1], rows.len(), columns.len()], |index| {
        let mut sum = 0i128;
        let weights = |[first, second, weight]: [u16; 3]| {
            let weight = i128::from(weight);
            [(first, (1 << 14) - weight), (second, weight)]
        };
        for (y, wy) in weights(rows[index[2]]) {
            for (column, wx) in weights(columns[index[3]]) {
                let element = x.at(&[0, index[1], y.into(), column.into()]);
                sum += i128::from(element) * wy * wx;
            }
        }
        clamp(half_up_shift(sum, shift + 28), bits)
    })
}
