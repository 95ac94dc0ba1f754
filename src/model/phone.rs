//! Phone numbers as people type them against numbers as records hold them.
//!
//! Call records hold E.164 (`+442079460018`); the logs may hold any text, and star the last digits of the outside party
//! (`+4989123***`). A typed number may be international, national with its trunk `0`, or just the last digits.

/// Fewer digits than these are no number, not even its end.
const DIGITS_MIN: usize = 4;

/// From so many digits on, a number may be a whole national one, so that a leading `0` is its trunk prefix.
const NATIONAL_DIGITS_MIN: usize = 7;

/// The digits of the number `text`, in order and in ASCII, stars left out. Empty when `text` is no number.
#[must_use]
pub fn digits(text: &str) -> String {
    stored_pattern(text).into_iter().filter(|digit| *digit != '*').collect()
}

/// The digits (and stars) of a stored number from last to first, so that "ends with" is a search for a prefix. Empty when
/// `stored` is no number. Typed digits never meet the stars at the front: starred numbers are found as [`Masked`].
#[must_use]
pub fn reversed_digits(stored: &str) -> String {
    stored_pattern(stored).into_iter().rev().collect()
}

/// A stored number whose end is starred: what is left of it, in a form in which a whole number finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masked {
    /// How many digits the first star and all behind it stand for.
    pub hidden: u32,
    /// The digits before the first star, last first.
    pub visible_reversed: String,
}

impl Masked {
    /// `None` of a number that is not starred, or of which so little is left that no number can be told to be it.
    #[must_use]
    pub fn of(stored: &str) -> Option<Self> {
        let number = stored_pattern(stored);
        let visible = number.iter().position(|digit| *digit == '*').filter(|visible| *visible >= DIGITS_MIN)?;
        let hidden = u32::try_from(number.len() - visible).ok()?;
        Some(Self { hidden, visible_reversed: number[..visible].iter().rev().collect() })
    }
}

/// A phone number, or the end of one, as somebody typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneQuery {
    /// Without prefixes: country code first when `exact`, else the digits with which a number must end. A star, typed as the
    /// logs show it, stands for any digit.
    pub digits: String,
    /// Whether the whole number was typed: `+44…` or `0044…`.
    pub exact: bool,
}

impl PhoneQuery {
    /// Reads a number in any usual spelling: `+44 20 7946 0018`, `0044…`, `+44 (0)20…`, `02079460018`, `(020) 7946-0018`,
    /// `tel:…`, `0018`. `None` when the text is not like a number or shorter than four digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = number_part(text.trim());
        let has_plus = text.starts_with(['+', '＋']);
        let mut typed = pattern(&text.replacen("(0)", if has_plus { "" } else { "0" }, 1))?;
        let is_long = typed.len() > NATIONAL_DIGITS_MIN;
        let has_access_code = !has_plus && is_long && typed.starts_with(&['0', '0']);
        if has_access_code {
            typed.drain(..2);
        } else if !has_plus && is_long && typed[0] == '0' {
            typed.remove(0);
        }
        // Prefixes are no digits of the number: of a starred one they may be half of what is shown.
        let is_number = typed.iter().filter(|digit| **digit != '*').count() >= DIGITS_MIN;
        is_number.then(|| Self { digits: typed.into_iter().collect(), exact: has_plus || has_access_code })
    }

    /// The digits from last to first: [`reversed_digits`] of a number that this query matches begin with them, unless it is
    /// starred or kept without its country code.
    #[must_use]
    pub fn reversed(&self) -> String {
        self.digits.chars().rev().collect()
    }

    /// With what [`reversed_digits`] of every number that this query matches begin, starred ones aside: also of one that is kept
    /// without its country code, which has seven digits at least.
    #[must_use]
    pub fn end_reversed(&self) -> String {
        let digits = if self.exact { NATIONAL_DIGITS_MIN } else { usize::MAX };
        self.digits.chars().rev().take(digits).collect()
    }

    /// This number with 1, 2, 3, … of its last digits starred. One that was typed without its country code may be longer, one that
    /// is kept without it shorter by as much: [`Self::matches`] decides.
    ///
    /// Empty for what is no whole number, for the last digits of a number are just those that the stars hide.
    pub fn maskings(&self) -> impl Iterator<Item = Masked> {
        let digits: Vec<char> = self.digits.chars().collect();
        let is_number = is_whole(&digits) && !digits.contains(&'*');
        let most_visible = if is_number { digits.len() } else { 0 };
        (DIGITS_MIN..most_visible).rev().zip(1..).map(move |(visible, hidden)| {
            let visible_reversed = digits[..visible].iter().rev().collect();
            Masked { hidden, visible_reversed }
        })
    }

    /// The number in one spelling: `+` and all its digits, or the digits that there are.
    #[must_use]
    pub fn plain(&self) -> String {
        if self.exact { format!("+{}", self.digits) } else { self.digits.clone() }
    }

    /// Whether the number `stored` is the one meant.
    #[must_use]
    pub fn matches(&self, stored: &str) -> bool {
        let number = stored_pattern(stored);
        let typed: Vec<char> = self.digits.chars().collect();
        if typed.len() == number.len() || (!self.exact && typed.len() < number.len()) {
            return ends_alike(&number, &typed);
        }
        // Kept without its country code, with or without the trunk prefix?
        let national = number.strip_prefix(&['0']).unwrap_or(&number);
        let is_national = self.exact && !stored.contains(['+', '＋']) && is_whole(national);
        is_national && ends_alike(&typed, national)
    }
}

/// Whether `whole` ends with `end`, digit by digit. A star stands for any digit, but says so little that where there is one
/// four other digits must agree and `end` be a whole number, not just its last digits.
fn ends_alike(whole: &[char], end: &[char]) -> bool {
    let Some(first) = whole.len().checked_sub(end.len()) else { return false };
    let mut agreeing = 0;
    for (mine, theirs) in whole[first..].iter().zip(end) {
        match (mine, theirs) {
            ('*', _) | (_, '*') => {}
            _ if mine == theirs => agreeing += 1,
            _ => return false,
        }
    }
    agreeing == end.len() || (is_whole(end) && agreeing >= DIGITS_MIN)
}

fn is_whole(digits: &[char]) -> bool {
    digits.len() >= NATIONAL_DIGITS_MIN
}

/// Digits and stars of a stored number; empty when it is none (a name that the border controller sent, an object id).
fn stored_pattern(stored: &str) -> Vec<char> {
    pattern(number_part(stored.trim())).unwrap_or_default()
}

/// Digits and stars of a text that has nothing else but a number's usual punctuation.
fn pattern(text: &str) -> Option<Vec<char>> {
    let is_punctuation = |c: char| c.is_whitespace() || "+＋-‐‑–—()./".contains(c);
    let is_mark = |c: &char| !is_punctuation(*c);
    text.chars().filter(is_mark).map(|c| if c == '*' { Some(c) } else { ascii_digit(c) }).collect()
}

/// What stands between the scheme and the parameters of a `tel:` or `sip:` address.
fn number_part(text: &str) -> &str {
    let without_scheme = text
        .split_once(':')
        .filter(|(scheme, _)| ["tel", "sip", "sips"].iter().any(|known| scheme.trim().eq_ignore_ascii_case(known)))
        .map_or(text, |(_, number)| number.trim_start());
    without_scheme.split([';', '@']).next().unwrap_or_default()
}

fn ascii_digit(c: char) -> Option<char> {
    let zero = ['0', '０', '٠', '۰'].into_iter().find(|zero| (*zero..=offset(*zero, 9)).contains(&c))?;
    char::from_digit(u32::from(c) - u32::from(zero), 10)
}

fn offset(c: char, by: u32) -> char {
    char::from_u32(u32::from(c) + by).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn numbers_are_read_in_any_spelling() {
        let cases = [
            ("+44 20 7946 0018", Some(("442079460018", true))),
            ("0044 20 7946 0018", Some(("442079460018", true))),
            ("+44 (0)20 7946-0018", Some(("442079460018", true))),
            ("tel:+44-20-7946-0018;ext=7", Some(("442079460018", true))),
            ("sip:+442079460018@10.0.0.1;user=phone", Some(("442079460018", true))),
            ("02079460018", Some(("2079460018", false))),
            ("(020) 7946-0018", Some(("2079460018", false))),
            ("(0)20 7946 0018", Some(("2079460018", false))),
            ("020.7946.0018", Some(("2079460018", false))),
            ("1 (212) 555‑0142", Some(("12125550142", false))),
            ("＋４４２０７９４６００１８", Some(("442079460018", true))),
            ("0018", Some(("0018", false))),
            ("001800", Some(("001800", false))),
            ("7946 0018", Some(("79460018", false))),
            ("+4989123***", Some(("4989123***", true))),
            ("018", None),
            ("+", None),
            ("", None),
            ("***", None),
            ("01**45***", None),
            ("0049 89****", Some(("4989****", true))),
            ("0049 8*****", None),
            ("7946x0018", None),
            ("Ada 0018", None),
            ("0f3c8a1e-5555-4444-3333-222211110000", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(digits, exact)| PhoneQuery { digits: digits.into(), exact });
            assert_eq!(PhoneQuery::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_typed_number_finds_the_stored_one_and_no_other() {
        let cases = [
            ("+44 20 7946 0018", "+442079460018", true),
            ("0044 20 7946 0018", "+442079460018", true),
            ("02079460018", "+442079460018", true),
            ("(020) 7946-0018", "+442079460018", true),
            ("7946 0018", "+442079460018", true),
            ("0018", "+442079460018", true),
            ("0019", "+442079460018", false),
            ("+44 20 7946 001", "+442079460018", false),
            ("+4420", "+442079460018", false),
            ("+20 7946 0018", "+442079460018", false),
            ("0049 20 7946 0018", "+442079460018", false),
            // A border controller sends national numbers and names.
            ("+44 20 7946 0018", "02079460018", true),
            ("+44 20 7946 0018", "2079460018", true),
            ("02079460018", "02079460018", true),
            ("+1 001", "+1001", true),
            ("1040", "Internal Revenue Service 1040", false),
            // Italy keeps its zero.
            ("06 1234567", "+39061234567", true),
            ("+39 06 1234567", "+39061234567", true),
            // Stars: the length and all that is shown must agree.
            ("+49 89 123456", "+4989123***", true),
            ("0049 89 123456", "+4989123***", true),
            ("089 123456", "+4989123***", true),
            ("+49 89 1234567", "+4989123***", false),
            ("+49 89 124456", "+4989123***", false),
            ("3456", "+4989123***", false),
            ("+4989123***", "+4989123***", true),
            ("+4989123***", "+4989123456", true),
            ("+4989123***", "+49891234567", false),
        ];
        for (typed, stored, expected) in cases {
            assert_eq!(PhoneQuery::parse(typed).unwrap().matches(stored), expected, "{typed} in {stored}");
        }
    }

    #[test]
    fn a_whole_number_knows_how_it_looks_starred() {
        let masked = |hidden, visible: &str| Some(Masked { hidden, visible_reversed: visible.into() });
        assert_eq!(Masked::of("+49 89 123***"), masked(3, "3219894"));
        assert_eq!(Masked::of("089123****"), masked(4, "321980"));
        assert_eq!(Masked::of("+4989*2*"), masked(3, "9894"));
        assert_eq!((Masked::of("+498***"), Masked::of("+4989123456"), Masked::of("anonymous***")), (None, None, None));
        let maskings = |typed| PhoneQuery::parse(typed).unwrap().maskings().collect::<Vec<_>>();
        assert!(maskings("+49 89 123456").contains(&Masked::of("+4989123***").unwrap()));
        assert_eq!(maskings("+49 89 123456").len(), 6);
        assert_eq!((maskings("3456"), maskings("+4989123***")), (vec![], vec![]));
    }

    #[test]
    fn digits_are_kept_and_turned_round() {
        assert_eq!(digits("tel:+44 (20) 7946-0018;ext=1"), "442079460018");
        assert_eq!(digits("Internal Revenue Service 1040"), "");
        assert_eq!(reversed_digits("+44 20 7946 0018"), "810064970244");
        assert_eq!(reversed_digits("+4989123***"), "***3219894");
        assert_eq!(reversed_digits("Internal Revenue Service 1040"), "");
    }

    proptest! {
        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>(), number in "[+0-9*() -]{0,20}") {
            for typed in [&text, &number] {
                if let Some(query) = PhoneQuery::parse(typed) {
                    let _ = (query.matches(&number), query.matches(&text));
                }
            }
        }

        #[test]
        fn the_end_of_a_number_found_by_its_reversed_digits_is_found(number in "[1-9][0-9]{9,13}", length in 4_usize..7) {
            let stored = format!("+{number}");
            let query = PhoneQuery::parse(&number[number.len() - length..]).unwrap();
            assert!(query.matches(&stored));
            assert!(reversed_digits(&stored).starts_with(&query.reversed()));
        }

        #[test]
        fn whatever_matches_is_found_by_its_end(typed in "(\\+|00|0)?[0-9]{4,13}", stored in "(\\+|0)?[0-9]{4,13}", tail in 4_usize..12) {
            // Numbers that end alike are what matters, and chance seldom makes them.
            let kin = format!("{}{}", &stored[..1], &typed[typed.len().saturating_sub(tail)..]);
            let Some(query) = PhoneQuery::parse(&typed) else { return Ok(()) };
            for stored in [stored, kin] {
                if query.matches(&stored) {
                    assert!(reversed_digits(&stored).starts_with(&query.end_reversed()), "{typed} {stored}");
                }
            }
        }
    }
}
