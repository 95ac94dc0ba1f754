//! A single value of Graph's JSON, and what can be made of it: text, number, truth, time, length of time, name of a type.

use std::borrow::Cow;

use crate::model::{
    time::{self, Age, Timestamp},
    view::{Field, Reader},
};

/// A value as it stands in the text, made into something only when asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leaf<'a>(&'a str);

impl<'a> Leaf<'a> {
    /// Whether the member stands in the text, be it as null.
    #[must_use]
    pub fn is_present(self) -> bool {
        !self.0.is_empty()
    }

    /// The value letter for letter; `None` where it is missing or null.
    #[must_use]
    pub fn json(self) -> Option<&'a str> {
        Some(self.0).filter(|text| !matches!(*text, "" | "null"))
    }

    /// The text of a string, number or boolean. Graph sends `""` as well as null for "unknown": both are `None`.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let text = match self.json()?.as_bytes()[0] {
            b'"' => unquoted(self.0),
            b'{' | b'[' => return None,
            _ => Cow::Borrowed(self.0),
        };
        Some(text).filter(|text| !text.is_empty())
    }

    #[must_use]
    pub fn owned(self) -> Option<String> {
        self.text().map(Cow::into_owned)
    }

    /// A finite number, also when it comes as text. OData's `"NaN"` and `"INF"` are `None`.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        self.text()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// A whole number, also when it comes as text or as `4.0`.
    #[must_use]
    pub fn integer(self) -> Option<i64> {
        self.text()?.parse().ok().or_else(|| {
            let number = self.number()?;
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
        })
    }

    #[must_use]
    pub fn boolean(self) -> Option<bool> {
        let text = self.text()?;
        [true, false].into_iter().find(|value| text.eq_ignore_ascii_case(if *value { "true" } else { "false" }))
    }

    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::parse(&self.text()?)
    }

    #[must_use]
    pub fn duration(self) -> Option<Age> {
        time::parse_edm_duration(&self.text()?)
    }

    /// The last name part of an `@odata.type`: `#microsoft.graph.callRecords.serviceEndpoint` is a `serviceEndpoint`.
    #[must_use]
    pub fn type_name(self) -> Option<Cow<'a, str>> {
        let name = match self.text()? {
            Cow::Borrowed(text) => Cow::Borrowed(last_name_part(text)),
            Cow::Owned(text) => Cow::Owned(last_name_part(&text).to_owned()),
        };
        Some(name).filter(|name| !name.is_empty())
    }
}

impl<'a> Field<'a> for Leaf<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) {
        *self = Leaf(reader.skip());
    }
}

fn last_name_part(text: &str) -> &str {
    text.rsplit(['.', '#']).next().unwrap_or(text)
}

/// The characters of a JSON string given with its quotes.
pub(super) fn unquoted(quoted: &str) -> Cow<'_, str> {
    let text = quoted.strip_prefix('"').unwrap_or(quoted);
    let text = text.strip_suffix('"').unwrap_or(text);
    if super::plain(text.as_bytes()) < text.len() { Cow::Owned(unescaped(text)) } else { Cow::Borrowed(text) }
}

/// Resolves escapes. A surrogate without its other half, as cutting a text between them leaves it, becomes U+FFFD.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut after = escape.chars();
        let mark = after.next();
        rest = after.as_str();
        match mark {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let first = take_unit(&mut rest);
                let mut after_pair = rest.strip_prefix("\\u").unwrap_or("");
                let pair = first.and_then(|high| surrogate_pair(high, take_unit(&mut after_pair)?));
                if pair.is_some() {
                    rest = after_pair;
                }
                let single = || first.and_then(|unit| char::from_u32(unit.into()));
                out.push(pair.or_else(single).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out.push_str(rest);
    out
}

/// Takes the four hexadecimal digits that `rest` begins with.
fn take_unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    *rest = after;
    Some(unit)
}

fn surrogate_pair(high: u16, low: u16) -> Option<char> {
    char::decode_utf16([high, low]).next()?.ok().filter(|_| (0xD800..0xDC00).contains(&high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn leaves_take_what_graph_sends_and_refuse_the_rest() {
        let text = |json| Leaf(json).owned();
        assert_eq!(text(r#""\u0041\ud83d\ude00 \"\/\\\n""#).as_deref(), Some("A😀 \"/\\\n"));
        assert_eq!(text(r#""cut \ud83d""#).as_deref(), Some("cut \u{fffd}"));
        assert_eq!(text(r#""\ud83d\u0041\udE00""#).as_deref(), Some("\u{fffd}A\u{fffd}"));
        assert_eq!((text("12"), text("\"\""), text("null"), text("")), (Some("12".into()), None, None, None));
        let numbers = ["0", "1.5", "\"0.25\"", "\"NaN\"", "\"-INF\"", "1e999", "true", "{}"];
        let read = numbers.map(|json| Leaf(json).number());
        assert_eq!(read, [Some(0.0), Some(1.5), Some(0.25), None, None, None, None, None]);
        let integers = ["3", "\"9007199254740993\"", "4.0", "4.5", "null"].map(|json| Leaf(json).integer());
        assert_eq!(integers, [Some(3), Some(9_007_199_254_740_993), Some(4), None, None]);
        assert_eq!(["true", "\"False\"", "1"].map(|json| Leaf(json).boolean()), [Some(true), Some(false), None]);
        for tag in ["\"#microsoft.graph.callRecords.userAgent\"", "\"userAgent\"", "\"#userAgent\""] {
            assert_eq!(Leaf(tag).type_name().as_deref(), Some("userAgent"));
        }
    }

    proptest! {
        #[test]
        fn no_escape_whatever_makes_it_panic(text in any::<String>(), json_like in "[\\\\\"aud8c0-9é]{0,40}") {
            for text in [text, json_like] {
                let _ = (unescaped(&text), unquoted(&text), Leaf(&text).text());
            }
        }
    }
}
