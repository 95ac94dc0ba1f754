//! Who was meant, where a record does not show it: sentences for the reader of a table.

use crate::{
    cli::render::plain,
    model::{
        hit::{By, Hit, Matched, Person, Through},
        time::Timestamp,
    },
};

/// Sentences told; a common name may have hundreds.
const NOTES_MAX: usize = 10;

/// Each sentence once, in the order of the hits.
#[must_use]
pub fn notes(hits: &[Hit]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for note in hits.iter().flat_map(|hit| &hit.matched).filter_map(note) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    if notes.len() > NOTES_MAX {
        let more = notes.len() - NOTES_MAX;
        notes.truncate(NOTES_MAX);
        notes.push(format!("and {more} more under other names; --format json tells each"));
    }
    notes
}

/// `None` where the record itself says what was asked for.
fn note(matched: &Matched) -> Option<String> {
    let shown = shown(&matched.person);
    if matched.masked {
        return Some(format!("{shown} (masked) may be {}", plain(matched.asked.trim())));
    }
    Some(match matched.through.as_ref()? {
        Through::NumberOf(person) => format!("matched {shown}, a number of {}", plain(person)),
        Through::Records { known_as } => {
            let known_as = plain(known_as);
            match matched.by {
                By::Upn | By::Mail => format!("matched {shown}, who is {known_as} in other records"),
                By::Phone => format!("matched {shown}, whose number is {known_as} in other records"),
                By::Id | By::Name => format!("matched {shown}, whom other records call {known_as}"),
            }
        }
        Through::Directory { known_as, from, until } => {
            let of = match matched.by {
                By::Upn => "whose UPN",
                By::Mail => "whose mail",
                By::Phone => "whose number",
                By::Id | By::Name => "who",
            };
            let known_as = plain(known_as);
            match (from, until) {
                (_, Some(until)) => format!("matched {shown}, {of} was {known_as} until {}", date(*until)),
                (Some(from), None) => format!("matched {shown}, {of} is {known_as} since {}", date(*from)),
                (None, None) => format!("matched {shown}, {of} is {known_as}"),
            }
        }
    })
}

fn shown(person: &Person) -> String {
    let known = [&person.name, &person.phone, &person.upn, &person.id].into_iter().flatten().next();
    known.map_or_else(|| "?".to_owned(), |text| plain(text).into_owned())
}

fn date(time: Timestamp) -> String {
    time.to_seconds_text().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(by: By, masked: bool, through: Option<Through>) -> Option<String> {
        let person = Person { name: Some("Anna\u{1b} Schmidt".into()), ..Person::default() };
        note(&Matched { asked: " +4989123456".into(), person, by, masked, through })
    }

    #[test]
    fn each_way_of_knowing_has_its_sentence() {
        let day = |n: i64| Some(Timestamp(n * 86_400_000_000_000));
        let directory = |from, until| Some(Through::Directory { known_as: "X".into(), from, until });
        let records = || Some(Through::Records { known_as: "X".into() });
        let cases = [
            (By::Name, directory(day(1), day(2)), "matched Anna\\u{1b} Schmidt, who was X until 1970-01-03"),
            (By::Name, directory(day(1), None), "matched Anna\\u{1b} Schmidt, who is X since 1970-01-02"),
            (By::Mail, directory(None, None), "matched Anna\\u{1b} Schmidt, whose mail is X"),
            (By::Phone, directory(None, day(0)), "matched Anna\\u{1b} Schmidt, whose number was X until 1970-01-01"),
            (By::Name, records(), "matched Anna\\u{1b} Schmidt, whom other records call X"),
            (By::Upn, records(), "matched Anna\\u{1b} Schmidt, who is X in other records"),
            (By::Id, Some(Through::NumberOf("X".into())), "matched Anna\\u{1b} Schmidt, a number of X"),
        ];
        for (by, through, expected) in cases {
            assert_eq!(told(by, false, through).as_deref(), Some(expected));
        }
        assert_eq!(told(By::Phone, true, None).as_deref(), Some("Anna\\u{1b} Schmidt (masked) may be +4989123456"));
        assert_eq!(told(By::Name, false, None), None);
    }
}
