//! Arrays of samples: which of a group is the data, and how its axes become the model's.

use crate::error::shape_text;
use crate::labels;
use crate::npy::{Array, Element};
use crate::preprocess::{Arrays, Layout, Preprocess};
use crate::shape::InputShape;

/// Samples of one source, before everything is put together.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) data: Vec<f32>,
    pub(crate) names: Vec<String>,
    pub(crate) labels: Option<Vec<u32>>,
    pub(crate) class_names: Vec<String>,
    /// Whole numbers as the array has them.
    pub(crate) integers: bool,
    /// Whether it was made of pixels.
    pub(crate) pixels: bool,
}

/// An array and its name without folder and extension.
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) stem: String,
    pub(crate) array: Array,
}

/// How the elements of one sample are put in the model's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    AsIs,
    /// The array has the channels last and the model has them first.
    ToNchw,
    /// The other way round.
    ToNhwc,
}

/// Names of data arrays, the usual ones first, each with the name of its labels.
const PAIRS: [(&str, &str); 9] = [
    ("x", "y"),
    ("x_test", "y_test"),
    ("x_val", "y_val"),
    ("x_train", "y_train"),
    ("images", "labels"),
    ("data", "target"),
    ("data", "labels"),
    ("input", "label"),
    ("arr_0", "arr_1"),
];
const LABEL_NAMES: [&str; 5] = ["y", "label", "labels", "target", "targets"];

/// True for arrays that are labels by their name.
pub(crate) fn holds_labels(stem: &str) -> bool {
    (LABEL_NAMES.iter()).any(|name| name.eq_ignore_ascii_case(stem))
}

/// Takes the arrays of one folder or `.npz` apart into data and labels.
///
/// Data is the array with a usual name, or else every array that isn't labels. The third part
/// of the result names what is left over.
pub(crate) fn pick(mut group: Vec<Named>) -> (Vec<Named>, Option<Named>, Vec<Named>) {
    let find =
        |group: &[Named], name: &str| group.iter().position(|a| a.stem.eq_ignore_ascii_case(name));
    let pair = PAIRS
        .iter()
        .find(|(x, y)| find(&group, x).is_some() && find(&group, y).is_some());
    let alone = PAIRS.iter().find(|(x, _)| find(&group, x).is_some());
    if let Some(&(x, y)) = pair.or(alone) {
        let data = find(&group, x).map(|i| group.swap_remove(i));
        let y = std::iter::once(y)
            .chain(LABEL_NAMES)
            .find_map(|name| find(&group, name));
        let labels = y.map(|i| group.swap_remove(i));
        return (data.into_iter().collect(), labels, group);
    }
    let y = LABEL_NAMES.iter().find_map(|name| find(&group, name));
    let labels = y.filter(|_| group.len() == 2).map(|i| group.swap_remove(i));
    (group, labels, Vec::new())
}

/// Makes samples of an array, at most `limit` of them. The strings tell what was done to the
/// axes, and that bytes are values, if so.
///
/// Errors read on from the name of the array.
pub(crate) fn samples(
    data: &Named,
    labels: Option<&Named>,
    target: &InputShape,
    preprocess: &Preprocess,
    limit: usize,
) -> Result<(Part, Vec<String>), String> {
    let array = &data.array;
    let (count, order, note) = fit(array.dims(), target)?;
    if count == 0 {
        return Err("holds no samples".into());
    }
    let pixels = match preprocess.arrays {
        Arrays::Pixels => true,
        Arrays::Values => false,
        Arrays::BytesArePixels => array.element() == Element::U8,
    };
    let as_values = (array.element() == Element::U8 && !pixels)
        .then(|| "uint8 values are used as they are, 0 to 255".to_owned());
    let notes = note.into_iter().chain(as_values).collect();
    let plane = target.plane(preprocess).ok();
    if pixels && plane.is_none() && preprocess.mean.len().max(preprocess.std.len()) > 1 {
        return Err("holds pixels for an input without channels; give one mean and one std".into());
    }

    let taken = count.min(limit);
    let size = array.len() / count;
    crate::check_amount(taken, size, target).map_err(|e| e.to_string())?;
    let labels = labels
        .map(|y| labels::of_array(&y.array, count))
        .transpose()?;
    let mut part = Part {
        data: Vec::with_capacity(taken * size),
        names: (0..taken).map(|i| format!("{}[{i}]", data.path)).collect(),
        labels: labels.map(|all| all[..taken].to_vec()),
        class_names: Vec::new(),
        integers: array.element().is_integer() && !pixels,
        pixels,
    };
    let dims = target.sample_dims();
    for sample in 0..taken {
        let values: Vec<f32> = array.floats(sample * size, (sample + 1) * size).collect();
        if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
            return Err(format!(
                "holds {bad} in sample {sample}; a model needs finite numbers"
            ));
        }
        let place = |i: usize| match order {
            Order::AsIs => i,
            // Place in the array (rows, columns, channels) of place i in the model's order.
            Order::ToNchw => {
                let (c, area) = (dims[0], dims[1] * dims[2]);
                i % area * c + i / area
            }
            Order::ToNhwc => {
                let (area, c) = (dims[0] * dims[1], dims[2]);
                i % c * area + i / c
            }
        };
        let channel = |i: usize| match &plane {
            Some(p) if p.layout == Layout::Nhwc => i % p.channels,
            Some(p) => i / (p.height * p.width),
            None => 0,
        };
        part.data.extend((0..size).map(|i| {
            let value = values[place(i)];
            if pixels {
                preprocess.value(value, channel(i))
            } else {
                value
            }
        }));
    }
    Ok((part, notes))
}

/// Number of samples in an array of shape `found`, and how to read them for `target`.
fn fit(found: &[usize], target: &InputShape) -> Result<(usize, Order, Option<String>), String> {
    let want = target.sample_dims();
    let squeezed =
        |dims: &[usize]| -> Vec<usize> { dims.iter().copied().filter(|&d| d != 1).collect() };
    let read_as = |how: &str| Some(format!("shape {} is read as {how}", shape_text(found)));
    if let Some((&count, rest)) = found.split_first() {
        if squeezed(rest) == squeezed(want) {
            return Ok((count, Order::AsIs, None));
        }
        if let (&[a, b, c], &[x, y, z]) = (rest, want) {
            if [a, b, c] == [y, z, x] {
                let note = read_as("channels last, and turned to the model's channels first");
                return Ok((count, Order::ToNchw, note));
            }
            if [a, b, c] == [z, x, y] {
                let note = read_as("channels first, and turned to the model's channels last");
                return Ok((count, Order::ToNhwc, note));
            }
        }
        let same = rest.iter().product::<usize>() == want.iter().product();
        if same && (rest.len() <= 1 || want.len() <= 1) {
            let each = shape_text(rest);
            let to = shape_text(target.dims());
            return Ok((
                count,
                Order::AsIs,
                read_as(&format!("samples of {each}, each laid out as {to}")),
            ));
        }
    }
    if squeezed(found) == squeezed(want) {
        return Ok((1, Order::AsIs, None));
    }
    Err(mismatch(found, target))
}

fn mismatch(found: &[usize], target: &InputShape) -> String {
    let want = target.sample_dims();
    let mut wanted = vec!["N".to_owned()];
    wanted.extend(want.iter().map(ToString::to_string));
    let wanted = wanted.join("x");
    let advice = match found {
        [] => "it holds a single value".to_owned(),
        [_, rest @ ..]
            if rest.len() == want.len()
                && rest.iter().product::<usize>() == want.iter().product() =>
        {
            "the axes are in another order; transpose the array".to_owned()
        }
        [_, rest @ ..] if rest.len() == want.len() && want.len() >= 2 => {
            "resize or crop the samples to the input's size before saving them".to_owned()
        }
        _ => format!("save the samples as an array of shape {wanted}"),
    };
    format!(
        "holds an array of shape {}, but the model's input is {} (an array of {wanted}): {advice}",
        shape_text(found),
        shape_text(target.dims()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(found: &[usize], target: &[usize]) -> Result<(usize, Order), String> {
        fit(found, &InputShape::new(target)).map(|(count, order, _)| (count, order))
    }

    #[test]
    fn axes_of_one_don_t_matter() {
        for found in [
            &[5, 28, 28][..],
            &[5, 1, 28, 28],
            &[5, 28, 28, 1],
            &[5, 1, 1, 28, 28],
        ] {
            for target in [
                &[1, 28, 28][..],
                &[1, 1, 28, 28],
                &[1, 28, 28, 1],
                &[28, 28],
            ] {
                assert_eq!(
                    fits(found, target),
                    Ok((5, Order::AsIs)),
                    "{found:?} for {target:?}"
                );
            }
        }
        assert_eq!(
            fits(&[28, 28], &[1, 1, 28, 28]),
            Ok((1, Order::AsIs)),
            "one sample, no batch"
        );
        assert_eq!(
            fits(&[1, 28, 28], &[1, 28, 28]),
            Ok((1, Order::AsIs)),
            "one sample, a batch"
        );
        assert_eq!(
            fits(&[28, 28, 28], &[1, 28, 28]),
            Ok((28, Order::AsIs)),
            "a batch first"
        );
    }

    #[test]
    fn channels_move_when_there_is_one_reading() {
        assert_eq!(
            fits(&[9, 32, 24, 3], &[1, 3, 32, 24]),
            Ok((9, Order::ToNchw))
        );
        assert_eq!(
            fits(&[9, 3, 32, 24], &[1, 32, 24, 3]),
            Ok((9, Order::ToNhwc))
        );
        assert_eq!(
            fits(&[9, 3, 3, 3], &[1, 3, 3, 3]),
            Ok((9, Order::AsIs)),
            "as it is first"
        );
        let reason = fits(&[9, 24, 32, 3], &[1, 3, 32, 24]).unwrap_err();
        assert!(
            reason.contains("9x24x32x3") && reason.contains("1x3x32x24"),
            "{reason}"
        );
        assert!(reason.ends_with("transpose the array"), "{reason}");
    }

    #[test]
    fn flat_and_square_are_the_same_values() {
        assert_eq!(fits(&[7, 784], &[1, 28, 28]), Ok((7, Order::AsIs)));
        assert_eq!(fits(&[7, 28, 28], &[1, 784]), Ok((7, Order::AsIs)));
        assert_eq!(
            fits(&[784], &[1, 28, 28]).unwrap_err(),
            "holds an array of shape 784, but the model's input is 1x28x28 (an array of Nx28x28): save the samples as an array of shape Nx28x28"
        );
    }

    #[test]
    fn other_sizes_say_both_shapes() {
        let reason = fits(&[7, 27, 27], &[1, 28, 28]).unwrap_err();
        assert_eq!(
            reason,
            "holds an array of shape 7x27x27, but the model's input is 1x28x28 (an array of Nx28x28): resize or crop the samples to the input's size before saving them"
        );
    }
}
