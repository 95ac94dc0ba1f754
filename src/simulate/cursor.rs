//! What a skip token holds. Opaque to the client; it cannot be guessed or changed without being refused.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        dice::{Dice, mix_text},
        query::{Filter, Target},
    },
};

/// Where the next page of call records, or of one, begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    List {
        from_ns: i64,
        to_ns: i64,
        participant: Option<String>,
        select: Option<Vec<String>>,
        /// Number of the next generated call.
        next: u64,
        /// The last planted call given out.
        planted: Option<(i64, String)>,
    },
    /// The version goes along: pages of two versions do not mix.
    Sessions {
        id: String,
        edition: usize,
        offset: usize,
        segments: bool,
    },
    Participants {
        id: String,
        edition: usize,
        offset: usize,
    },
}

impl Place {
    /// The beginning of a list.
    pub(super) fn list(filter: &Filter, select: Option<Vec<String>>, next: u64) -> Self {
        let (from_ns, to_ns, participant) = (filter.from.0, filter.to.0, filter.participant.clone());
        Place::List { from_ns, to_ns, participant, select, next, planted: None }
    }

    /// Whether a link to this place has the path of `target`.
    pub(super) fn belongs_to(&self, target: &Target) -> bool {
        match (self, target) {
            (Place::List { .. }, Target::List) => true,
            (Place::Sessions { id, .. }, Target::Sessions(asked))
            | (Place::Participants { id, .. }, Target::Participants(asked)) => id == asked,
            _ => false,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Token<P> {
    place: P,
    issued_ns: i64,
    /// Makes the link behind an empty page another one than the page's own.
    round: u32,
    check: u64,
}

/// A token for `place`, issued at `now` for the `round`th time.
pub(super) fn encode<P: Serialize>(seed: u64, place: P, now: Timestamp, round: u32) -> String {
    let mut token = Token { place, issued_ns: now.0, round, check: 0 };
    token.check = check(seed, &token);
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

/// The place of a token of ours and its round, unless it is older than `life`.
pub(super) fn decode<P: Serialize + DeserializeOwned>(
    seed: u64,
    text: &str,
    now: Timestamp,
    life: Option<Age>,
) -> Option<(P, u32)> {
    let mut token: Token<P> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let claimed = std::mem::take(&mut token.check);
    let fresh = life.is_none_or(|life| now - Timestamp(token.issued_ns) <= life);
    (fresh && claimed == check(seed, &token)).then_some((token.place, token.round))
}

fn check<P: Serialize>(seed: u64, token: &Token<P>) -> u64 {
    // 53 bits, for the sake of readers that take every number for a double.
    Dice::of(seed, &[mix_text(&serde_json::to_string(token).unwrap_or_default())]).throw() >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_as_it_was_given_and_in_time() {
        let place = Place::Participants { id: "a".to_owned(), edition: 1, offset: 130 };
        let token = encode(1, place.clone(), Timestamp::from_second(100), 2);
        let later = Timestamp::from_second(400);
        assert_eq!(decode(1, &token, later, None), Some((place, 2)));
        assert_eq!(decode::<Place>(2, &token, later, None), None);
        assert_eq!(decode::<Place>(1, &token, later, Some(Age::seconds(200))), None);
        assert_eq!(decode::<Place>(1, &token[..20], later, None), None);
    }
}
