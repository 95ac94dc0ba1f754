//! Claims about the search room, over real folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    ops::ControlFlow,
    path::Path,
};

use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use tempfile::TempDir;

use crate::{
    model::{
        id::{RecordId, Seq, Version},
        rows::{Derived, Record, SearchField},
        time::Timestamp,
    },
    search::{Behind, Entry, Index, Indexer, Match, Matches, Order, Query, Result, State, Within, each},
};

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Record `n` at position `n`, started on the n-th of November, an hour long.
fn entry(n: i64, search: &[(SearchField, &str)]) -> Entry {
    let start = Timestamp(time("2026-11-01T09:00:00Z").0 + (n - 1) * 86_400_000_000_000);
    let end = Timestamp(start.0 + n * 60_000_000_000);
    Entry {
        record_id: RecordId(n),
        seq: Seq(n),
        start: Some(start),
        id: format!("00000000-0000-4000-8000-{n:012}"),
        version: Version(1),
        derived: Derived {
            record: Record { start: Some(start), end: Some(end), ..Record::default() },
            search: search.iter().map(|(field, text)| (*field, (*text).to_owned())).collect(),
            ..Derived::default()
        },
    }
}

fn write(dir: &Path, entries: &[Entry], position: i64) {
    let (mut indexer, _) = Indexer::open_or_create(dir).unwrap();
    for entry in entries {
        indexer.put([(entry, false)]).unwrap();
    }
    indexer.commit(Seq(position)).unwrap();
    indexer.finish().unwrap();
}

fn open(dir: &Path) -> Index {
    match Index::open(dir).unwrap() {
        State::Ready(index) => index,
        State::Missing => panic!("missing"),
        State::OtherSchema => panic!("other schema"),
        State::Damaged(why) => panic!("{why}"),
    }
}

fn on_disk(entries: &[Entry]) -> (TempDir, Index) {
    let dir = TempDir::new().unwrap();
    write(dir.path(), entries, entries.len().try_into().unwrap());
    let index = open(dir.path());
    (dir, index)
}

fn seqs(matches: Matches<'_>) -> Vec<i64> {
    matches.map(|found| found.unwrap().seq.0).collect()
}

/// What a text matches, in no order.
fn all(disk: Option<&Index>, tail: Option<&Index>, query: &Query, within: Within) -> Result<BTreeSet<i64>> {
    let mut found = BTreeSet::new();
    each(disk, tail, query, within, &mut |_, seq| {
        assert!(found.insert(seq.0), "{seq:?} came twice");
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn ask(index: &Index, text: &str) -> Vec<i64> {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    seqs(index.matches(&query, Order::Oldest, Within::default()))
}

/// Asserts which of the texts in `field` each query finds, counted from 1.
#[track_caller]
fn assert_found(field: SearchField, texts: &[&str], queries: &[(&str, &[i64])]) {
    let entries: Vec<Entry> = (1..).zip(texts).map(|(n, text)| entry(n, &[(field, text)])).collect();
    let (_dir, index) = on_disk(&entries);
    for (query, expected) in queries {
        assert_eq!(ask(&index, query), *expected, "{query}");
    }
}

#[test]
fn names_are_found_in_any_spelling_of_their_letters() {
    assert_found(
        SearchField::Name,
        &[
            "Jürgen Müller",
            "Łukasz Żak",
            "Seán O'Brien",
            "王小明",
            "김철수",
            "สมชาย ใจดี",
            "Юлия Соколова",
            "Γιώργος Παπαδόπουλος",
            "Anna-Maria Groß",
            "Juergen Mueller",
        ],
        &[
            ("Mueller", &[1, 10]),
            ("muller", &[1]),
            ("müller", &[1, 10]),
            ("MÜLLER", &[1, 10]),
            ("\"Jürgen Müller\"", &[1, 10]),
            ("\"Jürgen Mül\"*", &[1, 10]),
            ("jurgen muller", &[1]),
            ("lukasz", &[2]),
            ("Łukasz Żak", &[2]),
            ("O'Brien", &[3]),
            ("obrien", &[3]),
            ("brien", &[3]),
            ("sean", &[3]),
            ("小明", &[4]),
            ("王小", &[4]),
            ("明", &[4]),
            ("王明", &[]),
            ("철수", &[5]),
            ("สมชาย", &[6]),
            ("ชาย", &[6]),
            ("ใจดี", &[6]),
            ("юлия", &[7]),
            ("СОКОЛОВА", &[7]),
            ("γιωργος", &[8]),
            ("Παπαδόπουλος", &[8]),
            ("anna-maria", &[9]),
            ("maria", &[9]),
            ("gross", &[9]),
            ("\"anna maria groß\"", &[9]),
            ("\"maria anna\"", &[]),
        ],
    );
}

#[test]
fn phrases_keep_to_one_name_and_its_order() {
    let (_dir, index) = on_disk(&[
        entry(1, &[(SearchField::Name, "Alice Smith"), (SearchField::Name, "Bob Jones")]),
        entry(2, &[(SearchField::Name, "Bob Smith"), (SearchField::Name, "Alice Jones")]),
        entry(3, &[(SearchField::Name, "王 小明 Müller")]),
    ]);
    assert_eq!(ask(&index, "alice smith"), [1, 2]);
    assert_eq!(ask(&index, "\"alice smith\""), [1]);
    assert_eq!(ask(&index, "\"smith alice\""), [] as [i64; 0]);
    assert_eq!(ask(&index, "\"smith bob\""), [] as [i64; 0]);
    assert_eq!(ask(&index, "\"alice smi\"*"), [1]);
    assert_eq!(ask(&index, "\"王 小明\""), [3]);
    assert_eq!(ask(&index, "\"小 mueller\""), [3]);
    assert_eq!(ask(&index, "name:\"小 muller\""), [3]);
}

#[test]
fn addresses_are_found_whole_and_by_their_parts() {
    assert_found(
        SearchField::Upn,
        &["alice.smith@contoso.com", "bob_fabrikam.com#EXT#@contoso.onmicrosoft.com", "alice@mail.fabrikam.com"],
        &[
            ("alice.smith@contoso.com", &[1]),
            ("Alice.Smith@CONTOSO.com", &[1]),
            ("upn:alice.smith", &[1]),
            ("mail:smith", &[1]),
            ("contoso.com", &[1]),
            ("@contoso.com", &[1]),
            ("fabrikam.com", &[2, 3]),
            ("bob@fabrikam.com", &[2]),
            ("alice", &[1, 3]),
            ("alice*", &[1, 3]),
            ("alice@*", &[3]),
            ("participant:alice@mail.fabrikam.com", &[3]),
            ("name:alice", &[]),
        ],
    );
}

#[test]
fn numbers_are_found_in_any_spelling_and_by_their_last_digits() {
    assert_found(
        SearchField::Phone,
        &["+442079460018", "+14255550018", "+4420794****"],
        &[
            ("+442079460018", &[1]),
            ("\"+44 20 7946 0018\"", &[1]),
            ("+44 20 7946 0018", &[1]),
            ("phone:\"+44 (0)20 7946-0018\"", &[1]),
            ("02079460018", &[1]),
            ("020 7946 0018", &[1]),
            ("00442079460018", &[1]),
            ("0018", &[1, 2]),
            ("phone:60018", &[1]),
            ("participant:0018", &[1, 2]),
            ("phone:+4420*", &[1, 3]),
            ("phone:+1*", &[2]),
        ],
    );
}

#[test]
fn a_full_number_finds_the_starred_ones_that_may_be_it() {
    assert_found(
        SearchField::Phone,
        &["+4989123***", "+4989123****", "+4989123456", "089123***", "+4989124***", "+4989123"],
        &[
            ("+4989123456", &[1, 3]),
            ("phone:+4989123456", &[1, 3]),
            ("phone:\"+49 (0)89 123456\"", &[1, 3]),
            ("089 123456", &[1, 3, 4]),
            ("organizer:+4989123456", &[]),
            ("+49891234567", &[2]),
            ("+4989123", &[6]),
            ("phone:3456", &[3]),
            ("phone:+4989123*", &[1, 2, 3, 6]),
            ("phone:\"+4989123***\"", &[1]),
        ],
    );
}

#[test]
fn machines_addresses_and_identifiers_are_found_whole_and_by_their_beginning() {
    let (_dir, index) = on_disk(&[
        entry(1, &[(SearchField::Network, "10.1.2.3"), (SearchField::Device, "FRA-LT00123")]),
        entry(2, &[(SearchField::Network, "10.10.2.3"), (SearchField::Device, "SM-G930U Headset (Jabra Evolve2 65)")]),
        entry(
            3,
            &[(SearchField::Network, "fe80::1 AA-BB-CC-00-11-22"), (SearchField::Agent, "Teams/22.250.1.2 i9-12900H")],
        ),
        entry(4, &[(SearchField::ParticipantId, "8:orgid:e523d2ed-2966-4b6b-925b-754a88034cc5")]),
        entry(
            5,
            &[(
                SearchField::Conversation,
                "https://teams.microsoft.com/l/meetup-join/19%3ameeting_NTg0%40thread.v2/0?context=x",
            )],
        ),
    ]);
    for (text, expected) in [
        ("10.1.2.3", &[1][..]),
        ("ip:10.1.*", &[1]),
        ("10.1*", &[1, 2]),
        ("FRA-LT00123", &[1]),
        ("fra", &[1]),
        ("LT00123", &[1]),
        ("sm-g930u", &[2]),
        ("G930U", &[2]),
        ("device:\"jabra evolve2 65\"", &[2]),
        ("fe80::1", &[3]),
        ("aa:bb:cc:00:11:22", &[3]),
        ("AA-BB-CC-00-11-22", &[3]),
        ("agent:22.250.1.2", &[3]),
        ("22.250.*", &[3]),
        ("i9-12900H", &[3]),
        ("e523d2ed-2966-4b6b-925b-754a88034cc5", &[4]),
        ("participant_id:e523d2ed*", &[4]),
        ("participant_id:8:orgid:e523*", &[4]),
        ("organizer:e523d2ed*", &[]),
        ("id:00000000-0000-4000-8000-000000000004", &[4]),
        ("id:00000000-0000-4000-8000-000000000004*", &[4]),
        ("id:00000000-0000-4000-8000-*", &[1, 2, 3, 4, 5]),
        ("id:00000000-0000-4000-9*", &[]),
        ("19:meeting_NTg0@thread.v2", &[5]),
        ("https://teams.microsoft.com/l/meetup-join/19%3ameeting_NTg0%40thread.v2/0?context=y", &[5]),
        ("conversation:19:meeting_*", &[5]),
    ] {
        assert_eq!(ask(&index, text), expected, "{text}");
    }
}

#[test]
fn organizers_are_found_however_they_are_known() {
    assert_found(
        SearchField::Organizer,
        &["Zoë Martin", "zoe@contoso.com", "+442079460018", "e523d2ed-2966-4b6b-925b-754a88034cc5"],
        &[
            ("organizer:zoe", &[1, 2]),
            ("organizer:\"Zoë Martin\"", &[1]),
            ("organizer:zoe@contoso.com", &[2]),
            ("organizer:02079460018", &[3]),
            ("organizer:e523d2ed-2966-4b6b-925b-754a88034cc5", &[4]),
            ("organizer:8100", &[]),
        ],
    );
}

#[test]
fn words_combine_with_and_or_not_and_parentheses() {
    assert_found(
        SearchField::Name,
        &["alice red", "alice blue", "bob red", "bob blue", "carol"],
        &[
            ("alice red", &[1]),
            ("alice AND red", &[1]),
            ("alice OR bob", &[1, 2, 3, 4]),
            ("alice red OR bob blue", &[1, 4]),
            ("(alice OR bob) red", &[1, 3]),
            ("(alice OR bob) AND NOT red", &[2, 4]),
            ("alice NOT red", &[2]),
            ("NOT alice", &[3, 4, 5]),
            ("NOT (alice OR bob)", &[5]),
            ("NOT NOT carol", &[5]),
            ("carol OR NOT alice", &[3, 4, 5]),
            ("NOT alice NOT bob", &[5]),
            ("name:(alice OR carol) NOT blue", &[1, 5]),
            ("ali* OR car*", &[1, 2, 5]),
            ("and", &[]),
            ("*", &[1, 2, 3, 4, 5]),
            ("", &[1, 2, 3, 4, 5]),
            ("NAME:alice", &[1, 2]),
        ],
    );
}

#[test]
fn start_end_duration_and_version_compare() {
    let (_dir, index) = on_disk(&[1, 2, 3, 4].map(|n| entry(n, &[])));
    for (text, expected) in [
        ("start:2026-11-02", &[2][..]),
        ("start:>=2026-11-02", &[2, 3, 4]),
        ("start:>2026-11-02", &[3, 4]),
        ("start:<2026-11-02", &[1]),
        ("start:<=2026-11-02", &[1, 2]),
        ("start:[2026-11-02 TO 2026-11-03]", &[2, 3]),
        ("start:[2026-11-02 TO 2026-11-04}", &[2, 3]),
        ("start:{2026-11-02 TO *]", &[3, 4]),
        ("start:[* TO *]", &[1, 2, 3, 4]),
        ("start:>2026-11-03T09:00:00Z", &[4]),
        ("start:>=2026-11-03T09:00:00Z", &[3, 4]),
        ("end:<=2026-11-01T09:01:00Z", &[1]),
        ("duration:>60", &[2, 3, 4]),
        ("duration:>=2m", &[2, 3, 4]),
        ("duration:[60 TO 3m}", &[1, 2]),
        ("duration:60", &[1]),
        ("duration:(>=60.5 <181)", &[2, 3]),
        ("version:1 NOT start:2026-11-01", &[2, 3, 4]),
        ("version:>1", &[]),
    ] {
        assert_eq!(ask(&index, text), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_understood_is_named_with_its_column() {
    for (text, column, part) in [
        ("(alice", 1, "not closed"),
        ("alice)", 6, "closes nothing"),
        ("alice \"bob", 7, "not closed"),
        ("alice AND", 7, "both sides"),
        ("AND alice", 1, "both sides"),
        ("OR alice", 1, "both sides"),
        ("alice OR", 9, "missing at the end"),
        ("alice NOT", 10, "to its right"),
        ("()", 2, "nothing before"),
        ("alice foo:bar", 7, "there is no field 'foo'; the fields are name, participant"),
        ("name:", 6, "value is missing"),
        ("name: alice", 6, "without a blank"),
        ("a*b", 1, "end of a word"),
        ("alice &", 7, "nothing to look for"),
        ("phone:alice", 7, "not a phone number"),
        ("name:[a TO b]", 6, "ranges are for start"),
        ("name:>a", 6, "holds text"),
        ("start:[2026-11-01 TO", 7, "not closed"),
        ("start:[2026-11-01]", 7, "[A TO B]"),
        ("start:yesterday", 7, "not a time"),
        ("start:>=7d", 9, "not a time"),
        ("duration:long", 10, "not a duration"),
        ("duration:=>60", 10, "no comparison '=>'"),
        ("version:x", 9, "not a version"),
    ] {
        let error = Query::parse(text).err().unwrap_or_else(|| panic!("{text} is understood"));
        assert_eq!(error.column, column, "{text}: {error}");
        assert!(error.message.contains(part), "{text}: {error}");
    }
    assert!(Query::parse(&"(".repeat(100_000)).is_err());
    assert!(Query::parse(&"NOT ".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_or_the_search_panic(text in prop::collection::vec(
        prop::sample::select(vec!["(", ")", "\"", "*", ":", "AND", "OR", "NOT ", " ", "[", "}", "TO", "name:", "start:", ">=",
            "2026-11-01", "+44", "020", "a", "é", "王", "ใจ", "%", "%e", "19:", "\u{1f}", "-", ".", "@", "x@y.z", "10.1.", "\\", "\u{301}"]),
        0..14,
    )) {
        let text = text.concat();
        if let Ok(query) = Query::parse(&text) {
            let index = Index::in_memory([entry(1, &[(SearchField::Name, "a é 王"), (SearchField::Feedback, text.as_str())])]).unwrap();
            prop_assert!(index.matches(&query, Order::Relevance, Within::default()).all(|found| found.is_ok()), "{text}");
        }
    }

    #[test]
    fn any_text_at_all_is_understood_or_refused(text: String) {
        drop(Query::parse(&text));
    }
}

/// Phrases are asked about documents before, at and after those that have them.
#[test]
fn not_takes_phrases_away_wherever_they_stand() {
    let names = ["a b", "a c", "b a", "a", "c a b", "a b c"];
    let entries: Vec<Entry> = (1..).zip(names).map(|(n, name)| entry(n, &[(SearchField::Name, name)])).collect();
    let index = Index::in_memory(entries).unwrap();
    assert_eq!(ask(&index, "NOT name:a-b"), [2, 3, 4]);
    assert_eq!(ask(&index, "name:a NOT (name:a-b OR name:b-a)"), [2, 4]);
    assert_eq!(ask(&index, "NOT name:a>=a"), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_newer_version_takes_the_place_of_the_older() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), &[entry(1, &[(SearchField::Name, "alice")]), entry(2, &[(SearchField::Name, "bob")])], 2);
    let newer = Entry { seq: Seq(3), version: Version(2), ..entry(1, &[(SearchField::Name, "carol")]) };
    write(dir.path(), &[newer], 3);
    let index = open(dir.path());
    assert_eq!(index.position(), Seq(3));
    assert_eq!(index.record_count(), 2);
    assert_eq!(ask(&index, "alice"), [] as [i64; 0]);
    assert_eq!(ask(&index, "carol"), [3]);
    let mut documents: Vec<_> = index.documents().unwrap().collect();
    documents.sort();
    assert_eq!(documents, [(RecordId(1), Seq(3)), (RecordId(2), Seq(2))]);
    assert_eq!(index.verify(dir.path()).unwrap(), [] as [String; 0]);
}

#[test]
fn the_position_survives_reopening_and_merging_and_what_was_not_committed_does_not() {
    let dir = TempDir::new().unwrap();
    for n in 1..=9 {
        write(dir.path(), &[entry(n, &[(SearchField::Name, "alice")])], n);
    }
    let (mut indexer, position) = Indexer::open_or_create(dir.path()).unwrap();
    assert_eq!(position, Seq(9));
    indexer.remove(RecordId(4));
    indexer.commit(Seq(10)).unwrap();
    indexer.compact().unwrap();
    indexer.put([(&entry(11, &[(SearchField::Name, "alice")]), true)]).unwrap();
    drop(indexer);
    let index = open(dir.path());
    assert_eq!(index.position(), Seq(10));
    assert_eq!(ask(&index, "alice"), [1, 2, 3, 5, 6, 7, 8, 9]);
}

#[test]
fn of_a_record_that_comes_twice_at_once_the_later_stays() {
    let dir = TempDir::new().unwrap();
    let (mut indexer, _) = Indexer::open_or_create(dir.path()).unwrap();
    let [first, second] = ["alice", "bob"].map(|name| entry(1, &[(SearchField::Name, name)]));
    let second = Entry { seq: Seq(3), version: Version(2), ..second };
    let other = entry(2, &[(SearchField::Name, "alice")]);
    indexer.put([(&first, true), (&other, true), (&second, false)]).unwrap();
    indexer.commit(Seq(3)).unwrap();
    indexer.finish().unwrap();
    let index = open(dir.path());
    assert_eq!((ask(&index, "alice"), ask(&index, "bob")), (vec![2], vec![3]));
}

#[test]
fn the_tail_in_memory_overtakes_the_disk_and_both_come_in_one_order() {
    let (_dir, disk) = on_disk(&[1, 2, 3, 4].map(|n| entry(n, &[(SearchField::Name, "alice")])));
    let tail = Index::in_memory([
        Entry { seq: Seq(6), ..entry(2, &[(SearchField::Name, "bob")]) },
        Entry { seq: Seq(5), ..entry(3, &[(SearchField::Name, "bob")]) },
        Entry { seq: Seq(7), ..entry(3, &[(SearchField::Name, "alice")]) },
        Entry { seq: Seq(8), ..entry(8, &[(SearchField::Name, "alice")]) },
    ])
    .unwrap();
    assert_eq!(tail.position(), Seq(8));
    let query = Query::parse("alice").unwrap();
    let ask = |order, within| seqs(Matches::new(Some(&disk), Some(&tail), &query, order, within, None));
    assert_eq!(ask(Order::Newest, Within::default()), [8, 4, 7, 1]);
    assert_eq!(ask(Order::Oldest, Within::default()), [1, 7, 4, 8]);
    assert_eq!(ask(Order::Longest, Within::default()), [8, 4, 7, 1]);
    let within = Within { from: Some(time("2026-11-03T00:00:00Z")), to: Some(time("2026-11-04T09:00:00Z")) };
    assert_eq!(ask(Order::Newest, within), [7]);
    assert_eq!(all(Some(&disk), Some(&tail), &query, Within::default()).unwrap(), BTreeSet::from([1, 4, 7, 8]));
    assert_eq!(all(Some(&disk), None, &query, within).unwrap(), BTreeSet::from([3]));
    assert_eq!(seqs(Matches::new(None, None, &query, Order::Newest, within, None)), [] as [i64; 0]);
}

#[test]
fn fields_that_a_segment_has_nothing_of_are_not_looked_into_there_and_found_elsewhere() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), &[entry(1, &[(SearchField::Name, "alice")])], 1);
    write(dir.path(), &[entry(2, &[(SearchField::Feedback, "alice was cut off")])], 2);
    let index = open(dir.path());
    let held = |field| index.segments.iter().filter(|segment| segment.held().unwrap().has(field)).count();
    assert_eq!([SearchField::Name, SearchField::Feedback, SearchField::Device].map(held), [1, 1, 0]);
    for order in [Order::Newest, Order::Oldest, Order::Relevance] {
        for (text, expected) in [
            ("alice", &[1, 2][..]),
            ("name:alice", &[1]),
            ("feedback:\"cut off\"", &[2]),
            ("NOT feedback:alice", &[1]),
            ("NOT device:alice", &[1, 2]),
            ("device:alice OR feedback:ali*", &[2]),
        ] {
            let query = Query::parse(text).unwrap();
            let mut found = seqs(index.matches(&query, order, Within::default()));
            found.sort_unstable();
            assert_eq!(found, expected, "{text} in {order:?}");
        }
    }
}

#[test]
fn an_empty_tail_is_an_index_too() {
    let tail = Index::in_memory([]).unwrap();
    assert_eq!(tail.position(), Seq(0));
    assert_eq!(ask(&tail, "alice OR ali* OR start:>2026-11-01 OR \"a b\""), [] as [i64; 0]);
}

#[test]
fn every_match_comes_once_and_in_order_past_all_pages() {
    let entries: Vec<Entry> = (1..=6000)
        .map(|n| {
            let entry = entry(n, &[(SearchField::Name, if n % 3 == 0 { "alice" } else { "alice alice bob" })]);
            // Many start at the same time, some never.
            let start = (n % 7 != 0).then_some(Timestamp(n / 4 * 1_000_000_000));
            Entry { start, ..entry }
        })
        .collect();
    let (_dir, index) = on_disk(&entries);
    let query = Query::parse("alice").unwrap();
    let expected = |key: &dyn Fn(&Entry) -> (bool, i64, i64)| {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by_key(|entry| key(entry));
        sorted.into_iter().map(|entry| entry.seq.0).collect::<Vec<_>>()
    };
    let ask = |order| seqs(index.matches(&query, order, Within::default()));
    assert_eq!(
        ask(Order::Newest),
        expected(&|entry| (entry.start.is_none(), entry.start.map_or(0, |start| -start.0), -entry.seq.0))
    );
    assert_eq!(
        ask(Order::Oldest),
        expected(&|entry| (entry.start.is_none(), entry.start.map_or(0, |start| start.0), entry.seq.0))
    );
    let by_score: Vec<Match> =
        index.matches(&query, Order::Relevance, Within::default()).collect::<Result<_>>().unwrap();
    assert_eq!(by_score.len(), 6000);
    assert!(by_score.is_sorted_by(|one, other| one.score >= other.score));
    assert!(by_score[0].score > by_score[5999].score && by_score[5999].score > 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Segment after segment, records replaced and segments joined, from any place within any limits; segments that lie apart in time
    /// and such that do not.
    #[test]
    fn every_order_is_kept_whatever_segments_the_records_lie_in(
        versions in prop::collection::vec((0_i64..300, prop::option::of(0_i64..40)), 1..700),
        commits in 1_usize..9,
        spread in 0_i64..3,
        (from, to) in (prop::option::of(-2_i64..1000), prop::option::of(-2_i64..1000)),
        behind in prop::option::of((prop::option::of(0_i64..1000), 0_i64..300)),
    ) {
        let entries: Vec<Entry> = (1..)
            .zip(&versions)
            .map(|(seq, (record, start))| Entry {
                record_id: RecordId(*record),
                seq: Seq(seq),
                start: start.map(|start| Timestamp(start + spread * seq)),
                ..entry(1, &[(SearchField::Name, "alice")])
            })
            .collect();
        let dir = TempDir::new().unwrap();
        for entries in entries.chunks(entries.len().div_ceil(commits)) {
            write(dir.path(), entries, entries.last().map_or(0, |entry| entry.seq.0));
        }
        let within = Within { from: from.map(Timestamp), to: to.map(Timestamp) };
        let behind = behind.map(|(key_ns, id)| Behind { key_ns, record_id: RecordId(id) });

        let newest: BTreeMap<i64, &Entry> = entries.iter().map(|entry| (entry.record_id.0, entry)).collect();
        let is_within = |start: Option<Timestamp>| match start {
            Some(start) => from.is_none_or(|from| from <= start.0) && to.is_none_or(|to| start.0 < to),
            None => from.is_none() && to.is_none(),
        };
        let meant: Vec<&Entry> = newest.into_values().filter(|entry| is_within(entry.start)).collect();
        let (index, query) = (open(dir.path()), Query::parse("alice").unwrap());
        for (order, turn) in [(Order::Newest, -1), (Order::Oldest, 1)] {
            let place = |start: Option<i64>, id: i64| (start.is_none(), start.map_or(0, |start| turn * start), turn * id);
            let place_of = |entry: &Entry| place(entry.start.map(|start| start.0), entry.record_id.0);
            let is_behind = |entry: &Entry| behind.is_none_or(|behind| place(behind.key_ns, behind.record_id.0) < place_of(entry));
            let mut expected: Vec<&Entry> = meant.iter().copied().filter(|entry| is_behind(entry)).collect();
            expected.sort_by_key(|entry| place_of(entry));
            let found = seqs(Matches::new(Some(&index), None, &query, order, within, behind));
            prop_assert_eq!(found, expected.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), "{:?}", order);
        }
        let found = all(Some(&index), None, &query, within).unwrap();
        prop_assert_eq!(found, meant.iter().map(|entry| entry.seq.0).collect::<BTreeSet<_>>());
    }
}

/// What nobody looks into cannot be found damaged.
#[test]
fn segments_in_which_nothing_can_be_meant_are_not_looked_into() {
    let dir = TempDir::new().unwrap();
    let alice = |n| entry(n, &[(SearchField::Name, "alice")]);
    write(dir.path(), &[1, 2].map(alice), 2);
    let older: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    write(dir.path(), &(11..=110).map(alice).collect::<Vec<_>>(), 110);
    write(dir.path(), &[201, 202].map(alice), 202);
    let index = open(dir.path());
    for path in older.iter().filter(|path| path.extension().is_some_and(|kind| kind == "term" || kind == "idx")) {
        let garbage: Vec<u8> = fs::read(path).unwrap().iter().map(|byte| byte ^ 0x55).collect();
        fs::OpenOptions::new().write(true).open(path).unwrap().write_all(&garbage).unwrap();
    }
    let query = Query::parse("alice").unwrap();
    let ask = |order, within, limit| -> Result<Vec<i64>> {
        index.matches(&query, order, within).take(limit).map(|found| Ok(found?.seq.0)).collect()
    };
    let of = |n| entry(n, &[]).start;
    assert_eq!(ask(Order::Newest, Within::default(), 3).unwrap(), [202, 201, 110], "there are enough newer ones");
    let within = Within { from: of(109), to: of(202) };
    assert_eq!(ask(Order::Newest, within, 9).unwrap(), [201, 110, 109]);
    assert_eq!(ask(Order::Oldest, within, 9).unwrap(), [109, 110, 201]);
    assert_eq!(all(Some(&index), None, &query, within).unwrap(), BTreeSet::from([109, 110, 201]));
    let older = Within { from: of(2), to: of(11) };
    for order in [Order::Newest, Order::Oldest] {
        assert!(ask(order, older, 9).is_err());
        assert!(ask(order, Within::default(), 200).is_err());
    }
    assert!(all(Some(&index), None, &query, older).is_err());
}

#[test]
fn an_index_whose_making_was_killed_is_none_yet_and_no_damage() {
    let dir = TempDir::new().unwrap();
    let index_dir = dir.path().join("index");
    fs::create_dir(&index_dir).unwrap();
    fs::File::create(index_dir.join(".tantivy-meta.lock")).unwrap();
    assert!(matches!(Index::open(&index_dir).unwrap(), State::Missing), "killed before its list of segments");
    tantivy::Index::create_in_dir(&index_dir, crate::search::fields::FIELDS.schema.clone()).unwrap();
    assert!(matches!(Index::open(&index_dir).unwrap(), State::Missing), "killed before its first commit");
    assert!(
        matches!(Indexer::open_or_create(&index_dir), Err(crate::search::Error::Damaged(_))),
        "whoever writes makes it anew"
    );
}

#[test]
fn whatever_happens_to_the_folder_is_reported() {
    let dir = TempDir::new().unwrap();
    let index_dir = dir.path().join("index");
    assert!(matches!(Index::open(&index_dir).unwrap(), State::Missing));
    let entries: Vec<Entry> = (1..=200).map(|n| entry(n, &[(SearchField::Name, "alice")])).collect();
    write(&index_dir, &entries, 200);

    let names: Vec<_> = fs::read_dir(&index_dir).unwrap().map(|file| file.unwrap().path()).collect();
    for path in names.iter().filter(|path| !path.to_string_lossy().ends_with(".lock")) {
        let intact = fs::read(path).unwrap();
        let damaged = [
            Vec::new(),
            intact[..intact.len() / 2].to_vec(),
            intact.iter().map(|byte| byte ^ 0x55).collect(),
            vec![0; intact.len()],
        ];
        for bytes in damaged {
            overwrite(path, &bytes);
            if let State::Ready(index) = Index::open(&index_dir).unwrap() {
                let query = Query::parse("alice* OR name:alice").unwrap();
                let found = index.matches(&query, Order::Relevance, Within::default()).collect::<Result<Vec<_>>>();
                let reported = found.is_err() || index.verify(&index_dir).map_or(true, |files| !files.is_empty());
                let harmless = path.ends_with(".managed.json");
                assert!(reported || harmless, "{} with {} bytes", path.display(), bytes.len());
            }
            drop(Indexer::open_or_create(&index_dir).map(|_| ()));
            overwrite(path, &intact);
        }
        let aside = dir.path().join("aside");
        fs::rename(path, &aside).unwrap();
        let state = Index::open(&index_dir).unwrap();
        assert!(matches!(state, State::Damaged(_)) || path.ends_with(".managed.json"), "without {}", path.display());
        fs::rename(&aside, path).unwrap();
    }
    assert_eq!(ask(&open(&index_dir), "alice").len(), 200);
}

#[expect(clippy::disallowed_methods, reason = "leaving half a file is the point")]
fn overwrite(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_index_of_another_program_is_told_from_a_damaged_one() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), &[entry(1, &[])], 1);
    let metas = dir.path().join("meta.json");
    let text = fs::read_to_string(&metas).unwrap();
    overwrite(&metas, text.replace("analysis", "other analysis").as_bytes());
    assert!(matches!(Index::open(dir.path()).unwrap(), State::OtherSchema));
    assert!(Indexer::open_or_create(dir.path()).is_err());
}
