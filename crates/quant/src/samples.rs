//! A view of the samples the caller holds.

/// `n` samples, each with one array per model input, ONNX order, batch 1.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    inputs: Vec<(&'a [f32], usize)>,
    len: usize,
}

impl<'a> Samples<'a> {
    /// Samples of a model with one input: `data` is `n` times `elements` floats.
    /// None when `elements` is 0 or does not divide the length.
    pub fn single(data: &'a [f32], elements: usize) -> Option<Self> {
        Self::new(vec![(data, elements)])
    }

    /// One entry per model input: all samples one after another, and the elements of one.
    /// None when there is no input, a length is not a multiple, or the counts differ.
    pub fn new(inputs: Vec<(&'a [f32], usize)>) -> Option<Self> {
        let mut len = None;
        for &(data, elements) in &inputs {
            if elements == 0 || data.len() % elements != 0 {
                return None;
            }
            let n = data.len() / elements;
            if *len.get_or_insert(n) != n {
                return None;
            }
        }
        Some(Samples { len: len?, inputs })
    }

    /// No samples: enough for a model that brings its own exponents.
    pub fn none() -> Self {
        Samples {
            inputs: Vec::new(),
            len: 0,
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `n` of them.
    pub fn take(&self, n: usize) -> Self {
        let len = self.len.min(n);
        Samples {
            inputs: (self.inputs.iter())
                .map(|&(data, elements)| (&data[..len * elements], elements))
                .collect(),
            len,
        }
    }

    /// Sample `i`, one slice per input.
    ///
    /// # Panics
    /// When `i` is not below [`Samples::len`].
    pub fn get(&self, i: usize) -> Vec<&'a [f32]> {
        (self.inputs.iter())
            .map(|&(data, elements)| &data[i * elements..(i + 1) * elements])
            .collect()
    }
}
