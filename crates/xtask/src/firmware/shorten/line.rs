//! Assembly text, line by line.

/// A line of assembly.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    /// Mnemonic and operands.
    Instruction(String, Vec<String>),
    /// Label, directive or comment.
    Other(String),
    /// Left out.
    Gone,
}

impl Line {
    pub(super) fn read(line: &str) -> Self {
        let code = line.split('#').next().unwrap_or_default();
        let mut words = code.trim().splitn(2, char::is_whitespace);
        let name = words.next().unwrap_or_default();
        // Strings of data may have a `#`; only lines of directives have strings.
        let is_instruction = code.starts_with('\t')
            && !name.is_empty()
            && !name.starts_with('.')
            && !name.ends_with(':');
        if !is_instruction {
            return Self::Other(line.to_owned());
        }
        let operands = words.next().unwrap_or_default().split(',');
        let operands = operands.map(|operand| operand.trim().to_owned());
        Self::Instruction(
            name.to_owned(),
            operands.filter(|operand| !operand.is_empty()).collect(),
        )
    }

    pub(super) fn new(name: &str, operands: &[&str]) -> Self {
        let operands = operands.iter().map(|operand| (*operand).to_owned());
        Self::Instruction(name.to_owned(), operands.collect())
    }

    /// The operands, if it is the instruction `name`.
    pub(super) fn operands(&self, name: &str) -> Option<Vec<&str>> {
        match self {
            Self::Instruction(other, operands) if other == name => {
                Some(operands.iter().map(String::as_str).collect())
            }
            _ => None,
        }
    }

    /// Value and label of a literal, the words of a `.literal` directive.
    pub(super) fn literal(&self) -> Option<(&str, &str)> {
        let Self::Other(line) = self else { return None };
        let rest = line.trim().strip_prefix(".literal")?;
        let (label, value) = rest
            .starts_with(char::is_whitespace)
            .then_some(rest)?
            .split_once(',')?;
        Some((label.trim(), value.trim()))
    }

    /// Whether control may leave or enter here.
    pub(super) fn ends_block(&self) -> bool {
        match self {
            Self::Instruction(name, _) => {
                name.starts_with('b')
                    || name.starts_with('j')
                    || name.starts_with("loop")
                    || name.starts_with("call")
                    || name == "ret"
            }
            // A label of its own line; comments and directives are passed by.
            Self::Other(line) => {
                !line.starts_with(char::is_whitespace) && !line.starts_with('#') && !line.is_empty()
            }
            Self::Gone => false,
        }
    }
}
