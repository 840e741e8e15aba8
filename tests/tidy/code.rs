//! Which characters of a Rust source are code, comment, or the inside of a literal.
//!
//! Just enough of Rust's lexical grammar that a rule about code is not misled
//! by a comment or a string: nested comments, escapes, raw strings, and
//! lifetimes told from characters.

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Code,
    Comment,
    /// Inside of a string or character literal.
    Text,
}

/// A source, character by character.
pub(super) struct Code {
    chars: Vec<char>,
    classes: Vec<Class>,
    text: String,
}

impl Code {
    pub(super) fn new(source: &str) -> Code {
        let chars: Vec<char> = source.chars().collect();
        let classes = Vec::with_capacity(chars.len());
        let text = String::new();
        let mut code = Code {
            chars,
            classes,
            text,
        };
        while let Some(char) = code.at(0) {
            if matches!(char, '/' | '"' | '\'' | 'r' | 'b' | 'c') {
                code.token();
            } else {
                code.classes.push(Class::Code);
            }
        }
        code.text = code.only(&[Class::Code]);
        code
    }

    /// The source with comments and literals blank, line for line.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The source with comments blank, line for line.
    pub(super) fn without_comments(&self) -> String {
        self.only(&[Class::Code, Class::Text])
    }

    fn only(&self, shown: &[Class]) -> String {
        let both = self.chars.iter().zip(&self.classes);
        let blank = |(char, class): (&char, &Class)| {
            if *char == '\n' || shown.contains(class) {
                *char
            } else {
                ' '
            }
        };
        both.map(blank).collect()
    }

    /// Of each line: its columns, and those that are not inside of a literal.
    pub(super) fn columns(&self) -> Vec<(usize, usize)> {
        let mut lines = vec![(0, 0)];
        for (char, class) in self.chars.iter().zip(&self.classes) {
            let last = lines.last_mut().expect("there is a first line");
            if *char == '\n' {
                lines.push((0, 0));
            } else {
                last.0 += 1;
                last.1 += usize::from(*class != Class::Text);
            }
        }
        lines
    }

    fn at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.classes.len() + ahead).copied()
    }

    fn push(&mut self, count: usize, class: Class) {
        let end = (self.classes.len() + count).min(self.chars.len());
        self.classes.resize(end, class);
    }

    /// Takes the next token, or one character of one.
    fn token(&mut self) {
        let before = self.classes.len().checked_sub(1).map(|at| self.chars[at]);
        let in_word = before.is_some_and(|char| char.is_alphanumeric() || char == '_');
        match (self.at(0), self.at(1)) {
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('\''), _) => self.quote(),
            (Some('b' | 'c'), Some('r')) if !in_word && self.hashes(2).is_some() => {
                self.push(1, Class::Code);
                self.raw_string();
            }
            (Some('r'), _) if !in_word && self.hashes(1).is_some() => self.raw_string(),
            _ => self.push(1, Class::Code),
        }
    }

    fn line_comment(&mut self) {
        let rest = &self.chars[self.classes.len()..];
        let end = rest.iter().position(|char| *char == '\n');
        self.push(end.unwrap_or(rest.len()), Class::Comment);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while let Some(char) = self.at(0) {
            match (char, self.at(1)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => {
                    self.push(1, Class::Comment);
                    continue;
                }
            }
            self.push(2, Class::Comment);
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.push(1, Class::Code);
        while let Some(char) = self.at(0) {
            match char {
                '\\' => self.push(2, Class::Text),
                '"' => return self.push(1, Class::Code),
                _ => self.push(1, Class::Text),
            }
        }
    }

    /// A character, or the mark of a lifetime.
    fn quote(&mut self) {
        let escaped = self.at(1) == Some('\\');
        if !escaped && self.at(2) != Some('\'') {
            return self.push(1, Class::Code);
        }
        self.push(1, Class::Code);
        self.push(if escaped { 2 } else { 1 }, Class::Text);
        while self.at(0).is_some_and(|char| char != '\'') {
            self.push(1, Class::Text);
        }
        self.push(1, Class::Code);
    }

    /// How many `#` stand between `ahead` and a quotation mark.
    fn hashes(&self, ahead: usize) -> Option<usize> {
        let count = (ahead..).take_while(|at| self.at(*at) == Some('#')).count();
        (self.at(ahead + count) == Some('"')).then_some(count)
    }

    /// From the `r` on.
    fn raw_string(&mut self) {
        let hashes = self.hashes(1).expect("it was looked at before");
        self.push(hashes + 2, Class::Code);
        while let Some(char) = self.at(0) {
            let closes = (1..=hashes).all(|at| self.at(at) == Some('#'));
            if char == '"' && closes {
                return self.push(hashes + 1, Class::Code);
            }
            self.push(1, Class::Text);
        }
    }
}

/// Where `word` stands in code as a whole word: byte offsets.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = code[..*at].chars().next_back();
            let after = code[at + word.len()..].chars().next();
            !before.is_some_and(part) && !after.is_some_and(part)
        })
}

/// The line an offset lies in, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn only_code_is_code() {
    let source = "a /* b /* c */ d */ \"e\\\" f\" 'g' '\\'' <'h> r#\"i\" j\"# br\"k\" // l\nm\n";
    let words: Vec<String> = Code::new(source)
        .text()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let expected = [
        "a", "\"", "\"", "'", "'", "'", "'", "<'h>", "r#\"", "\"#", "br\"", "\"", "m",
    ];
    assert_eq!(words, expected);
}

#[test]
fn a_literal_is_not_counted_in_columns() {
    let columns = Code::new("let a = \"12345\";\n// six\n").columns();
    assert_eq!(columns, [(16, 11), (6, 6), (0, 0)]);
}

#[test]
fn a_word_is_a_whole_word() {
    let found: Vec<usize> = words("unsafe unsafe_code not_unsafe unsafe{", "unsafe").collect();
    assert_eq!(found, [0, 30]);
}
