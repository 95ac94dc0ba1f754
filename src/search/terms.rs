//! Text → terms, for documents. What `reading.rs` looks for must be what is made here.
//!
//! Every field has a class, because an address, a number and a name are looked for in different ways. All terms are folded to
//! lower case without diacritics.

use std::{borrow::Cow, collections::HashMap, net::IpAddr};

use foldhash::fast::RandomState;

use crate::{
    model::{
        name,
        phone::{self, Masked},
        rows::SearchField,
    },
    search::{
        fields::{NEXT_PLACE, NEXT_VALUE, SAME_PLACE},
        guids,
    },
};

/// How the text of a field is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    /// Names and sentences: words at their places.
    Words,
    /// Addresses: whole, local part, domain, words of the local part.
    Mail,
    /// Identifiers: whole, GUIDs packed.
    Id,
    /// Numbers: digits from the last to the first, so that an ending is a prefix.
    Phone,
    /// Machine text: whole tokens such as `SM-G930U`, and their parts.
    Codes,
    /// The same with addresses of machines, which have no parts worth finding.
    Addresses,
    /// Conversations: the thread id, wherever it stands in a URL.
    Thread,
    /// Any of the first four, told by its shape.
    Person,
}

pub(crate) fn class(field: SearchField) -> Class {
    match field {
        SearchField::Name | SearchField::Reason | SearchField::Feedback | SearchField::Detail => Class::Words,
        SearchField::Upn => Class::Mail,
        SearchField::ParticipantId | SearchField::Id => Class::Id,
        SearchField::Phone => Class::Phone,
        SearchField::Agent
        | SearchField::Device
        | SearchField::Codec
        | SearchField::Stage
        | SearchField::Type
        | SearchField::Modality => Class::Codes,
        SearchField::Network => Class::Addresses,
        SearchField::Conversation => Class::Thread,
        SearchField::Organizer => Class::Person,
    }
}

/// Longest term, in characters; what is longer is found by its beginning.
pub(crate) const TERM_LEN_MAX: usize = 160;

/// Terms by place; those at one place are alternatives.
type Places = Vec<Vec<String>>;

/// Makes terms, and remembers what it made of values that come again and again: a tenant's people, devices and programs.
#[derive(Default)]
pub(crate) struct Analysis {
    young: Known,
    old: Known,
    young_count: usize,
}

/// Values with their terms.
type Known = HashMap<Class, HashMap<String, String, RandomState>, RandomState>;

/// Values of one generation, about 150 bytes each. When there are as many, those that did not come again since the generation before are
/// forgotten: a large tenant's addresses, few of which do, must not take its people with them.
const GENERATION: usize = 8192;

impl Analysis {
    /// Adds the terms of a `value` of `field` to `text`, as the schema's tokenizer takes them.
    pub(crate) fn append(&mut self, field: SearchField, value: &str, text: &mut String) {
        let class = class(field);
        match class {
            // Identifiers cost little, and conversations and numbers seldom come again.
            Class::Id => {
                for (n, term) in id(value).iter().enumerate() {
                    push(text, if n == 0 { NEXT_VALUE } else { SAME_PLACE }, term);
                }
                return;
            }
            Class::Thread | Class::Phone => {
                text.push_str(&joined(class, value));
                return;
            }
            _ => {}
        }
        if let Some(terms) = self.young.get(&class).and_then(|known| known.get(value)) {
            text.push_str(terms);
            return;
        }
        let known = self.old.get_mut(&class).and_then(|known| known.remove_entry(value));
        let (value, terms) = known.unwrap_or_else(|| (value.to_owned(), joined(class, value)));
        text.push_str(&terms);
        if self.young_count >= GENERATION {
            self.old = std::mem::take(&mut self.young);
            self.young_count = 0;
        }
        self.young.entry(class).or_default().insert(value, terms);
        self.young_count += 1;
    }
}

fn joined(class: Class, value: &str) -> String {
    let mut text = String::new();
    let mut separator = NEXT_VALUE;
    for terms in places(class, value) {
        for term in terms {
            push(&mut text, separator, &term);
            separator = SAME_PLACE;
        }
        separator = NEXT_PLACE;
    }
    text
}

fn push(text: &mut String, separator: char, term: &str) {
    text.push(separator);
    if term.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        text.push_str(term);
    } else {
        text.extend(term.chars().filter(|c| !c.is_control()));
    }
}

fn places(class: Class, value: &str) -> Places {
    match class {
        Class::Words => words(value),
        Class::Mail => vec![mail(value)],
        Class::Id => vec![id(value)],
        Class::Phone => vec![numbers(value)],
        Class::Codes => vec![codes(value, false)],
        Class::Addresses => vec![codes(value, true)],
        Class::Thread => vec![thread(value)],
        Class::Person => match person(value) {
            Class::Words => words(value),
            other => places(other, value),
        },
    }
}

/// What a text that names a person is.
fn person(value: &str) -> Class {
    let value = value.trim();
    if value.contains('@') {
        Class::Mail
    } else if value.starts_with('+') || phone::PhoneQuery::parse(value).is_some() {
        Class::Phone
    } else if uuid::Uuid::try_parse(value).is_ok() || (value.contains(':') && !value.contains(' ')) {
        Class::Id
    } else {
        Class::Words
    }
}

/// The pieces of a text whose places are counted: what stands between blanks, hyphens and other punctuation but apostrophes.
pub(crate) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let parts = |c: char| {
        c.is_whitespace()
            || (c.is_ascii_punctuation() && c != '\'' && c != '`')
            || matches!(
                c,
                '\u{2010}'
                    ..='\u{2015}'
                        | '\u{2026}'
                        | '\u{3001}'
                        | '\u{3002}'
                        | '\u{30fb}'
                        | '\u{ff08}'
                        | '\u{ff09}'
                        | '\u{ff0c}'
            )
    };
    text.split(parts).filter(|piece| !piece.is_empty())
}

fn words(text: &str) -> Places {
    let mut places = Places::new();
    let pieces: Vec<&str> = pieces(text).collect();
    // What is written apart in a script without spaces is found as one run too, from where it begins.
    for run in pieces.chunk_by(|one, other| name::is_unspaced(one) && name::is_unspaced(other)) {
        let together = if run.len() > 1 { name::words(&run.concat()) } else { Vec::new() };
        places.extend(run.iter().map(|piece| name::words(piece)));
        let first = places.len() - run.len();
        places[first].extend(together);
    }
    places.retain(|terms| !terms.is_empty());
    places.iter_mut().flatten().for_each(|term| term.truncate(capped(term, TERM_LEN_MAX).len()));
    places
}

/// The first `chars` characters.
pub(crate) fn capped(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or(text, |(end, _)| &text[..end])
}

fn mail(text: &str) -> Vec<String> {
    let whole = address(text);
    let mut terms = vec![whole.clone()];
    match whole.rsplit_once('@') {
        // A guest's UPN holds the address at home: bob_fabrikam.com#EXT#@contoso.onmicrosoft.com
        Some((local, _)) if local.ends_with("#ext#") => {
            if let Some((home_local, home_domain)) = local.trim_end_matches("#ext#").rsplit_once('_') {
                terms.extend(mail(&format!("{home_local}@{home_domain}")));
            }
        }
        Some((local, domain)) => {
            terms.push(local.to_owned());
            terms.extend(local.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
            let mut domain = domain;
            while let Some((label, parent)) = domain.split_once('.') {
                terms.push(domain.to_owned());
                terms.push(label.to_owned());
                domain = parent;
            }
        }
        None => terms.extend(whole.split(|c: char| !c.is_alphanumeric()).map(str::to_owned)),
    }
    terms.retain(|term| !term.is_empty());
    terms
}

/// An address or an identifier as it stands in the index.
pub(crate) fn address(text: &str) -> String {
    let bare = text.trim().trim_matches(['<', '>', '{', '}', ',', ';']);
    capped(&name::fold(bare), TERM_LEN_MAX).to_owned()
}

fn id(text: &str) -> Vec<String> {
    if let Cow::Owned(guid) = guids::term(text) {
        return vec![guid];
    }
    let whole = address(text);
    // 8:orgid:GUID is also found by the GUID.
    let last = whole.rsplit_once(':').map(|(_, last)| last.to_owned());
    let ids = [whole].into_iter().chain(last).filter(|term| !term.is_empty());
    ids.map(|id| guids::term(&id).into_owned()).collect()
}

/// Stands before digits in reverse, lest they be taken for a word or an identifier.
pub(crate) const REVERSED: char = '<';

/// A starred number: how many digits are hidden, and those before them in reverse, lest it be taken for a shorter number.
pub(crate) fn starred(masked: &Masked) -> String {
    format!("*{}{REVERSED}{}", masked.hidden, masked.visible_reversed)
}

fn numbers(text: &str) -> Vec<String> {
    // Of a number whose end is starred, only the beginning is known.
    if text.contains('*') {
        let visible = text.split('*').next().unwrap_or_default();
        let beginning = visible.trim_start().starts_with('+').then(|| format!("+{}", phone::digits(visible)));
        return beginning.into_iter().chain(Masked::of(text).as_ref().map(starred)).collect();
    }
    let digits = phone::digits(text);
    if digits.is_empty() {
        return Vec::new();
    }
    let mut terms = vec![format!("{REVERSED}{}", phone::reversed_digits(text))];
    if text.trim_start().starts_with('+') {
        terms.push(format!("+{digits}"));
    }
    terms
}

/// The tokens of machine text: runs of letters, digits and what joins them.
pub(crate) fn tokens(text: &str, addresses: bool) -> impl Iterator<Item = String> {
    let joins = move |c: char| matches!(c, '-' | '.' | '_') || (addresses && c == ':');
    text.split(move |c: char| !c.is_alphanumeric() && !joins(c))
        .filter(|token| token.contains(char::is_alphanumeric))
        .map(move |token| {
            let token =
                if addresses { token.trim_start_matches(['-', '.', '_']) } else { token.trim_start_matches(joins) };
            let token = capped(&name::fold(token), TERM_LEN_MAX).to_owned();
            if addresses && is_mac(&token) { token.replace(':', "-") } else { token }
        })
}

/// A token without what ends a sentence rather than a token.
pub(crate) fn ended(token: &str, addresses: bool) -> &str {
    if addresses && token.parse::<IpAddr>().is_ok() { token } else { token.trim_end_matches(['-', '.', '_', ':']) }
}

/// The parts of a token that are terms of their own; `None` where it has none or where not every part is one.
pub(crate) fn parts(token: &str, addresses: bool) -> Option<Vec<&str>> {
    if addresses && (token.parse::<IpAddr>().is_ok() || is_mac(token)) {
        return None;
    }
    let parts: Vec<&str> = token.split(|c: char| !c.is_alphanumeric()).filter(|part| !part.is_empty()).collect();
    (parts.len() > 1 && parts.iter().all(|part| is_telling(part))).then_some(parts)
}

/// Whether a part of a token says something: `2` and `10` of a version do not.
fn is_telling(part: &str) -> bool {
    part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_mac(token: &str) -> bool {
    token.len() == 17
        && token.split([':', '-']).all(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn codes(text: &str, addresses: bool) -> Vec<String> {
    let mut terms = Vec::new();
    for token in tokens(text, addresses) {
        let token = ended(&token, addresses).to_owned();
        if !(addresses && (token.parse::<IpAddr>().is_ok() || is_mac(&token))) {
            let parts = token.split(|c: char| !c.is_alphanumeric());
            terms.extend(parts.filter(|part| !part.is_empty() && is_telling(part)).map(str::to_owned));
        }
        terms.push(token);
    }
    terms
}

fn thread(text: &str) -> Vec<String> {
    let decoded = decoded(text);
    if let Some(id) = thread_id(&decoded) {
        return vec![capped(id, TERM_LEN_MAX).to_owned()];
    }
    let whole = without_scheme(&decoded);
    let segments = whole.split(['/', '?', '&', '=']).filter(|segment| segment.len() > 5).map(str::to_owned);
    [capped(whole, TERM_LEN_MAX).to_owned()].into_iter().chain(segments).filter(|term| !term.is_empty()).collect()
}

/// A conversation id or URL as it is looked for: the thread id where there is one.
pub(crate) fn conversation(text: &str) -> String {
    let decoded = decoded(text);
    capped(thread_id(&decoded).unwrap_or_else(|| without_scheme(&decoded)), TERM_LEN_MAX).to_owned()
}

fn thread_id(decoded: &str) -> Option<&str> {
    let from = &decoded[decoded.find("19:")?..];
    Some(&from[..from.find(['/', '?', ' ']).unwrap_or(from.len())])
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/')
}

/// Lower case, with %XX replaced by what it stands for.
fn decoded(text: &str) -> String {
    let mut rest = text.trim();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(code.unwrap_or(b'%'));
        rest = &rest[at + if code.is_some() { 3 } else { 1 }..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    name::fold(&String::from_utf8_lossy(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::fields::{TEXTS, has_positions};

    fn terms(field: SearchField, value: &str) -> Vec<String> {
        let mut text = String::new();
        Analysis::default().append(field, value, &mut text);
        let mut terms: Vec<_> = text.split([SAME_PLACE, NEXT_PLACE, NEXT_VALUE]).skip(1).map(str::to_owned).collect();
        terms.sort();
        terms.dedup();
        terms
    }

    #[test]
    fn phrases_are_looked_for_only_where_places_are_indexed() {
        for (field, name) in TEXTS {
            assert_eq!(matches!(class(field), Class::Words | Class::Person), has_positions(field), "{name}");
        }
    }

    #[test]
    fn what_was_seen_before_gives_the_same_terms_again() {
        let mut analysis = Analysis::default();
        let mut twice = [String::new(), String::new()];
        for text in &mut twice {
            analysis.append(SearchField::Name, "Jürgen Müller", text);
            analysis.append(SearchField::Name, "Ines Groß", text);
        }
        assert_eq!(twice[0], twice[1]);
    }

    #[test]
    fn what_is_remembered_and_what_was_forgotten_gives_the_same_terms() {
        let mut analysis = Analysis::default();
        for round in 0..3 {
            for n in 0..GENERATION {
                let (mut often, mut seldom) = (String::new(), String::new());
                analysis.append(SearchField::Name, "Jürgen Müller", &mut often);
                analysis.append(SearchField::Network, &format!("10.{round}.{}.{}", n / 256, n % 256), &mut seldom);
                assert_eq!(often, joined(Class::Words, "Jürgen Müller"));
                assert_eq!(seldom, format!("{NEXT_VALUE}10.{round}.{}.{}", n / 256, n % 256));
            }
        }
        assert!(
            analysis.young.values().chain(analysis.old.values()).map(HashMap::len).sum::<usize>() <= 2 * GENERATION
        );
        assert!(analysis.young_count <= GENERATION);
    }

    #[test]
    fn an_address_is_found_whole_and_by_its_parts() {
        assert_eq!(
            terms(SearchField::Upn, "Alice.Smith@mail.Contoso.com"),
            [
                "alice",
                "alice.smith",
                "alice.smith@mail.contoso.com",
                "contoso",
                "contoso.com",
                "mail",
                "mail.contoso.com",
                "smith"
            ]
        );
        assert!(
            terms(SearchField::Upn, "bob_fabrikam.com#EXT#@contoso.onmicrosoft.com")
                .contains(&"bob@fabrikam.com".to_owned())
        );
    }

    #[test]
    fn machine_text_keeps_tokens_whole_beside_their_parts() {
        assert_eq!(terms(SearchField::Device, "FRA-LT00123"), ["fra", "fra-lt00123", "lt00123"]);
        assert_eq!(
            terms(SearchField::Agent, "Teams/22.250.1.2 (i9-12900H)"),
            ["12900h", "22.250.1.2", "250", "i9", "i9-12900h", "teams"]
        );
        assert_eq!(
            terms(SearchField::Network, "10.1.2.3 AA:BB:CC:00:11:22 fe80::1"),
            ["10.1.2.3", "aa-bb-cc-00-11-22", "fe80::1"]
        );
    }

    #[test]
    fn a_join_url_and_its_thread_are_one_term() {
        let url = "https://teams.microsoft.com/l/meetup-join/19%3ameeting_NTg0%40thread.v2/0?context=%7b%22Tid%22%7d";
        assert_eq!(terms(SearchField::Conversation, url), ["19:meeting_ntg0@thread.v2"]);
        assert_eq!(terms(SearchField::Conversation, "19:meeting_NTg0@thread.v2"), ["19:meeting_ntg0@thread.v2"]);
        assert_eq!(conversation(url), "19:meeting_ntg0@thread.v2");
    }

    #[test]
    fn starred_numbers_are_found_by_what_is_left() {
        assert_eq!(terms(SearchField::Phone, "+442079460018"), ["+442079460018", "<810064970244"]);
        assert_eq!(terms(SearchField::Phone, "+4420794****"), ["*4<4970244", "+4420794"]);
        assert_eq!(terms(SearchField::Phone, "020794****"), ["*4<497020"]);
        assert_eq!(terms(SearchField::Phone, "+44****"), ["+44"]);
    }
}
