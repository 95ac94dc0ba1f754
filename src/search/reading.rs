//! A piece of a query → the terms it asks for in a field, the counterpart of `terms.rs`.

use std::net::Ipv4Addr;

use crate::{
    model::{
        name::{self, QueryWord},
        phone::{self, Masked},
        rows::SearchField,
    },
    search::{
        guids,
        terms::{self, Class, REVERSED, TERM_LEN_MAX, class},
    },
};

/// A word or a phrase as somebody typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sought {
    pub text: String,
    /// Whether a star followed.
    pub prefix: bool,
}

/// What must be in one field of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    Term(String),
    Prefix(String),
    /// Any term from the first to the last, both included.
    Between(String, String),
    /// Words at given places relative to each other.
    Phrase(Vec<(usize, QueryWord)>),
    All(Vec<Reading>),
    Any(Vec<Reading>),
}

/// How `sought` reads in `field`; `None` where it can be nothing that the field holds.
pub(crate) fn reading(field: SearchField, sought: &Sought) -> Option<Reading> {
    in_class(class(field), sought)
}

fn in_class(class: Class, sought: &Sought) -> Option<Reading> {
    match class {
        Class::Words => words(sought),
        Class::Mail => whole(terms::address(&sought.text).trim_start_matches('@'), sought.prefix),
        Class::Id => identifier(&terms::address(&sought.text), sought.prefix),
        Class::Phone => number(sought),
        Class::Codes => codes(sought, false),
        Class::Addresses => codes(sought, true),
        Class::Thread => whole(&terms::conversation(&sought.text), sought.prefix),
        Class::Person => {
            let readings = [Class::Words, Class::Mail, Class::Id, Class::Phone].map(|class| in_class(class, sought));
            let mut readings: Vec<Reading> = readings.into_iter().flatten().collect();
            readings.dedup();
            any(readings)
        }
    }
}

fn identifier(text: &str, prefix: bool) -> Option<Reading> {
    match whole(text, prefix)? {
        Reading::Term(text) => Some(Reading::Term(guids::term(&text).into_owned())),
        plain => {
            let guids = guids::beginning(text).map(|(first, last)| Reading::Between(first, last));
            any([plain].into_iter().chain(guids).collect())
        }
    }
}

fn whole(text: &str, prefix: bool) -> Option<Reading> {
    let text = text.to_owned();
    let plausible = text.contains(char::is_alphanumeric) && !text.contains(char::is_whitespace);
    plausible.then_some(if prefix { Reading::Prefix(text) } else { Reading::Term(text) })
}

/// Umlauts read in two ways, and a phrase has the one throughout or the other.
fn words(sought: &Sought) -> Option<Reading> {
    let pieces: Vec<Vec<Vec<QueryWord>>> = terms::pieces(&sought.text).map(name::query_readings).collect();
    let readings_count = pieces.iter().map(Vec::len).max()?;
    let phrase = |reading: usize| {
        let chosen = pieces.iter().filter_map(|readings| readings.get(reading).or(readings.first()));
        phrase(chosen.filter(|words| !words.is_empty()), sought.prefix)
    };
    any((0..readings_count).filter_map(phrase).collect())
}

fn phrase<'a>(pieces: impl Iterator<Item = &'a Vec<QueryWord>>, prefix: bool) -> Option<Reading> {
    let mut words: Vec<(usize, QueryWord)> =
        pieces.enumerate().flat_map(|(place, words)| words.iter().map(move |word| (place, word.clone()))).collect();
    for (_, word) in &mut words {
        word.text.truncate(terms::capped(&word.text, TERM_LEN_MAX).len());
    }
    words.last_mut()?.1.prefix |= prefix;
    Some(match words.as_slice() {
        [(_, QueryWord { text, prefix: true })] => Reading::Prefix(text.clone()),
        [(_, QueryWord { text, prefix: false })] => Reading::Term(text.clone()),
        _ => Reading::Phrase(words),
    })
}

fn number(sought: &Sought) -> Option<Reading> {
    let text = sought.text.trim();
    if sought.prefix {
        // The beginning of a number is known only with its country.
        let international = text.strip_prefix('+').or_else(|| text.strip_prefix("00"))?;
        let plausible = international.chars().all(|c| c.is_ascii_digit() || " -./()".contains(c));
        let digits = phone::digits(international);
        return (plausible && !digits.is_empty()).then(|| Reading::Prefix(format!("+{digits}")));
    }
    // An address of a machine or a version has digits and dots as well.
    let query = phone::PhoneQuery::parse(text).filter(|_| text.parse::<Ipv4Addr>().is_err())?;
    let read = |term| if query.exact { Reading::Term(term) } else { Reading::Prefix(term) };
    // As the logs show it, and typed so: that very number.
    if let Some(masked) = Masked::of(&query.plain()) {
        return Some(read(terms::starred(&masked)));
    }
    let whole = read(format!("{REVERSED}{}", query.reversed()));
    // The logs may have starred its last digits.
    let starred = query.maskings().map(|masked| read(terms::starred(&masked)));
    any([whole].into_iter().chain(starred).collect())
}

fn codes(sought: &Sought, addresses: bool) -> Option<Reading> {
    let mut tokens: Vec<String> = terms::tokens(&sought.text, addresses).collect();
    let last = if sought.prefix { tokens.pop() } else { None };
    let exact = tokens.into_iter().map(|token| {
        let token = terms::ended(&token, addresses).to_owned();
        // SM-G930U is also within SM-G930U-EU.
        let parts = terms::parts(&token, addresses)
            .map(|parts| Reading::All(parts.into_iter().map(|part| Reading::Term(part.to_owned())).collect()));
        match parts {
            Some(parts) => Reading::Any(vec![Reading::Term(token), parts]),
            None => Reading::Term(token),
        }
    });
    let mut readings: Vec<Reading> = exact.chain(last.map(Reading::Prefix)).collect();
    match readings.len() {
        0 | 1 => readings.pop(),
        _ => Some(Reading::All(readings)),
    }
}

fn any(mut readings: Vec<Reading>) -> Option<Reading> {
    match readings.len() {
        0 | 1 => readings.pop(),
        _ => Some(Reading::Any(readings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: SearchField, text: &str) -> Option<Reading> {
        let prefix = text.ends_with('*');
        reading(field, &Sought { text: text.trim_end_matches('*').to_owned(), prefix })
    }

    #[test]
    fn a_prefix_of_an_address_ends_where_it_was_typed() {
        assert_eq!(read(SearchField::Network, "10.1.*"), Some(Reading::Prefix("10.1.".to_owned())));
        assert_eq!(read(SearchField::Network, "10.1.2.3"), Some(Reading::Term("10.1.2.3".to_owned())));
    }

    #[test]
    fn every_spelling_of_a_number_reads_alike() {
        let term = |text: &str| Reading::Term(text.to_owned());
        let starred = ["*1<10064970244", "*2<0064970244", "*3<064970244", "*4<64970244", "*5<4970244", "*6<970244"];
        let starred = starred.into_iter().chain(["*7<70244", "*8<0244"]).map(term);
        let whole = Some(Reading::Any([term("<810064970244")].into_iter().chain(starred).collect()));
        for spelling in ["+442079460018", "+44 20 7946 0018", "+44 (0)20 7946-0018", "0044 20 7946 0018"] {
            assert_eq!(read(SearchField::Phone, spelling), whole, "{spelling}");
        }
        let Some(Reading::Any(national)) = read(SearchField::Phone, "02079460018") else { panic!("one reading") };
        assert_eq!(national[0], Reading::Prefix("<8100649702".to_owned()));
        assert!(national.contains(&Reading::Prefix("*3<0649702".to_owned())));
        assert_eq!(read(SearchField::Phone, "0018"), Some(Reading::Prefix("<8100".to_owned())));
        assert_eq!(read(SearchField::Phone, "+44 20*"), Some(Reading::Prefix("+4420".to_owned())));
        assert_eq!(read(SearchField::Phone, "018"), None);
        assert_eq!(read(SearchField::Phone, "alice"), None);
    }
}
