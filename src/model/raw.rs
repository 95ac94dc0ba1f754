//! Cuts JSON text into its members and elements without touching a byte of them.
//!
//! serde_json says what is JSON; what is done here is only to find where the pieces begin and end, which no
//! reader that turns numbers into floats and strings into characters could give back letter for letter.

mod outline;

use serde::de::IgnoredAny;

pub use self::outline::{Outline, outline};

/// Why a text cannot be cut.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("not UTF-8")]
    NotUtf8,
    #[error("{0}")]
    NotJson(String),
    #[error("expected a JSON {0}")]
    Expected(&'static str),
}

/// A member of an object as it stands in the text: the key with its quotes, the value without white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    pub key: &'a str,
    pub value: &'a str,
}

/// Checks that `text` is one JSON value and nothing more.
pub fn check(text: &str) -> Result<(), Malformed> {
    serde_json::from_str::<IgnoredAny>(text).map(drop).map_err(|error| Malformed::NotJson(error.to_string()))
}

/// The members of the object that `text` is, in their order, repeated keys included.
///
/// # Errors
/// When `text` is not valid JSON or not an object.
pub fn members(text: &str) -> Result<Vec<Member<'_>>, Malformed> {
    outline(text).map(|outline| outline.members)
}

/// The elements of the array that `text` is.
///
/// # Errors
/// When `text` is not an array.
pub fn elements(text: &str) -> Result<Vec<&str>, Malformed> {
    let mut scan = Scan::open(text, b'[').ok_or(Malformed::Expected("array"))?;
    let mut found = Vec::new();
    while let Some(element) = scan.value(b']') {
        found.push(element);
    }
    Ok(found)
}

/// The value of the member `key`; the last one where the key is repeated, as parsers take it.
#[must_use]
pub fn value<'a>(members: &[Member<'a>], key: &str) -> Option<&'a str> {
    let named = |member: &&Member| member.key.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) == Some(key);
    members.iter().rev().find(named).map(|member| member.value)
}

/// Appends `text` without the white space between its tokens.
pub fn push_minified(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b' ' | b'\t' | b'\n' | b'\r' => {
                out.push_str(&text[copied..at]);
                at += 1;
                copied = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
}

/// As [`members`], of text that is known to be JSON.
pub(crate) fn members_of_checked(text: &str) -> Result<Vec<Member<'_>>, Malformed> {
    let mut scan = Scan::open(text, b'{').ok_or(Malformed::Expected("object"))?;
    let mut found = Vec::new();
    while let Some(key) = scan.value(b'}') {
        scan.skip(b':');
        let value = scan.value(b'}').ok_or(Malformed::Expected("object"))?;
        found.push(Member { key, value });
    }
    Ok(found)
}

/// Walks over the values of one array or object of checked JSON.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn open(text: &'a str, bracket: u8) -> Option<Self> {
        let mut scan = Self { text, at: 0 };
        scan.space();
        (scan.text.as_bytes().get(scan.at) == Some(&bracket)).then(|| {
            scan.at += 1;
            scan
        })
    }

    /// The next value, or `None` at the bracket that closes; steps over the comma before it.
    fn value(&mut self, close: u8) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        self.skip(b',');
        if bytes.get(self.at).is_none_or(|byte| *byte == close) {
            return None;
        }
        let start = self.at;
        let mut depth = 0_usize;
        while self.at < bytes.len() {
            match bytes[self.at] {
                b'"' => {
                    self.at = string_end(bytes, self.at);
                    if depth == 0 {
                        break;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        // Only text that is no JSON has nothing where a value must be: without this, `[}` would go on for ever.
        (start < self.at).then(|| &self.text[start..self.at])
    }

    fn skip(&mut self, mark: u8) {
        self.space();
        if self.text.as_bytes().get(self.at) == Some(&mark) {
            self.at += 1;
            self.space();
        }
    }

    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }
}

/// The position after the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, proptest};

    #[test]
    fn members_keep_their_letters_order_and_repeats() {
        let text = " { \"a\\u0062\" : -0.0 , \"x\":{\"y\":[1, {\"z\":\"]}\\\"\"}]},\"x\":[ ] , \"t\":true}\n";
        let found: Vec<_> = members(text).unwrap().iter().map(|member| (member.key, member.value)).collect();
        assert_eq!(
            found,
            [
                ("\"a\\u0062\"", "-0.0"),
                ("\"x\"", "{\"y\":[1, {\"z\":\"]}\\\"\"}]}"),
                ("\"x\"", "[ ]"),
                ("\"t\"", "true")
            ]
        );
        assert_eq!(value(&members(text).unwrap(), "x"), Some("[ ]"));
        assert_eq!(
            elements(" [1, \"a,b\" ,[2,[3]],{\"c\":4},null ] ").unwrap(),
            ["1", "\"a,b\"", "[2,[3]]", "{\"c\":4}", "null"]
        );
        assert_eq!(elements("[]").unwrap(), [""; 0]);
        assert_eq!(members("[]"), Err(Malformed::Expected("object")));
        assert_eq!(elements("[}"), Ok(vec![]));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = proptest::prop_oneof![
            proptest::strategy::Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            proptest::prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn cut_and_minified_json_means_the_same(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let mut minified = String::new();
            push_minified(&text, &mut minified);
            assert_eq!(minified, serde_json::to_string(&value).unwrap());
            if let Some(array) = value.as_array() {
                let cut: Vec<serde_json::Value> = elements(&text).unwrap().iter().map(|e| serde_json::from_str(e).unwrap()).collect();
                assert_eq!(&cut, array);
            }
            if let Some(object) = value.as_object() {
                let cut: serde_json::Map<String, serde_json::Value> = members(&text).unwrap().iter()
                    .map(|m| (serde_json::from_str(m.key).unwrap(), serde_json::from_str(m.value).unwrap())).collect();
                assert_eq!(&cut, object);
            }
        }

        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>()) {
            let _ = members(&text);
            let _ = elements(&text);
            push_minified(&text, &mut String::new());
        }
    }
}
