//! Views of Graph's JSON: typed, borrowed, in reading order, over the very bytes that the archive keeps.
//!
//! A view never fails. Whatever the text holds, a member of an unexpected type reads as missing and its neighbours keep
//! their values; members that the type does not have are stepped over and counted. The reader takes the text to be JSON
//! (assembling checked it); on anything else it ends early, without a panic. It is written by hand because what serde_json
//! refuses on the way (a lone surrogate in a cut display name, `1e999`) would lose a whole record.

pub mod call;
pub mod identity;
pub mod leaf;
pub mod log;
pub mod media;
pub mod person;

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU8, Ordering},
};

use leaf::{Leaf, unquoted};

/// Declares a view: its members, each with the type it is read as and its name in the JSON, and after `..` the names of those that it knows and
/// steps over. A second parameter is the view that something in it is read as, and which it is where nothing else is said.
macro_rules! view {
    ($(#[$doc:meta])* $visible:vis struct $name:ident<$life:lifetime $(, $inner:ident = $default:ty)?> {
        $($(#[$member_doc:meta])* $member:ident: $type:ty = $key:literal,)*
        $(..$known:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visible struct $name<$life $(, $inner = $default)?> {
            $($(#[$member_doc])* $visible $member: $type,)*
        }

        impl<$life $(, $inner: $crate::model::view::Object<$life>)?> $crate::model::view::Object<$life> for $name<$life $(, $inner)?> {
            fn read_members(&mut self, reader: &mut $crate::model::view::Reader<$life>) {
                #[allow(non_camel_case_types)]
                #[derive(Clone, Copy)]
                enum Member { $($member,)* }
                const MEMBERS: &[Member] = &[$(Member::$member,)*];
                static ORDER: $crate::model::view::Order = $crate::model::view::Order::of(&[$($key,)* $($known,)*]);
                reader.members_of(&ORDER, |reader, place, key| match place.map(|place| MEMBERS.get(place)) {
                    $(Some(Some(Member::$member)) => $crate::model::view::Field::read(&mut self.$member, reader),)*
                    Some(None) => drop(reader.skip()),
                    None => reader.skip_unknown(key),
                });
            }
        }
    };
}
pub(crate) use view;

/// Reads the object that `text` is as a `T`; `None` when it is no object. Also counts the members that no type has.
pub fn read<'a, T: Object<'a>>(text: &'a str) -> (Option<T>, u32) {
    let mut reader = Reader { text, at: 0, unknown: 0 };
    let mut view = None;
    Field::read(&mut view, &mut reader);
    (view, reader.unknown)
}

/// A type that an object can be read as. It is filled where it stands: a media line is two kilobytes, and moving each from
/// hand to hand took as long as reading it.
pub trait Object<'a>: Default {
    /// Reads the members of the object at which the reader stands into an empty one.
    fn read_members(&mut self, reader: &mut Reader<'a>);
}

/// A type that any value can be read as: what does not fit is the type's idea of nothing.
pub trait Field<'a> {
    /// Reads exactly one value, in the place of what was there.
    fn read(&mut self, reader: &mut Reader<'a>);
}

impl<'a, T: Object<'a>> Field<'a> for Option<T> {
    fn read(&mut self, reader: &mut Reader<'a>) {
        if reader.peek() == Some(b'{') {
            self.insert(T::default()).read_members(reader);
        } else {
            *self = None;
            reader.skip();
        }
    }
}

/// The objects of an array; elements that are none are left out.
impl<'a, T: Object<'a>> Field<'a> for Vec<T> {
    fn read(&mut self, reader: &mut Reader<'a>) {
        self.clear();
        reader.elements(|reader| {
            if reader.peek() == Some(b'{') {
                self.push(T::default());
                if let Some(element) = self.last_mut() {
                    element.read_members(reader);
                }
            } else {
                reader.skip();
            }
        });
    }
}

impl<'a> Field<'a> for Vec<Leaf<'a>> {
    fn read(&mut self, reader: &mut Reader<'a>) {
        self.clear();
        reader.elements(|reader| self.push(reader.leaf()));
    }
}

/// The keys of a type, and in which order they came last. Graph writes the members of a type in one order, so that the next key is nearly
/// always the one that came after the same key before: a comparison with it takes the place of a search for it.
#[derive(Debug)]
pub struct Order {
    keys: &'static [&'static str],
    /// At 0 the place of the key that comes first, at `n + 1` that of the one after key `n`. A guess, which threads may overwrite at will.
    next: [AtomicU8; KEYS_MAX + 1],
}

const KEYS_MAX: usize = 63;

impl Order {
    pub const fn of(keys: &'static [&'static str]) -> Self {
        assert!(keys.len() <= KEYS_MAX);
        Self { keys, next: [const { AtomicU8::new(0) }; KEYS_MAX + 1] }
    }

    /// The key that came after the one before, with its place.
    fn guess(&self, before: usize) -> Option<(usize, &'static str)> {
        let place = usize::from(self.next[before].load(Ordering::Relaxed));
        self.keys.get(place).map(|key| (place, *key))
    }

    fn find(&self, before: usize, key: &str) -> Option<usize> {
        let place = self.keys.iter().position(|known| *known == key)?;
        self.next[before].store(u8::try_from(place).unwrap_or_default(), Ordering::Relaxed);
        Some(place)
    }
}

/// Walks forward over JSON text.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    unknown: u32,
}

impl<'a> Reader<'a> {
    /// Calls `on_member` with the key of each member of the object here; it must read or skip the value.
    pub fn members(&mut self, mut on_member: impl FnMut(&mut Self, &str)) {
        static NONE: Order = Order::of(&[]);
        self.members_of(&NONE, |reader, _, key| on_member(reader, key));
    }

    /// As [`Self::members`], with the place of the key among those of `order`, where it is one of them.
    #[inline]
    pub fn members_of(&mut self, order: &Order, mut on_member: impl FnMut(&mut Self, Option<usize>, &str)) {
        let mut before = 0;
        self.at += 1;
        loop {
            if self.peek() == Some(b',') {
                self.at += 1;
            }
            if self.peek() != Some(b'"') {
                break;
            }
            let guess = order.guess(before).filter(|(_, key)| self.take_key(key));
            let read;
            let (place, key) = match guess {
                Some((place, key)) => (Some(place), key),
                None => {
                    read = self.key();
                    (order.find(before, &read), &*read)
                }
            };
            before = place.map_or(before, |place| place + 1);
            if self.peek() == Some(b':') {
                self.at += 1;
            }
            on_member(self, place, key);
        }
        self.at += usize::from(self.peek() == Some(b'}'));
    }

    /// Steps over the key here if it is `expected`, letter for letter.
    #[inline]
    fn take_key(&mut self, expected: &str) -> bool {
        let start = self.at + 1;
        let end = start + expected.len();
        let bytes = self.text.as_bytes();
        let is_it = bytes.get(end) == Some(&b'"') && &bytes[start..end] == expected.as_bytes();
        if is_it {
            self.at = end + 1;
        }
        is_it
    }

    /// Steps over the key here.
    fn key(&mut self) -> Cow<'a, str> {
        let start = self.at + 1;
        let end = start + plain(&self.text.as_bytes()[start..]);
        match self.text.as_bytes().get(end) {
            Some(b'"') => {
                self.at = end + 1;
                Cow::Borrowed(&self.text[start..end])
            }
            _ => unquoted(self.skip()),
        }
    }

    /// Calls `on_element` at each element of the array here; it must read or skip it. Skips a value that is no array.
    pub fn elements(&mut self, mut on_element: impl FnMut(&mut Self)) {
        if self.peek() != Some(b'[') {
            self.skip();
            return;
        }
        self.at += 1;
        loop {
            if self.peek() == Some(b',') {
                self.at += 1;
            }
            let before = self.at;
            if self.peek().is_none_or(|byte| byte == b']') {
                break;
            }
            on_element(self);
            if self.at == before {
                break; // not JSON
            }
        }
        self.at += usize::from(self.peek() == Some(b']'));
    }

    /// Steps over a value, however deep, and gives its text.
    pub fn skip(&mut self) -> &'a str {
        let first = self.peek();
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at = match first {
            Some(b'"') => string_end(bytes, start),
            Some(b'{' | b'[') => nested_end(bytes, start),
            // Most members are null.
            _ if bytes[start..].starts_with(b"null") && bytes.get(start + 4).is_none_or(|byte| ends_scalar(*byte)) => {
                start + 4
            }
            _ => start + bytes[start..].iter().take_while(|byte| !ends_scalar(**byte)).count(),
        };
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Reads a single value.
    pub fn leaf(&mut self) -> Leaf<'a> {
        let mut leaf = Leaf::default();
        leaf.read(self);
        leaf
    }

    /// Steps over the value of a member that the type does not have, and counts it. Annotations (`@odata.type`,
    /// `sessions@odata.context`) belong to every type.
    pub fn skip_unknown(&mut self, key: &str) {
        self.count_unknown(u32::from(!key.contains('@')));
        self.skip();
    }

    pub fn count_unknown(&mut self, more: u32) {
        self.unknown = self.unknown.saturating_add(more);
    }

    /// The next byte that is not white space, at which the reader then stands.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b':' | b'"' | b' ' | b'\t' | b'\n' | b'\r')
}

/// The position after the object or array that opens at `start`.
fn nested_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// The position after the string that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(rest) = bytes.get(at..) {
        at += plain(rest);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(_) => at += 2,
            None => break,
        }
    }
    bytes.len()
}

/// How many bytes come before the first quote or backslash. Most strings are too short for a vector to pay, so eight bytes are
/// looked at in one word.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
    // The lowest bit that is set stands for the first byte that is zero; higher ones may be wrong.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH_BITS;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let marks = zeros(word ^ QUOTES) | zeros(word ^ BACKSLASHES);
        if marks != 0 {
            return n * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let in_rest = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
    words.len() * 8 + in_rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    view! {
        struct Thing<'a> {
            name: Leaf<'a> = "name",
            part: Option<Part<'a>> = "part",
            parts: Vec<Part<'a>> = "parts",
            words: Vec<Leaf<'a>> = "words",
        }
    }
    view! {
        struct Part<'a> {
            size: Leaf<'a> = "size",
        }
    }

    fn thing(text: &str) -> (Thing<'_>, u32) {
        let (thing, unknown) = read(text);
        (thing.unwrap(), unknown)
    }

    #[test]
    fn a_member_of_an_odd_type_loses_no_sibling() {
        for odd in ["7", "\"x\"", "null", "true", "[1,{\"size\":2}]", "{\"size\":3,\"new\":[]}", "[[[]]]", "1e999"] {
            for member in ["part", "parts", "words", "other"] {
                let text = format!(r#" {{ "a@odata.context":"c", "{member}" : {odd} , "name":"n" }} "#);
                assert_eq!(thing(&text).0.name.text().as_deref(), Some("n"), "{text}");
            }
        }
        let (things, _) = thing(r#"{"parts":[{"size":1},null,2,{"size":"3"},[]],"words":["a",null,""]}"#);
        assert_eq!(things.parts.iter().map(|part| part.size.integer()).collect::<Vec<_>>(), [Some(1), Some(3)]);
        assert_eq!(things.words.iter().filter_map(|word| word.text()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn unknown_members_are_counted_at_every_depth_and_annotations_are_not() {
        let (_, unknown) = thing(
            r#"{"@odata.type":"t","parts@odata.count":2,"new":{"inner":1},"part":{"size":1,"colour":2},"parts":[{"x":1}]}"#,
        );
        assert_eq!(unknown, 3);
    }

    view! {
        struct Three<'a> {
            one: Leaf<'a> = "one",
            two: Leaf<'a> = "two",
            one_two: Leaf<'a> = "oneTwo",
            .."known",
        }
    }

    proptest! {
        #[test]
        fn members_are_found_in_whatever_order_they_come(
            keys in proptest::collection::vec(proptest::sample::select(&["one", "two", "oneTwo", "known", "on", "", "\\u006fne", "x@y"][..]), 0..8),
        ) {
            let members: Vec<_> = keys.iter().enumerate().map(|(n, key)| format!("\"{key}\":{n}")).collect();
            let text = format!("{{{}}}", members.join(","));
            let (found, unknown) = read::<Three>(&text);
            let found = found.unwrap();
            let last = |names: &[&str]| keys.iter().rposition(|key| names.contains(key)).and_then(|n| i64::try_from(n).ok());
            proptest::prop_assert_eq!(found.one.integer(), last(&["one", "\\u006fne"]));
            proptest::prop_assert_eq!(found.two.integer(), last(&["two"]));
            proptest::prop_assert_eq!(found.one_two.integer(), last(&["oneTwo"]));
            proptest::prop_assert_eq!(unknown as usize, keys.iter().filter(|key| matches!(**key, "on" | "")).count());
        }
    }

    #[test]
    fn of_a_repeated_member_the_last_holds() {
        assert_eq!(thing(r#"{"name":"a","name":"b"}"#).0.name.text().as_deref(), Some("b"));
    }

    proptest! {
        #[test]
        fn a_string_ends_at_the_first_quote_that_is_not_escaped(text in "[a-c\\\\\"é]{0,40}", before in 0_usize..9) {
            let text = format!("{}\"{text}", " ".repeat(before));
            let bytes = text.as_bytes();
            let mut at = before + 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            proptest::prop_assert_eq!(string_end(bytes, before), (at + 1).min(bytes.len()));
        }

        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>(), json_like in "[\\[\\]{}\":,\\\\a u0-9]{0,60}") {
            let _ = read::<Thing>(&text);
            let _ = read::<Thing>(&format!("{{\"parts\":{json_like}"));
        }
    }
}
