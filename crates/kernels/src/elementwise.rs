//! Element by element, into another tensor or in place.

/// `output[i] = f(input[i])`.
pub fn unary<T: Copy>(input: &[T], output: &mut [T], f: impl Fn(T) -> T) {
    for (y, x) in output.iter_mut().zip(input) {
        *y = f(*x);
    }
}

/// `buffer[i] = f(buffer[i])`.
pub fn unary_in_place<T: Copy>(buffer: &mut [T], f: impl Fn(T) -> T) {
    for x in buffer {
        *x = f(*x);
    }
}

/// `output[i] = f(a[i], b[i])`.
pub fn binary<T: Copy>(a: &[T], b: &[T], output: &mut [T], f: impl Fn(T, T) -> T) {
    for ((y, a), b) in output.iter_mut().zip(a).zip(b) {
        *y = f(*a, *b);
    }
}

/// `buffer[i] = f(buffer[i], other[i])`.
pub fn binary_in_place<T: Copy>(buffer: &mut [T], other: &[T], f: impl Fn(T, T) -> T) {
    for (x, other) in buffer.iter_mut().zip(other) {
        *x = f(*x, *other);
    }
}
