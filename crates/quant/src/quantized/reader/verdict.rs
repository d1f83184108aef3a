//! Whether a quantized file can be taken as it is, in words.

use super::super::scheme::Kind;
use super::super::{Form, Reader};

/// Most tensors that a message names.
const NAMED: usize = 3;

impl Reader<'_> {
    /// Whether the file can be taken as it is; if not, why.
    pub(super) fn judge(&mut self) {
        // Activations say most about a scheme, biases follow from the rest.
        (self.others).sort_by_key(|(name, scheme, _)| match self.schemes.contains_key(name) {
            true => 0,
            false => 1 + u8::from(scheme.kind == Kind::I32),
        });
        let form = self.found.form.unwrap_or(Form::Qdq);
        let kinds = match self.given.bits {
            Some(bits) if self.given.activations.is_empty() => {
                format!("weights alone, {}", bits.name())
            }
            Some(_) if self.mixed => "int8 and int16".to_owned(),
            Some(bits) => bits.name().to_owned(),
            None => "no activations".to_owned(),
        };
        let channels = match self.channels {
            true => "per channel",
            false => "per tensor",
        };
        self.found.scheme = match (form, self.others.first()) {
            (Form::Dynamic, _) => "scales found at run time".to_owned(),
            (_, Some((name, scheme, _))) => format!("'{name}' is {scheme}"),
            (_, None) => format!("{kinds}, zero point 0, powers of two, weights {channels}"),
        };
        if self.anew {
            return;
        }
        const AGAIN: &str = "Quantize it again from its own weights (--requantize on the command \
                             line, the button on the page), with calibration samples, or take the \
                             float model.";
        if form == Form::Dynamic {
            self.found.problems = vec![format!(
                "The model is quantized dynamically: it has no scales for its activations until it \
                 runs, and the chip's integers need them beforehand. {AGAIN}"
            )];
            return;
        }
        if !self.others.is_empty() {
            let count = self.others.len();
            let named: Vec<String> = (self.others.iter().take(NAMED))
                .map(|(name, scheme, why)| format!("'{name}' is {scheme} ({why})"))
                .collect();
            let more = match count.saturating_sub(NAMED) {
                0 => String::new(),
                n => format!(", and {n} more"),
            };
            self.found.problems = vec![format!(
                "The model is quantized already ({}), in a scheme that the chip's arithmetic can't \
                 follow bit for bit: that takes signed integers around zero point 0 and powers of \
                 two as scales. {}{more}. {AGAIN}",
                form.name(),
                named.join("; "),
            )];
        } else if !self.found.problems.is_empty() {
            self.found.problems.push(AGAIN.to_owned());
        } else if self.given.bits.is_none() {
            self.found.problems.push(format!(
                "The model says of none of its tensors how it is scaled. {AGAIN}"
            ));
        } else {
            self.graph.given = std::mem::take(&mut self.given);
        }
    }
}
