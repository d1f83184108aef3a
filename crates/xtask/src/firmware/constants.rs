//! Named numbers in assembly files. LLVM's assembler for Xtensa takes no symbol where an instruction
//! has an immediate, so the names that `.set NAME, NUMBER` gives are replaced before it reads a file.

/// Names and numbers, as they are written.
#[derive(Default)]
pub(super) struct Constants(Vec<(String, String)>);

impl Constants {
    /// Adds those that `source` sets.
    pub(super) fn read(&mut self, source: &str) {
        for line in source.lines() {
            let set = line.trim().strip_prefix(".set ");
            if let Some((name, number)) = set.and_then(|set| set.split_once(','))
                && number.trim().parse::<i64>().is_ok()
            {
                let pair = (name.trim().to_owned(), number.trim().to_owned());
                self.0.push(pair);
            }
        }
    }

    /// The text with numbers for names, line by line.
    pub(super) fn replace(&self, source: &str) -> String {
        let mut replaced = String::with_capacity(source.len());
        for line in source.lines() {
            if line.trim().starts_with(".set ") {
                replaced.push_str(line);
            } else {
                self.replace_in(line, &mut replaced);
            }
            replaced.push('\n');
        }
        replaced
    }

    fn replace_in(&self, line: &str, replaced: &mut String) {
        let in_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let mut rest = line;
        while let Some(start) = rest.find(in_word) {
            let (before, from_word) = rest.split_at(start);
            let end = from_word.find(|letter| !in_word(letter));
            let (word, after) = from_word.split_at(end.unwrap_or(from_word.len()));
            let known = self.0.iter().find(|(name, _)| name == word);
            replaced.push_str(before);
            replaced.push_str(known.map_or(word, |(_, number)| number));
            rest = after;
        }
        replaced.push_str(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::Constants;

    #[test]
    fn names_become_numbers_and_parts_of_names_stay() {
        let mut constants = Constants::default();
        constants.read("    .set GAP, 60\n  .set W_GAP, -4\n.set OTHER, a\n");
        assert_eq!(
            constants
                .replace(".set GAP, 60\nl32i a2, a3, GAP // GAPS\naddi a2, a2, W_GAP; j OTHER"),
            ".set GAP, 60\nl32i a2, a3, 60 // GAPS\naddi a2, a2, -4; j OTHER\n"
        );
    }
}
