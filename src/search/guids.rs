//! GUIDs as terms: 21 letters in place of 36, in the same order, so that whatever begins alike still lies side by side.
//!
//! Half of an index would else be the ids of its calls: a term dictionary writes out every letter that no other term shares.

use std::borrow::Cow;

/// Before a packed GUID: no other term of an identifier begins so, since `terms::address` takes it off.
const MARK: char = '{';
/// Where a GUID has its hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const LENGTH: usize = 36;
const DIGITS: u32 = 32;

/// The term of an identifier in lower case: a GUID in its usual spelling is packed, all else stays as it is.
pub(crate) fn term(id: &str) -> Cow<'_, str> {
    match number(id) {
        Some((guid, DIGITS)) => Cow::Owned(packed(guid)),
        _ => Cow::Borrowed(id),
    }
}

/// The first and the last of all terms of GUIDs that begin with `text`, which is in lower case; `None` where none does.
pub(crate) fn beginning(text: &str) -> Option<(String, String)> {
    let (guid, digits) = number(text)?;
    let rest = u128::MAX.checked_shr(4 * digits).unwrap_or(0);
    (digits > 0).then(|| (packed(guid), packed(guid | rest)))
}

/// What a GUID or its beginning says, in the highest bits, and how many digits that are.
fn number(text: &str) -> Option<(u128, u32)> {
    if text.len() > LENGTH {
        return None;
    }
    let (mut guid, mut digits) = (0, 0);
    for (place, letter) in text.bytes().enumerate() {
        match letter {
            b'-' if HYPHENS.contains(&place) => continue,
            b'0'..=b'9' | b'a'..=b'f' if !HYPHENS.contains(&place) => {}
            _ => return None,
        }
        digits += 1;
        guid |= u128::from(char::from(letter).to_digit(16)?) << (4 * (DIGITS - digits));
    }
    Some((guid, digits))
}

/// Five letters of eighty-five for each 32 bits.
fn packed(guid: u128) -> String {
    let mut term = String::with_capacity(21);
    term.push(MARK);
    for word in guid.to_be_bytes().as_chunks::<4>().0 {
        let word = u32::from_be_bytes(*word);
        for power in [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1] {
            let digit = word / power % 85;
            term.extend(char::from_u32(u32::from('!') + digit));
        }
    }
    term
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_the_usual_spelling_is_packed() {
        assert_eq!(term("00000000-0000-0000-0000-000000000000"), "{!!!!!!!!!!!!!!!!!!!!");
        assert_eq!(term("ffffffff-ffff-ffff-ffff-ffffffffffff"), "{s8W-!s8W-!s8W-!s8W-!");
        for other in
            ["", "e523d2ed", "e523d2ed29664b6b925b754a88034cc5", "e523d2ed-2966-4b6b-925b-754a88034ccg", "+49301234"]
        {
            assert_eq!(term(other), other);
        }
        assert_eq!(beginning(""), None);
        assert_eq!(beginning("e523d2edx"), None);
        assert_eq!(beginning("e523d2ed2"), None);
        assert_eq!(beginning("e523d2ed-2966-4b6b-925b-754a88034cc5f"), None);
    }

    proptest! {
        #[test]
        fn the_order_stays_and_a_beginning_finds_what_begins_so(one in any::<u128>(), other in any::<u128>(), length in 1_usize..=36) {
            let [one, other] = [one, other].map(|guid| Uuid::from_u128(guid).to_string());
            assert_eq!(one.cmp(&other), term(&one).cmp(&term(&other)));
            let (first, last) = beginning(&one[..length]).unwrap();
            for guid in [&one, &other] {
                let within = (&*first..=&*last).contains(&&*term(guid));
                assert_eq!(within, guid.starts_with(one[..length].trim_end_matches('-')), "{first} {last} {guid}");
            }
        }
    }
}
