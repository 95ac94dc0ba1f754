//! Writes JSON text as Graph spells it. No tree, no reflection: a record of a thousand sessions is one long string.

use std::fmt::{Display, Write};

use crate::model::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct Json(String);

impl Json {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(16 * 1024))
    }

    /// The text that `write` makes.
    pub(super) fn new_with(write: impl FnOnce(&mut Self)) -> String {
        let mut json = Self(String::new());
        write(&mut json);
        json.0
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Text that is JSON already.
    pub(super) fn raw(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    /// Anything whose display form is JSON already.
    pub(super) fn show(&mut self, value: impl Display) -> &mut Self {
        let written = write!(self.0, "{value}");
        debug_assert!(written.is_ok(), "a String takes everything");
        self
    }

    /// Text in quotes.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push('"');
        for letter in text.chars() {
            match letter {
                '"' | '\\' => {
                    self.0.push('\\');
                    self.0.push(letter);
                }
                '\r' => self.0.push_str("\\r"),
                '\n' => self.0.push_str("\\n"),
                letter if letter < ' ' => {
                    self.show(format_args!("\\u{:04x}", u32::from(letter)));
                }
                letter => self.0.push(letter),
            }
        }
        self.0.push('"');
        self
    }

    pub(super) fn text_or_null(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// A time in quotes, without trailing zeros.
    pub(super) fn time(&mut self, time: Timestamp) -> &mut Self {
        self.raw("\"").show(time).raw("\"")
    }

    /// An `Edm.Single`: `0`, `1`, `0.27`, `60.25816`, `4.2E-05`.
    #[expect(clippy::cast_possible_truncation, reason = "Graph's singles have the digits of a float")]
    pub(super) fn single(&mut self, value: f64) -> &mut Self {
        let single = value as f32;
        if single != 0.0 && single.abs() < 1e-4 { self.show(format_args!("{single:E}")) } else { self.show(single) }
    }

    /// An `Edm.Duration` of `seconds`, to the millisecond.
    pub(super) fn duration(&mut self, seconds: f64) -> &mut Self {
        let ms = crate::simulate::dice::whole(seconds * 1000.0);
        self.raw("\"PT").show(ms / 1000);
        if ms % 1000 != 0 {
            let digits = format!("{:03}", ms % 1000);
            self.raw(".").raw(digits.trim_end_matches('0'));
        }
        self.raw("S\"")
    }

    /// Members or items with commas in between.
    pub(super) fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.0.push(',');
            }
            write(self, item);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_spelled_as_graph_does() {
        let mut json = Json::new();
        json.single(0.0).raw(" ").single(1.0).raw(" ").single(0.27).raw(" ").single(60.258_16).raw(" ").single(4.2e-5);
        json.raw(" ").duration(0.0).duration(0.016).duration(122.5).duration(3.0);
        json.text("a\"b\\c\u{1}ł東");
        assert_eq!(
            json.into_string(),
            r#"0 1 0.27 60.25816 4.2E-5 "PT0S""PT0.016S""PT122.5S""PT3S""a\"b\\c\u0001ł東""#
        );
    }
}
