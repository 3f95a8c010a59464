//! Reading Rust as text: what is code, what is a comment, and what is only built for tests.

/// One text file of the repository, under its path from the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a character is part of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Class {
    Code,
    Comment,
    Literal,
}

/// The class of each character. Knows comments in comments, raw strings, and a lifetime from a character.
fn classes(text: &[char]) -> Vec<Class> {
    let mut classes = vec![Class::Code; text.len()];
    let at = |index: usize| text.get(index).copied().unwrap_or('\n');
    let mut index = 0;
    while index < text.len() {
        let start = index;
        let raw = (at(index) == 'r' && (index == 0 || !is_word(at(index - 1)) || at(index - 1) == 'b'))
            .then(|| (index + 1..).take_while(|&next| at(next) == '#').count())
            .filter(|hashes| at(index + 1 + hashes) == '"');
        let class = if at(index) == '/' && at(index + 1) == '/' {
            while index < text.len() && at(index) != '\n' {
                index += 1;
            }
            Class::Comment
        } else if at(index) == '/' && at(index + 1) == '*' {
            let mut depth = 0;
            while index < text.len() {
                match (at(index), at(index + 1)) {
                    ('/', '*') => (depth, index) = (depth + 1, index + 2),
                    ('*', '/') => (depth, index) = (depth - 1, index + 2),
                    _ => index += 1,
                }
                if depth == 0 {
                    break;
                }
            }
            Class::Comment
        } else if let Some(hashes) = raw {
            index += hashes + 2;
            while index < text.len() && !(at(index) == '"' && (1..=hashes).all(|hash| at(index + hash) == '#')) {
                index += 1;
            }
            index += hashes + 1;
            Class::Literal
        } else if at(index) == '"' || (at(index) == '\'' && (at(index + 1) == '\\' || at(index + 2) == '\'')) {
            let quote = at(index);
            index += 1;
            while index < text.len() && at(index) != quote {
                index += if at(index) == '\\' { 2 } else { 1 };
            }
            index += 1;
            Class::Literal
        } else {
            index += 1;
            Class::Code
        };
        let end = index.min(text.len());
        classes[start..end].fill(class);
    }
    classes
}

impl File {
    /// Whether the whole file is only built for tests or models.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("src/models/") || self.path.ends_with("tests.rs") || self.path.contains("/tests/")
    }

    /// The text with everything but one class blanked out; lines stay where they are.
    pub(crate) fn only(&self, class: Class) -> String {
        let text: Vec<char> = self.text.chars().collect();
        let classes = classes(&text);
        text.iter().zip(classes).map(|(&c, found)| if found == class || c == '\n' { c } else { ' ' }).collect()
    }

    /// The code that is built into the library: without comments, literals and what is only built for tests.
    pub(crate) fn product(&self) -> String {
        let mut code = self.only(Class::Code).into_bytes();
        if self.is_test() {
            return String::new();
        }
        let mut from = 0;
        while let Some(start) = ["#[cfg(test)]", "#[cfg(all(test,"]
            .iter()
            .filter_map(|attribute| find(&code[from..], attribute.as_bytes()))
            .min()
            .map(|offset| from + offset)
        {
            from = end_of_item(&code, start);
            code[start..from].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        String::from_utf8(code).unwrap()
    }

    /// The path below `src`, and the module at the crate's root that it belongs to.
    pub(crate) fn module(&self) -> &str {
        let below = self.path.trim_start_matches("src/");
        below.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// Every place in `code` where `word` stands as a whole word, with its line.
    pub(crate) fn places<'a>(&'a self, code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, String)> + 'a {
        code.match_indices(word).filter_map(move |(at, _)| {
            let (before, after) = (code[..at].chars().next_back(), code[at + word.len()..].chars().next());
            let whole = |edge: Option<char>, side: Option<char>| {
                !(edge.is_some_and(is_word) && side.is_some_and(|c| is_word(c) || c == '\''))
            };
            let (first, last) = (word.chars().next(), word.chars().next_back());
            let line = code[..at].matches('\n').count() + 1;
            (whole(first, before) && whole(last, after)).then(|| (at, format!("{}:{line}", self.path)))
        })
    }
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Where the item ends that starts with an attribute at `start`: behind its block, or its semicolon.
fn end_of_item(code: &[u8], start: usize) -> usize {
    let (mut round, mut curly) = (0, 0);
    for (index, byte) in code.iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => round += 1,
            b')' | b']' => round -= 1,
            b'{' => curly += 1,
            b'}' => curly -= 1,
            _ => {}
        }
        if round == 0 && curly == 0 && matches!(byte, b'}' | b';') {
            return index + 1;
        }
    }
    code.len()
}

/// The word at the start of `text`.
pub(crate) fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}
