//! What stands in a table: columns with a type each, and cells that say what they hold. How that is spelled is a format's own affair.

use std::borrow::Cow;

use crate::model::time::Timestamp;

/// What a column holds. A cell may always be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    /// Whole numbers.
    Whole,
    /// Numbers with a fraction: seconds, rates, ratios.
    Real,
    /// Money, digit by digit.
    Decimal,
    /// Instants, in UTC.
    Time,
    Truth,
    /// Lists of text; where a format has no lists, joined by this.
    Texts(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub title: Cow<'static, str>,
    pub holds: Type,
}

impl Column {
    #[must_use]
    pub const fn new(title: &'static str, holds: Type) -> Self {
        Self { title: Cow::Borrowed(title), holds }
    }
}

/// One value. It may be of another type than its column where Graph sent something else: a table of text shows it, one of
/// typed columns leaves the cell empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Nothing,
    /// As Graph sent it: it may look like anything.
    Text(Cow<'a, str>),
    Whole(i64),
    Real(f64),
    /// A number of JSON, letter for letter.
    Digits(Cow<'a, str>),
    Time(Timestamp),
    Truth(bool),
    Texts(Vec<Option<&'a str>>),
}

impl<'a> Cell<'a> {
    /// A text, where there is one.
    pub fn text(text: Option<impl Into<Cow<'a, str>>>) -> Self {
        text.map_or(Cell::Nothing, |text| Cell::Text(text.into()))
    }

    pub fn whole(number: Option<impl Into<i64>>) -> Self {
        number.map_or(Cell::Nothing, |number| Cell::Whole(number.into()))
    }

    #[must_use]
    pub fn real(number: Option<f64>) -> Self {
        number.map_or(Cell::Nothing, Cell::Real)
    }

    #[must_use]
    pub fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Cell::Nothing, Cell::Time)
    }

    #[must_use]
    pub fn truth(truth: Option<bool>) -> Self {
        truth.map_or(Cell::Nothing, Cell::Truth)
    }
}
