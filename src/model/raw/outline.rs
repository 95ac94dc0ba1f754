//! One walk over the text of an object: whether it is JSON, where its members are, whether there is white space between tokens.
//!
//! What is refused here and what is taken is what serde_json refuses and takes; a refused text is given to it once more, and
//! it says why. Keeping a record is mostly reading it, and this is the one reading that looks at every byte.

use crate::model::raw::{Malformed, Member, check, members_of_checked};

/// An object as it stands in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline<'a> {
    /// In their order, repeated keys included.
    pub members: Vec<Member<'a>>,
    /// Whether no white space stands between its tokens, so that the text is minified already.
    pub is_compact: bool,
}

/// Checks that `text` is a JSON object and nothing more, and finds its members.
///
/// # Errors
/// When `text` is not valid JSON or not an object.
pub fn outline(text: &str) -> Result<Outline<'_>, Malformed> {
    let mut walk = Walk { bytes: text.as_bytes(), at: 0, is_compact: true, open: Vec::new() };
    match walk.object(text) {
        Some(members) => Ok(Outline { members, is_compact: walk.is_compact }),
        // It has the word of what is JSON, and says what is wrong.
        None => {
            check(text)?;
            Ok(Outline { members: members_of_checked(text)?, is_compact: false })
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    is_compact: bool,
    /// The brackets that close what is open within a member, innermost last.
    open: Vec<u8>,
}

/// Steps give `None` where the text is not JSON.
impl Walk<'_> {
    fn object<'t>(&mut self, text: &'t str) -> Option<Vec<Member<'t>>> {
        let mut members = Vec::new();
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
        } else {
            loop {
                let (_, key) = (self.peek()?, self.at);
                self.string()?;
                let key = &text[key..self.at];
                self.take(b':')?;
                let (_, value) = (self.peek()?, self.at);
                self.value()?;
                members.push(Member { key, value: &text[value..self.at] });
                let mark = self.peek()?;
                self.at += 1;
                match mark {
                    b',' => {}
                    b'}' => break,
                    _ => return None,
                }
            }
        }
        self.peek().is_none().then_some(members)
    }

    /// The next byte that is not white space, at which the walk then stands.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.at += 1;
                    self.is_compact = false;
                }
                byte => return Some(byte),
            }
        }
    }

    #[inline]
    fn take(&mut self, mark: u8) -> Option<()> {
        (self.peek()? == mark).then(|| self.at += 1)
    }

    /// Steps over a value, however deep.
    fn value(&mut self) -> Option<()> {
        'value: loop {
            match self.peek()? {
                b'"' => self.string()?,
                b'n' => self.literal(b"null")?,
                b'{' => {
                    self.at += 1;
                    if self.peek()? != b'}' {
                        self.open.push(b'}');
                        self.key()?;
                        continue;
                    }
                    self.at += 1;
                }
                b'[' => {
                    self.at += 1;
                    if self.peek()? != b']' {
                        self.open.push(b']');
                        continue;
                    }
                    self.at += 1;
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                _ => self.number()?,
            }
            loop {
                let Some(close) = self.open.last().copied() else { return Some(()) };
                let mark = self.peek()?;
                self.at += 1;
                if mark == b',' {
                    if close == b'}' {
                        self.key()?;
                    }
                    continue 'value;
                }
                if mark != close {
                    return None;
                }
                self.open.pop();
            }
        }
    }

    #[inline]
    fn key(&mut self) -> Option<()> {
        self.peek()?;
        self.string()?;
        self.take(b':')
    }

    #[inline]
    fn literal(&mut self, letters: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(letters).then(|| self.at += letters.len())
    }

    /// Steps over the string here.
    #[inline]
    fn string(&mut self) -> Option<()> {
        if *self.bytes.get(self.at)? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            self.at += plain(&self.bytes[self.at..]);
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let length = match self.bytes.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
            b'u' => self.bytes.get(self.at + 2..self.at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(6)?,
            _ => return None,
        };
        self.at += length;
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        match self.bytes.get(self.at)? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return None,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        // Whatever follows is no part of a value, so a second digit after a leading zero is refused there.
        Some(())
    }

    /// Steps over digits, of which there must be one.
    fn digits(&mut self) -> Option<()> {
        let count = self.bytes.get(self.at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }
}

/// How many bytes come before the first that does not stand for itself in a string: a quote, a backslash, a control character.
/// Most strings are too short for a vector to pay, so eight bytes are looked at in one word.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    const SPACES: u64 = u64::from_le_bytes([b' '; 8]);
    // The lowest bit that is set stands for the first byte that is meant; higher ones may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let below_space = |word: u64| word.wrapping_sub(SPACES) & !word;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let marks = (zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES) | below_space(word)) & HIGH_BITS;
        if marks != 0 {
            return n * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
    words.len() * 8 + in_rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::*;

    /// What the walk says of a text, where it takes it.
    fn walked(text: &str) -> Option<Vec<Member<'_>>> {
        Walk { bytes: text.as_bytes(), at: 0, is_compact: true, open: Vec::new() }.object(text)
    }

    fn is_taken_as_serde_json_takes_it(text: &str) {
        let expected = check(text).and_then(|()| members_of_checked(text));
        assert_eq!(walked(text), expected.clone().ok(), "{text}");
        assert_eq!(outline(text).map(|outline| outline.members), expected, "{text}");
        if let Ok(outline) = outline(text) {
            let mut minified = String::new();
            crate::model::raw::push_minified(text, &mut minified);
            assert_eq!(outline.is_compact, minified == text, "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_and_what_is_json_is_taken() {
        let values = [
            "0",
            "-0",
            "-",
            "01",
            "-01",
            "1.",
            ".5",
            "1.5",
            "1.5e",
            "1e+",
            "1e-7",
            "1E400",
            "+1",
            "1_",
            "--1",
            "Infinity",
            "NaN",
            "true",
            "tru",
            "truex",
            "false",
            "null",
            "nul",
            "nulll",
            "\"\"",
            "\"a\"",
            "\"a",
            "\"\\u00e9\"",
            "\"\\u00e\"",
            "\"\\ud83d\"",
            "\"\\x\"",
            "\"\\",
            "\"\u{1}\"",
            "\"abcdefg\u{1f}\"",
            "\"abcdefgh\n\"",
            "\"\u{7f}é\u{80}\"",
            "[]",
            "[1]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[[[[]]]]",
            "[[[[]]]",
            "[}",
            "{}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1,\"b\":[{}]}",
            "{a:1}",
            "{\"a\" : { \"b\" :\t[ 1 ,\n2 ]\r} }",
            "",
            " ",
            "\u{a0}",
            "1 1",
            "\\",
            "//",
            "'a'",
        ];
        for value in values {
            for text in [
                format!("{{\"k\":{value}}}"),
                format!("{{\"k\":[{value}],\"l\":0}}"),
                value.to_owned(),
                format!("{{\"k\":{value}"),
            ] {
                is_taken_as_serde_json_takes_it(&text);
            }
        }
        for text in
            ["{}", "{ }", " {} ", "{},", "{}{}", "{\"a\":1}x", "{\"a\":1 }\n", "{,}", "{\"a\":1,}", "{\"a\":1 \"b\":2}"]
        {
            is_taken_as_serde_json_takes_it(text);
        }
        let deep = format!("{{\"k\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(walked(&deep).map(|members| members.len()), Some(1));
    }

    fn json_like() -> impl Strategy<Value = String> {
        const PIECES: [&str; 24] = [
            "{", "}", "[", "]", ",", ":", "\"", "\"k\":", "\"k\"", "{\"k\":", "null", "true", "false", "0", "-1",
            "1.5", "e3", "\\", "\\u0041", " ", "\n", "{}", "[]", "é",
        ];
        let piece =
            prop_oneof![9 => proptest::sample::select(&PIECES[..]).prop_map(str::to_owned), 1 => any::<String>()];
        proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_serde_json_takes_it(text in json_like(), inner in json_like()) {
            is_taken_as_serde_json_takes_it(&text);
            is_taken_as_serde_json_takes_it(&format!("{{\"k\":{inner}}}"));
            is_taken_as_serde_json_takes_it(&format!("{{\"k\":\"{inner}\"}}"));
        }
    }
}
